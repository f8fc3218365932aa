"""A body onto a transport.

Twisted's FileSender does it: it is asked for a piece whenever the transport takes more, and
is given a file whose next piece a thread has read and hashed already, so that it never waits
for the disk on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPullProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from twisted_ft.errors import FileTransferError, SourceChanged
from twisted_ft.stores.interfaces import ISource
from twisted_ft.terminal import shown
from twisted_ft.transfer.protocol import FileTransferProtocol
from twisted_ft.transfer.rate import RateLimit

PIECE = 1 << 18
"""Bytes read, hashed and written at once."""
FRAME = 4 * PIECE
"""Bytes in a DATA frame.  Only the piece behind its header is joined with other bytes on the
transport; a frame that has begun must be filled, so a longer one is slower to stop."""


class ReadAhead:
    """A body as a file object: ``fill`` reads and hashes a piece, ``read`` hands it out.

    :param source: where from; it is read from ``offset`` to its announced size
    """

    def __init__(self, source: ISource, offset: int) -> None:
        self._source = source
        self._position = offset
        self._digest = blake3()
        self._ready = b""
        self.failure: FileTransferError | None = None

    @property
    def left(self) -> int:
        """Bytes of the body that have not been read."""
        return self._source.attributes.size - self._position

    def digest(self) -> bytes:
        """The digest of all that has been read, 32 bytes."""
        return self._digest.digest()

    def hash_before(self) -> None:
        """Hash what lies before the body, which the receiver has.  Blocks."""
        position, end = 0, self._position
        while position < end:
            piece = self._source.read(position, min(FRAME, end - position))
            if not piece:
                raise self._shrunk()
            self._digest.update(piece)
            position += len(piece)

    def fill(self) -> None:
        """Read and hash the next piece.  Blocks.

        Where it can't be read, ``failure`` says why, and zeros stand in for it: a frame that
        has begun must be filled.
        """
        wanted = min(PIECE, self.left)
        piece = self._read(wanted)
        self._position += wanted
        self._digest.update(piece)
        self._ready = piece

    def read(self, size: int) -> bytes:
        """The piece that is ready, which FileSender asks for; nothing at the end."""
        piece, self._ready = self._ready, b""
        return piece

    def _read(self, wanted: int) -> bytes:
        if self.failure is None:
            try:
                piece = self._source.read(self._position, wanted)
            except FileTransferError as error:
                self.failure = error
                piece = b""
            if len(piece) == wanted:
                return piece
            self.failure = self.failure or self._shrunk()
        return bytes(wanted)

    def _shrunk(self) -> SourceChanged:
        path = shown(self._source.attributes.path)
        return SourceChanged(f"{path}: the file became shorter while it was being sent; try again")


@implementer(IConsumer)
class DataFrames:
    """A consumer that puts what FileSender writes into DATA frames of one exchange."""

    def __init__(self, protocol: FileTransferProtocol, exchange: int, length: int) -> None:
        self._protocol, self._exchange = protocol, exchange
        self._left = length
        self.frame_left = 0
        self.producer: IPullProducer | None = None

    def registerProducer(self, producer: IPullProducer, streaming: bool) -> None:
        """See IConsumer."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        begins = 0
        if not self.frame_left:
            begins = self.frame_left = min(FRAME, self._left)
        self.frame_left -= len(data)
        self._left -= len(data)
        self._protocol.write_body(self._exchange, begins, data)


class BodyProducer:
    """Sends the body of one exchange.

    :param offset: where the receiver goes on from
    :param limit: a limit on its rate, if any
    :param on_sent: is told how many bytes each piece has, once it is on the transport
    """

    def __init__(
        self,
        protocol: FileTransferProtocol,
        exchange: int,
        source: ISource,
        offset: int,
        limit: RateLimit | None,
        on_sent: Callable[[int], None],
    ) -> None:
        self._protocol, self._exchange = protocol, exchange
        self._source, self._limit, self._on_sent = source, limit, on_sent
        self._body = ReadAhead(source, offset)
        self._frames = DataFrames(protocol, exchange, self._body.left)
        self._offset = offset

    async def send(self, stopped: Callable[[], FileTransferError | None]) -> bytes:
        """Send all of it; the digest of the whole file, 32 bytes.

        :param stopped: a reason to stop, asked for between frames
        :raises FileTransferError: that reason, or why the source can't be read to its end;
            the frame that had begun has been filled
        """
        in_thread = self._protocol.in_thread
        if self._offset:
            await in_thread(self._body.hash_before)
        if self._body.left:
            filling = in_thread(self._body.fill)
            await self._protocol.body_turn(self._exchange)
            await self._send_pieces(filling, stopped)
        await in_thread(self._source.check)
        return self._body.digest()

    async def _send_pieces(
        self, filling: Deferred[None], stopped: Callable[[], FileTransferError | None]
    ) -> None:
        sender = FileSender()
        sender.CHUNK_SIZE = PIECE
        sender.beginFileTransfer(self._body, self._frames)
        more = True
        while more:
            await filling
            await self._protocol.writable()
            self._stop_between_frames(stopped)
            size = len(self._body._ready)
            cast(IPullProducer, self._frames.producer).resumeProducing()
            more = self._body.left > 0
            if more:
                filling = self._protocol.in_thread(self._body.fill)
            self._on_sent(size)
            await self._pace(size)

    def _stop_between_frames(self, stopped: Callable[[], FileTransferError | None]) -> None:
        reason = stopped() or self._body.failure
        if reason is not None and not self._frames.frame_left:
            raise reason

    async def _pace(self, size: int) -> None:
        if self._limit is not None:
            runtime = self._protocol.runtime
            wait = self._limit.take(size, runtime.now())
            if wait > 0:
                await runtime.sleep(wait)
