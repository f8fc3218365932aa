"""A body onto a transport: written by a thread, or read ahead in one and sent by FileSender.

Where the transport is plain TCP and the source has a descriptor, a thread has the socket to
itself for a turn, and reads, hashes and writes (``sendfile.py``).  For what is small, or limited
in its rate, and for any other transport and source, there is Twisted's FileSender: it is asked
for a piece whenever the transport takes more, and given a file whose next piece is in memory
already.  Neither waits for the disk on the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

from blake3 import blake3
from twisted.internet.interfaces import IConsumer, IProducer, IPullProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from twisted_ft.errors import SourceChanged
from twisted_ft.stores.interfaces import DescriptorSource, Source
from twisted_ft.stores.sources import check_read
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.ahead import read_ahead
from twisted_ft.transfer.bodies.tracker import TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.connection.write_side import WriteSide
from twisted_ft.transfer.rate import paced
from twisted_ft.transfer.sockets.relay import relay
from twisted_ft.transfer.sockets.sendfile import WORTHWHILE, SocketFrames, can_sendfile

FIRST_PIECE = 1 << 16
"""Bytes in the first piece of a body; a piece is one DATA frame."""
PIECE = 1 << 20
"""Bytes in a piece, at most."""
UNREAD_PIECE = 1 << 19
"""Bytes in a piece that the kernel takes from file to socket, at most.  More would save little, and
what a socket hasn't taken in a lull is read, and waits in memory, for each slow reader."""
_BEFORE = 1 << 22
"""Bytes read at once of what lies before a body: enough to be worth a trip to another thread."""
_PACE = 0.1
"""Seconds that a piece should take: long enough to be worth a trip to a thread, and short enough
to be stopped soon, as a frame that has begun must be filled."""


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


def size_of(source: Source) -> int:
    """Bytes of a source that says how many it has."""
    size = source.attributes.size
    assert size is not None, "a file of unknown size is sent as a stream"
    return size


class ReadAhead:
    """A body as a file object: ``fill`` reads and hashes a piece, ``read`` hands it out.

    :param source: where from; it is read from ``offset`` to its announced size
    """

    def __init__(self, source: Source, offset: int) -> None:
        self._source = source
        self._end = size_of(source)
        self._position = offset
        self._known = source.digest()
        self._digest = blake3()
        self._ready = b""

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return self._end - self._position

    def digest(self) -> bytes:
        """The digest of the whole file, once it has been read, 32 bytes."""
        return self._known or self._digest.digest()

    def hash_before(self, check: Callable[[], None]) -> None:
        """Hash what lies before the body, which the receiver has.  Blocks.

        :param check: is called for each piece, and raises what there is to stop for
        """
        if self._known is None:
            for piece in read_ahead(self._before(self._position)):
                check()
                self._digest.update(piece)

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
            f"{escaped(self._source.attributes.path)}: the file became shorter "
            "while it was being sent; try again"
        )


@implementer(IConsumer)
class DataFrames:
    """A consumer that sends what FileSender writes as DATA frames of one exchange."""

    def __init__(self, writing: WriteSide, exchange: int) -> None:
        self._writing, self._exchange = writing, exchange
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
        self._writing.send_data(self._exchange, data)
        self.written += len(data)


class _Copier:
    """Sends a body by way of FileSender."""

    def __init__(self, writing: WriteSide, exchange: int, body: ReadAhead) -> None:
        self._frames = DataFrames(writing, exchange)
        sender = FileSender()
        sender.CHUNK_SIZE = PIECE
        sender.beginFileTransfer(body, self._frames)

    def send(self) -> int:
        """Send the piece that was read last; its bytes."""
        before = self._frames.written
        cast(IPullProducer, self._frames.producer).resumeProducing()
        return self._frames.written - before


