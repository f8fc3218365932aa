"""The sender of one file, whichever end it is on."""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace
from twisted.python.failure import Failure

from twisted_ft.errors import Corrupt, FileTransferError
from twisted_ft.stores.interfaces import ISource, IStore
from twisted_ft.transfer.bodies.outflow import send_body
from twisted_ft.transfer.bodies.tracker import TransferProgress, TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import Abort, Accept, Done, Offer, Receipt


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
            raise self._abort(as_error(Failure())) from None
        return await self.send(source, path)

    async def send(self, source: ISource, path: bytes) -> TransferProgress:
        """Send ``source``, which is closed at the end, under the name ``path``.

        :raises FileTransferError: it didn't arrive, or the receiver wouldn't have it
        """
        self._tracker.begins(source.attributes)
        try:
            self.check()
            self._tracker.check()
            self.protocol.say(Offer(self.number, replace(source.attributes, path=path)))
            accept = await self.hear(Accept)
            self._tracker.goes_on_from(accept.offset)
            digest = await send_body(
                self.protocol, self.number, source, accept.offset, self._tracker, self.check
            )
            self.protocol.say(Done(self.number, digest))
            await self.hear(Receipt)
        except Exception:
            error = self._abort(as_error(Failure()))
            if isinstance(error, Corrupt):
                source.remember(None)
            self.protocol.in_thread(source.close).addErrback(as_error)
            await self.protocol.leave(self.number)
            raise error from None
        self.protocol.in_thread(source.close).addErrback(as_error)
        self.protocol.leave(self.number)
        return self._tracker.ends(digest)

    def _abort(self, error: FileTransferError) -> FileTransferError:
        """Tell the receiver, where it still expects something of us."""
        if self.state in (State.ASKED, State.OFFERED, State.BODY, State.STOPPING):
            with suppress(FileTransferError):  # the connection may have ended, and all with it
                self.protocol.say(Abort(self.number, error.code, error.text))
        self.protocol.leave(self.number)
        return error
