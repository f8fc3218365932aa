"""The sender of one file, whichever end it is on."""

from __future__ import annotations

from blake3 import blake3
from msgspec.structs import replace
from twisted.python.failure import Failure

from twisted_ft.errors import Corrupt, FileTransferError, Unchanged, Unsupported
from twisted_ft.stores.interfaces import Source, Store
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.outflow import send_body
from twisted_ft.transfer.bodies.streams import SourceStream, Stream, send_stream
from twisted_ft.transfer.bodies.tracker import TransferProgress, TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.wire.conversation import STREAMS, Side
from twisted_ft.wire.messages import (
    BY_NOTHING,
    BY_TIME,
    Accept,
    Attributes,
    Done,
    Offer,
    Receipt,
)


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
        self._stream: Stream | None = None
        """what is being sent, where its size isn't known"""

    async def answer(self, store: Store, path: bytes) -> TransferProgress:
        """Send what a Get has asked for, or say Abort."""
        try:
            source = await self.protocol.in_thread(store.source, path)
        except Exception:
            raise await self.called_off(Failure()) from None
        return await self.send(source, path)

    async def send(self, source: Source, path: bytes, compare: str = BY_TIME) -> TransferProgress:
        """Send ``source``, which is closed at the end, under the name ``path``.

        :param compare: see Offer
        :raises Unchanged: the receiver has it already, by its digest
        :raises Differs: what the receiver has is another one; it can be offered again
        :raises FileTransferError: it didn't arrive, or the receiver wouldn't have it
        """
        self._tracker.begins(source.attributes)
        try:
            done = await self._send_source(source, path, compare)
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return self._tracker.ends(done.blake3, done.size)

    async def _send_source(self, source: Source, path: bytes, compare: str) -> Done:
        """Send it; what was said at its end, which the receiver has verified."""
        file = replace(source.attributes, path=path)
        digest = blake3().digest() if file.size == 0 else b""
        try:
            self.check()
            self._tracker.check()
            if file.size is None:
                return await self._send_stream(file, SourceStream(source, self.protocol.in_thread))
            self.protocol.say(Offer(self.number, file, compare))
            accept = await self.hear(Accept)
            self._tracker.goes_on_from(accept.offset)
            digest, size = await send_body(
                self.protocol, self.number, source, accept.offset, self._tracker, self.check
            )
            return await self._end(Done(self.number, digest, size))
        except Corrupt:
            source.remember(None)
            raise
        except Unchanged:
            self._tracker.ends(digest)
            raise
        finally:
            self.protocol.in_thread(source.close).addErrback(as_error)

    async def send_stream(self, file: Attributes, stream: Stream) -> TransferProgress:
        """Send ``stream`` to its end as ``file``, which has no size.

        :raises FileTransferError: it didn't arrive, or the receiver wouldn't have it
        """
        self._tracker.begins(file)
        try:
            done = await self._send_stream(file, stream)
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return self._tracker.ends(done.blake3, done.size)

    async def _send_stream(self, file: Attributes, stream: Stream) -> Done:
        self.check()
        self._tracker.check()
        if STREAMS not in self.protocol.conversation.peer_features:
            raise unsupported(self.protocol.side, file.path)
        self.protocol.say(Offer(self.number, file, BY_NOTHING))
        self._tracker.goes_on_from((await self.hear(Accept)).offset)
        self._stream = stream
        digest, size = await send_stream(
            self.protocol, self.number, stream, self._tracker, self.check
        )
        return await self._end(Done(self.number, digest, size))

    async def _end(self, done: Done) -> Done:
        """All of it has been sent; what was said then, once the receiver has verified it."""
        self.protocol.say(done)
        await self.hear(Receipt)
        return done

    def fail(self, error: FileTransferError) -> None:
        """See Dialogue."""
        super().fail(error)
        if self._stream is not None:
            self._stream.stop(error)


def unsupported(side: Side, path: bytes) -> Unsupported:
    """The failure where the other side takes no files of unknown size."""
    peer = "this server" if side is Side.CLIENT else "this client"
    return Unsupported(
        f"{escaped(path)}: its size isn't known before it is read, and {peer} takes no such files; "
        "it is of an older version"
    )