class DescriptorBody(ReadAhead):
    """A body that a thread can send by itself.

    Where the digest is known, the kernel takes it from file to socket.  Where it isn't, one
    thread reads and hashes, and another writes what the first has in a buffer.

    Pieces grow from FIRST_PIECE on, and begin anew after a lull: so what is left of them by then,
    which waits in memory, is never much more than the socket has just taken.

    :param check: is called before each frame, and raises what there is to stop for
    """

    def __init__(self, source: DescriptorSource, offset: int, check: Callable[[], None]) -> None:
        super().__init__(source, offset)
        self._descriptor = source
        self._check = check
        self._size = FIRST_PIECE

    def send_on(self, frames: SocketFrames) -> None:
        """Send frame after frame, for a turn.  Blocks."""
        if self._known is None:
            fill, size = partial(self._fill, frames), min(PIECE, self.left)
            relay(fill, size, self._digest.update, frames.write)
        else:
            self._send_unread(frames)
        if frames.rest:
            self._size = FIRST_PIECE

    def _fill(self, frames: SocketFrames, buffer: memoryview) -> int:
        if not self._may_begin(frames):
            return 0
        part = buffer[: min(self._size, self.left)]
        count = self._descriptor.read_into(self._position, part)
        if not count:
            raise self._shrunk()
        self._went(count)
        return count

    def _send_unread(self, frames: SocketFrames) -> None:
        while self._may_begin(frames):
            size = min(self._size, UNREAD_PIECE, self.left)
            if frames.write_range(self._descriptor, self._position, size) < size:
                raise self._shrunk()
            self._went(size)

    def _may_begin(self, frames: SocketFrames) -> bool:
        self._check()
        return self.left > 0 and frames.may_begin

    def _went(self, size: int) -> None:
        self._position += size
        self._size = min(2 * self._size, PIECE)


async def send_body(
    protocol: FileTransferProtocol,
    exchange: int,
    source: Source,
    offset: int,
    tracker: TransferTracker,
    check: Callable[[], None],
) -> tuple[bytes, int]:
    """Send the body of one exchange.

    :returns: the digest of the whole file, 32 bytes; and the bytes that it has by now
    :param offset: where the receiver goes on from
    :param tracker: is told of each piece, and may have a limit on the rate
    :param check: is called before each piece, and raises what there is to stop for
    :raises FileTransferError: the source can't be read to its end, or isn't what it was
    """
    body = ReadAhead(source, offset)
    if tracker.limit is None and protocol.writing.can_lease and can_sendfile(source):
        body = DescriptorBody(cast(DescriptorSource, source), offset, check)
    if offset:
        await protocol.at_length(body.hash_before, check)
    if isinstance(body, DescriptorBody):
        await _send_in_turns(protocol, exchange, body, tracker)
    if body.left:
        await _send_pieces(protocol, exchange, body, tracker, check)
    digest = body.digest()
    size = await protocol.in_thread(source.check)
    if size == source.attributes.size:
        source.remember(digest)
    else:  # it may have grown, and is read again, which takes as long as hashing does
        size = await protocol.at_length(check_read, source, digest, check)
    return digest, size


async def _send_in_turns(
    protocol: FileTransferProtocol, exchange: int, body: DescriptorBody, tracker: TransferTracker
) -> None:
    """Have a thread lease the socket, again and again, as long as it can and it is worth it."""
    if body.left >= WORTHWHILE:
        await protocol.writing.body_turn(exchange)
    leased = True
    while leased and body.left >= WORTHWHILE:
        before = body.left
        try:
            leased = await protocol.writing.lease_socket(exchange, body.send_on)
        finally:
            tracker.moves(before - body.left)


async def _send_pieces(
    protocol: FileTransferProtocol,
    exchange: int,
    body: ReadAhead,
    tracker: TransferTracker,
    check: Callable[[], None],
) -> None:
    """Send a piece whenever the transport takes one; meanwhile read the next."""
    now = protocol.runtime.now
    size = PieceSize(PIECE, tracker.limit.rate if tracker.limit is not None else None)
    copier = _Copier(protocol.writing, exchange, body)
    filling = protocol.in_thread(body.fill, size.bytes)
    try:
        await protocol.writing.body_turn(exchange)
        more = True
        while more:
            began = now()
            await filling
            await protocol.writing.writable()
            check()
            sent = copier.send()
            more = body.left > 0
            if more:
                filling = protocol.in_thread(body.fill, size.bytes)
            tracker.moves(sent)
            await paced(tracker.limit, sent, protocol.runtime)
            size.took(now() - began)
    except Exception:
        filling.addErrback(lambda _: None)  # whoever stops doesn't ask for it
        if not filling.called:  # a source isn't closed while it is being read
            await filling
        raise
