"""A body onto a transport: read and hashed ahead in a thread, sent by FileSender or by the kernel.

Twisted's FileSender serves any transport and any source: it is asked for a piece whenever the
transport takes more, and given a file whose next piece is in memory already.  Where the
transport is plain TCP and the source has a descriptor, sendfile(2) takes its place
(``sendfile.py``).  Neither waits for the disk on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPullProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from twisted_ft.errors import SourceChanged
from twisted_ft.stores.interfaces import IDescriptorSource, ISource
from twisted_ft.terminal import shown
from twisted_ft.transfer.ahead import read_ahead
from twisted_ft.transfer.outcome import Course
from twisted_ft.transfer.protocol import FileTransferProtocol
from twisted_ft.transfer.sendfile import can_sendfile

FIRST_PIECE = 1 << 16
"""Bytes in the first piece of a body; a piece is one DATA frame."""
PIECE = 1 << 20
"""Bytes in a piece that is kept in memory, at most."""
SENDFILE_PIECE = (1 << 24) - (1 << 12)
"""Bytes in a piece that isn't, at most: the whole pages that fit into a DATA frame."""
_BEFORE = 1 << 22
"""Bytes read at once of what lies before a body: enough to be worth a trip to another thread."""
_PACE = 0.1
"""Seconds that a piece should take: long enough to be worth a trip to a thread, and short enough
to be stopped soon, as a frame that has begun must be filled."""
_BUFFER = 1 << 18
"""Bytes read at once where they are only hashed: few enough to stay in a core's cache."""


class PieceSize:
    """How much to send at once: as much as takes about a tenth of a second.

    :param largest: bytes, at most
    :param rate: a limit in bytes a second, if any
    """

    def __init__(self, largest: int, rate: float | None) -> None:
        self._largest = largest if rate is None else max(1, min(largest, int(rate * _PACE)))
        self.bytes = min(FIRST_PIECE, self._largest)

    def took(self, seconds: float) -> None:
        """The last piece took so long."""
        if seconds < _PACE:
            self.bytes = min(2 * self.bytes, self._largest)
        elif seconds > 4 * _PACE:
            self.bytes = max(self.bytes // 2, min(FIRST_PIECE, self._largest))


class _Ahead:
    """What is read of a file, and hashed, ahead of what is sent.

    :param source: where from; it is read from ``offset`` to its announced size
    """

    def __init__(self, source: ISource, offset: int) -> None:
        self._source = source
        self._position = offset
        self._known = source.digest()
        self._digest = blake3()

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return self._source.attributes.size - self._position

    def digest(self) -> bytes:
        """The digest of the whole file, once it has been read, 32 bytes."""
        return self._known or self._digest.digest()

    def hash_before(self) -> None:
        """Hash what lies before the body, which the receiver has.  Blocks."""
        if self._known is None:
            for piece in read_ahead(self._before(self._position)):
                self._digest.update(piece)

    def _before(self, end: int) -> Iterator[bytes]:
        position = 0
        while position < end:
            piece = self._source.read(position, min(_BEFORE, end - position))
            if not piece:
                raise self._shrunk()
            position += len(piece)
            yield piece

    def _shrunk(self) -> SourceChanged:
        return SourceChanged(
            f"{shown(self._source.attributes.path)}: the file became shorter "
            "while it was being sent; try again"
        )


class ReadAhead(_Ahead):
    """A body as a file object: ``fill`` reads and hashes a piece, ``read`` hands it out."""

    def __init__(self, source: ISource, offset: int) -> None:
        super().__init__(source, offset)
        self._ready = b""

    def fill(self, size: int) -> None:
        """Read and hash the next piece, of up to ``size`` bytes.  Blocks."""
        wanted = min(size, self.left)
        piece = self._source.read(self._position, wanted)
        if len(piece) < wanted:
            raise self._shrunk()
        if self._known is None:
            self._digest.update(piece)
        self._position += wanted
        self._ready = piece

    def read(self, size: int) -> bytes:
        """The piece that is ready, which FileSender asks for; nothing at the end."""
        piece, self._ready = self._ready, b""
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


class CopiedBody(ReadAhead):
    """A body by way of FileSender."""

    largest = PIECE

    def __init__(
        self, protocol: FileTransferProtocol, exchange: int, source: ISource, offset: int
    ) -> None:
        super().__init__(source, offset)
        self._frames = DataFrames(protocol, exchange)
        sender = FileSender()
        sender.CHUNK_SIZE = PIECE
        sender.beginFileTransfer(self, self._frames)

    async def send(self) -> int:
        """Send the piece that was read last; its bytes."""
        before = self._frames.written
        cast(IPullProducer, self._frames.producer).resumeProducing()
        return self._frames.written - before


class DescriptorBody(_Ahead):
    """A body by way of sendfile(2): a thread only hashes it, and so has it in the page cache.

    Where the digest is known, it only has it there.
    """

    largest = SENDFILE_PIECE

    def __init__(
        self, protocol: FileTransferProtocol, exchange: int, source: IDescriptorSource, offset: int
    ) -> None:
        super().__init__(source, offset)
        self._protocol, self._exchange = protocol, exchange
        self._descriptors = source
        self._buffer = memoryview(bytearray(_BUFFER))
        self._ready = range(offset, offset)

    def fill(self, size: int) -> None:
        """Hash, or only load, the next piece, of up to ``size`` bytes.  Blocks."""
        begin, end = self._position, self._position + min(size, self.left)
        if self._known is not None:
            self._position += self._descriptors.load(begin, end - begin)
            if self._position < end:
                raise self._shrunk()
        while self._position < end:
            part = self._buffer[: end - self._position]
            count = self._descriptors.read_into(self._position, part)
            if not count:
                raise self._shrunk()
            self._digest.update(part[:count])
            self._position += count
        self._ready = range(begin, end)

    async def send(self) -> int:
        """Send the piece that was hashed last; its bytes."""
        ready = self._ready
        sent = await self._protocol.send_range(
            self._exchange, self._descriptors.fileno(), ready.start, len(ready)
        )
        if sent < len(ready):
            raise self._shrunk()
        return sent


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
    body: CopiedBody | DescriptorBody
    if can_sendfile(protocol.transport, source):
        body = DescriptorBody(protocol, exchange, cast(IDescriptorSource, source), offset)
    else:
        body = CopiedBody(protocol, exchange, source, offset)
    if offset:
        await protocol.in_thread(body.hash_before)
    if body.left:
        await _send_pieces(protocol, exchange, body, course, check)
    await protocol.in_thread(source.check)
    digest = body.digest()
    source.remember(digest)
    return digest


async def _send_pieces(
    protocol: FileTransferProtocol,
    exchange: int,
    body: CopiedBody | DescriptorBody,
    course: Course,
    check: Callable[[], None],
) -> None:
    """Send a piece whenever the transport takes one; meanwhile read the next."""
    now = protocol.runtime.now
    size = PieceSize(body.largest, course.limit.rate if course.limit is not None else None)
    filling = protocol.in_thread(body.fill, size.bytes)
    try:
        await protocol.body_turn(exchange)
        more = True
        while more:
            began = now()
            await filling
            await protocol.writable()
            check()
            sending = Deferred.fromCoroutine(body.send())
            more = body.left > 0
            if more:
                filling = protocol.in_thread(body.fill, size.bytes)
            sent = await sending
            course.moves(sent)
            await protocol.pace(course.limit, sent)
            size.took(now() - began)
    except Exception:
        filling.addErrback(lambda _: None)  # whoever stops doesn't ask for it
        if not filling.called:  # a source isn't closed while it is being read
            await filling
        raise
