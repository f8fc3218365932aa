"""A body whose end nobody knows before it has come: out of a pipe, a producer, an iterator.

It goes piece by piece, each as soon as it is there, however long that takes.  Of one that comes
fast, out of a pipe, a thread writes pieces to a plain socket by itself, as it does with a file's.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Protocol, cast, runtime_checkable

from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPullProducer, IPushProducer
from zope.interface import implementer

from twisted_ft.errors import FileTransferError
from twisted_ft.stores.interfaces import Source
from twisted_ft.transfer.bodies.outflow import FIRST_PIECE, PIECE, PieceSize
from twisted_ft.transfer.bodies.tracker import TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.rate import paced
from twisted_ft.transfer.runtime import InThread
from twisted_ft.transfer.sockets.relay import relay
from twisted_ft.transfer.sockets.sendfile import SocketFrames

WRITTEN = 1 << 20
"""Bytes that were written to a WrittenStream and haven't gone; past them its producer is paused."""
_SOON_HASHED = 1 << 14
"""Bytes that are hashed at once: a trip to a thread takes longer."""
_FAST = 1 << 16
"""Bytes that came at once, where a stream comes fast."""


class Stream(Protocol):
    """Bytes of which nobody knows how many there are."""

    async def next(self) -> bytes:
        """Some more, as soon as there is any; nothing at the end."""

    def stop(self, error: FileTransferError) -> None:
        """Nobody wants any more: who waits for it fails with ``error``."""

    def close(self) -> None:
        """Give up what is held."""


@runtime_checkable
class DescriptorStream(Stream, Protocol):
    """A stream that a thread can read by itself."""

    def read_into(self, buffer: memoryview) -> int:
        """Read until ``buffer`` is more than half full, or nothing more comes for a moment.

        :returns: bytes; 0 in a lull, and at the end, of which ``next`` tells
        """


class SourceStream:
    """What is in a file that doesn't say how much that is.

    :param in_thread: calls what may block
    """

    def __init__(self, source: Source, in_thread: InThread) -> None:
        self._source, self._in_thread = source, in_thread
        self._position = 0

    async def next(self) -> bytes:
        """See Stream."""
        piece = await self._in_thread(self._source.read, self._position, PIECE)
        self._position += len(piece)
        return piece

    def stop(self, error: FileTransferError) -> None:
        """See Stream: a file isn't waited for."""

    def close(self) -> None:
        """See Stream: who has opened the source closes it."""


class IteratorStream:
    """What an asynchronous iterator gives."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self._waiting: Deferred[bytes] | None = None
        self._failure: FileTransferError | None = None

    async def next(self) -> bytes:
        """See Stream."""
        if self._failure is not None:
            raise self._failure
        self._waiting = Deferred.fromCoroutine(_next_of(self._chunks))
        try:
            return await self._waiting
        except CancelledError:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            self._waiting = None

    def stop(self, error: FileTransferError) -> None:
        """See Stream; what the iterator waits for is cancelled."""
        self._failure = error
        if self._waiting is not None:
            self._waiting.cancel()

    def close(self) -> None:
        """See Stream."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            Deferred.fromCoroutine(close()).addErrback(as_error)


async def _next_of(chunks: AsyncIterator[bytes]) -> bytes:
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""


@implementer(IConsumer)
class WrittenStream:
    """What is written to it, by a producer or by hand, up to ``end``."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = self._paused = self._pushes = False
        self._producer: IProducer | None = None
        self._failure: FileTransferError | None = None
        self._news = Event()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer."""
        if self._producer is not None:
            raise RuntimeError(f"{self._producer!r} is still the producer of this stream")
        self._producer, self._pushes, self._paused = producer, streaming, False
        if self._failure is not None:
            producer.stopProducing()
        self._news.fire()

    def unregisterProducer(self) -> None:
        """See IConsumer; more may be written, also by another producer."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer; what is written behind the end of a transfer goes nowhere."""
        if self._failure is not None or not data:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > WRITTEN and self._pushes and not self._paused and self._producer:
            self._paused = True
            cast(IPushProducer, self._producer).pauseProducing()
        self._news.fire()

    def end(self) -> None:
        """That was all of it."""
        self._ended = True
        self._news.fire()

    async def next(self) -> bytes:
        """See Stream."""
        while not self._pieces and not self._ended and self._failure is None:
            news = self._news.wait()
            if self._producer is not None and not self._pushes:
                cast(IPullProducer, self._producer).resumeProducing()
            await news
        if self._failure is not None:
            raise self._failure
        pieces, self._pieces, self._size = self._pieces, [], 0
        if self._paused and self._producer is not None:
            self._paused = False
            cast(IPushProducer, self._producer).resumeProducing()
        return b"".join(pieces)

    def stop(self, error: FileTransferError) -> None:
        """See Stream."""
        if self._failure is None:
            self._failure = error
            self._pieces.clear()
            if self._producer is not None:
                self._producer.stopProducing()
            self._news.fire()

    def close(self) -> None:
        """See Stream."""


