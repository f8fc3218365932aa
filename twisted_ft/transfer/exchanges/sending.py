"""The sender of one file, whichever end it is on."""

from __future__ import annotations

from blake3 import blake3
from msgspec.structs import replace
from twisted.python.failure import Failure

from twisted_ft.errors import Corrupt, Unchanged
from twisted_ft.stores.interfaces import ISource, IStore
from twisted_ft.transfer.bodies.outflow import send_body
from twisted_ft.transfer.bodies.tracker import TransferProgress, TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.wire.messages import BY_TIME, Accept, Done, Offer, Receipt


class Sending(Dialogue):
    """Offers a file, sends what the receiver lacks, and waits for its Receipt."""

    def __init__(
        self,
        protocol: FileTransferProtocol,
        number: int | None = None,
        tracker: TransferTracker | None = None,
    ) -> None:
        super().__init__(protocol, number)
        self._tracker = tracker or TransferTracker()
        self._tracker.stop = self.fail

    async def answer(self, store: IStore, path: bytes) -> TransferProgress:
        """Send what a Get has asked for, or say Abort."""
        try:
            source = await self.protocol.in_thread(store.source, path)
        except Exception:
            raise await self.called_off(Failure()) from None
        return await self.send(source, path)

    async def send(self, source: ISource, path: bytes, compare: str = BY_TIME) -> TransferProgress:
        """Send ``source``, which is closed at the end, under the name ``path``.

        :param compare: see Offer
        :raises Unchanged: the receiver has it already, by its digest
        :raises Differs: what the receiver has is another one; it can be offered again
        :raises FileTransferError: it didn't arrive, or the receiver wouldn't have it
        """
        self._tracker.begins(source.attributes)
        try:
            digest = await self._send_source(source, path, compare)
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return self._tracker.ends(digest)

    async def _send_source(self, source: ISource, path: bytes, compare: str) -> bytes:
        """Send it; the digest that the receiver has verified, 32 bytes."""
        digest = b"" if source.attributes.size else blake3().digest()
        try:
            self.check()
            self._tracker.check()
            self.protocol.say(Offer(self.number, replace(source.attributes, path=path), compare))
            accept = await self.hear(Accept)
            self._tracker.goes_on_from(accept.offset)
            digest = await send_body(
                self.protocol, self.number, source, accept.offset, self._tracker, self.check
            )
            self.protocol.say(Done(self.number, digest))
            return (await self.hear(Receipt)).blake3
        except Corrupt:
            source.remember(None)
            raise
        except Unchanged:
            self._tracker.ends(digest)
            raise
        finally:
            self.protocol.in_thread(source.close).addErrback(as_error)
