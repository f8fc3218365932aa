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
from twisted.internet.interfaces import IConsumer, IProducer, IPullProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from twisted_ft.errors import SourceChanged
from twisted_ft.stores.interfaces import ISource
from twisted_ft.terminal import shown
from twisted_ft.transfer.outcome import Course
from twisted_ft.transfer.protocol import FileTransferProtocol

PIECE = 1 << 20
"""Bytes read, hashed and written at once, at most: one DATA frame.  ``docs/performance.md``
has the figures that chose it."""
_SLICE = 0.1
"""Seconds' worth of bytes in a piece, where the rate is limited; a slow body is never silent."""
_LEAST_PIECE = 1 << 10


def piece_size(rate: float | None) -> int:
    """Bytes in a piece of a body that is sent at ``rate`` bytes a second at most."""
    if rate is None:
        return PIECE
    return max(_LEAST_PIECE, min(PIECE, int(rate * _SLICE)))


class ReadAhead:
    """A body as a file object: ``fill`` reads and hashes a piece, ``read`` hands it out.

    :param source: where from; it is read from ``offset`` to its announced size
    """

    def __init__(self, source: ISource, offset: int) -> None:
        self._source = source
        self._position = offset
        self._digest = blake3()
        self._ready = b""

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
            piece = self._read(position, min(PIECE, end - position))
            self._digest.update(piece)
            position += len(piece)

    def fill(self, size: int) -> None:
        """Read and hash the next piece, of up to ``size`` bytes.  Blocks."""
        self._ready = self._read(self._position, min(size, self.left))
        self._position += len(self._ready)
        self._digest.update(self._ready)

    def read(self, size: int) -> bytes:
        """The piece that is ready, which FileSender asks for; nothing at the end."""
        piece, self._ready = self._ready, b""
        return piece

    def _read(self, position: int, size: int) -> bytes:
        piece = self._source.read(position, size)
        if len(piece) < size:
            raise SourceChanged(
                f"{shown(self._source.attributes.path)}: the file became shorter "
                "while it was being sent; try again"
            )
        return piece


@implementer(IConsumer)
class DataFrames:
    """A consumer that sends what FileSender writes as DATA frames of one exchange."""

    def __init__(self, protocol: FileTransferProtocol, exchange: int) -> None:
        self._protocol, self._exchange = protocol, exchange
        self.producer: IProducer | None = None
        self.written = 0
        """bytes, so far"""

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self.producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self._protocol.send_data(self._exchange, data)
        self.written += len(data)


async def send_body(
    protocol: FileTransferProtocol,
    exchange: int,
    source: ISource,
    offset: int,
    course: Course,
    check: Callable[[], None],
) -> bytes:
    """Send the body of one exchange; the digest of the whole file, 32 bytes.

    :param offset: where the receiver goes on from
    :param course: is told of each piece, and may have a limit on the rate
    :param check: is called before each piece, and raises what there is to stop for
    :raises FileTransferError: the source can't be read to its end, or isn't what it was
    """
    body = ReadAhead(source, offset)
    if offset:
        await protocol.in_thread(body.hash_before)
    if body.left:
        await _send_pieces(protocol, exchange, body, course, check)
    await protocol.in_thread(source.check)
    return body.digest()


async def _send_pieces(
    protocol: FileTransferProtocol,
    exchange: int,
    body: ReadAhead,
    course: Course,
    check: Callable[[], None],
) -> None:
    """Have FileSender send a piece whenever the transport takes one; meanwhile read the next."""
    size = piece_size(course.limit.rate if course.limit is not None else None)
    frames = DataFrames(protocol, exchange)
    sender = FileSender()
    sender.CHUNK_SIZE = size
    sender.beginFileTransfer(body, frames)
    filling: Deferred[None] | None = protocol.in_thread(body.fill, size)
    try:
        await protocol.body_turn(exchange)
        while filling is not None:
            filled, filling = filling, None
            await filled
            await protocol.writable()
            check()
            before = frames.written
            cast(IPullProducer, frames.producer).resumeProducing()
            sent = frames.written - before
            if body.left > 0:
                filling = protocol.in_thread(body.fill, size)
            course.moves(sent)
            await protocol.pace(course.limit, sent)
    finally:
        if filling is not None:  # a source isn't closed while it is being read
            await filling.addErrback(lambda _: None)