class StreamBody:
    """A stream on its way: hashed, counted, and sent piece by piece.

    :param check: is called before each piece, and raises what there is to stop for
    """

    def __init__(
        self,
        protocol: FileTransferProtocol,
        exchange: int,
        stream: Stream,
        tracker: TransferTracker,
        check: Callable[[], None],
    ) -> None:
        self._protocol, self._exchange, self._stream = protocol, exchange, stream
        self._tracker, self._check = tracker, check
        self._digest = blake3()
        self._piece = PieceSize(PIECE, tracker.limit.rate if tracker.limit is not None else None)
        self._by_thread = (
            tracker.limit is None
            and protocol.writing.can_lease
            and isinstance(stream, DescriptorStream)
        )
        self.size = 0
        """bytes that were sent"""

    def digest(self) -> bytes:
        """That of what was sent, 32 bytes."""
        return self._digest.digest()

    async def send(self) -> None:
        """Send it all."""
        await self._protocol.writing.body_turn(self._exchange)
        with self._protocol.keep_alive.under_way():
            while piece := await self._stream.next():
                await self._send(piece)
                if self._by_thread and len(piece) >= _FAST:
                    await self._send_in_turns(cast(DescriptorStream, self._stream))

    async def _send(self, piece: bytes) -> None:
        if len(piece) > _SOON_HASHED:
            await self._protocol.in_thread(self._digest.update, piece)
        else:
            self._digest.update(piece)
        writing, runtime, gone = self._protocol.writing, self._protocol.runtime, 0
        while gone < len(piece):
            began = runtime.now()
            part = piece[gone : gone + self._piece.bytes]
            await writing.writable()
            self._check()
            writing.send_data(self._exchange, part)
            gone += len(part)
            self._went(len(part))
            await paced(self._tracker.limit, len(part), runtime)
            self._piece.took(runtime.now() - began)

    async def _send_in_turns(self, stream: DescriptorStream) -> None:
        """Have a thread lease the socket, again and again, as long as much comes in its turn."""
        sent = _FAST
        size = self._piece.bytes
        while sent >= _FAST and self._by_thread:
            sent = 0

            def send_on(frames: SocketFrames) -> None:
                def fill(buffer: memoryview) -> int:
                    nonlocal sent, size
                    self._check()
                    count = stream.read_into(buffer[:size]) if frames.may_begin else 0
                    sent += count
                    size = min(2 * size, PIECE)
                    return count

                nonlocal size
                relay(fill, PIECE, self._digest.update, frames.write)
                if frames.rest:
                    size = FIRST_PIECE

            try:
                self._by_thread = await self._protocol.writing.lease_socket(self._exchange, send_on)
            finally:
                self._went(sent)

    def _went(self, size: int) -> None:
        self.size += size
        if size:
            self._tracker.moves(size)


async def send_stream(
    protocol: FileTransferProtocol,
    exchange: int,
    stream: Stream,
    tracker: TransferTracker,
    check: Callable[[], None],
) -> tuple[bytes, int]:
    """Send a stream as the body of one exchange, to its end.

    :returns: its digest, 32 bytes; and how many bytes it had
    :param tracker: is told of each piece, and may have a limit on the rate
    :param check: is called before each piece, and raises what there is to stop for
    :raises FileTransferError: it can't be read to its end, or nobody wants it
    """
    body = StreamBody(protocol, exchange, stream, tracker, check)
    await body.send()
    return body.digest(), body.size
