"""What a caller has of a file that is read, or written, as it comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.delivery import Delivery
from twisted_ft.transfer.bodies.streams import Stream, WrittenStream
from twisted_ft.transfer.event import Event


class Chunks:
    """A file's bytes, as they come: ``async for chunk in client.chunks("a.log")``.

    It ends well only if what came is what was sent; else its end raises, and what came is not to be
    used.  No more is asked of the server than is taken.  Whoever wants no more calls ``close``.

    :param read: begins to read into a consumer
    """

    def __init__(self, read: Callable[[IConsumer], Deferred[Delivery]]) -> None:
        self._read = read
        self._reading: Deferred[Delivery] | None = None
        self._inbox = _Inbox()

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._reading is None:
            self._reading = self._read(self._inbox)
            self._reading.addBoth(self._inbox.end)
        return await self._inbox.next()

    async def close(self) -> None:
        """Have no more of it; may be called more than once."""
        self._inbox.end(None)
        if self._reading is not None:
            self._reading.cancel()


@implementer(IConsumer)
class _Inbox:
    """Chunks that nobody has taken yet: one, and those that were on their way."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._failure: Failure | None = None
        self._producer: IPushProducer | None = None
        self._news = Event()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer."""
        self._producer = cast(IPushProducer, producer)

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self._chunks.append(data)
        if self._producer is not None:
            self._producer.pauseProducing()
        self._news.fire()

    def end(self, result: object) -> None:
        """All of it has come, or why it hasn't."""
        if not self._ended:
            self._ended = True
            self._failure = result if isinstance(result, Failure) else None
            self._news.fire()

    async def next(self) -> bytes:
        """The next one.

        :raises StopAsyncIteration: there are no more
        """
        while not self._chunks and not self._ended:
            if self._producer is not None:
                self._producer.resumeProducing()
            if not self._chunks:
                await self._news.wait()
        if self._chunks:
            return self._chunks.popleft()
        failure, self._failure = self._failure, None
        if failure is not None:
            failure.raiseException()
        raise StopAsyncIteration


class Writer(WrittenStream):
    """A file on its way to the server, as a consumer: a producer writes to it, or you do.

    :param begin: begins to send it
    """

    def __init__(self, begin: Callable[[Stream], Deferred[Delivery]]) -> None:
        super().__init__()
        self._sending = begin(self)

    def finish(self) -> Deferred[Delivery]:
        """That was all of it; fires when the server has verified it, and it has its name.

        Without it nothing is there.
        """
        self.end()
        return self._sending

    def abandon(self) -> None:
        """Call it off: nothing of it stays."""
        self._sending.addErrback(lambda _: None)
        self._sending.cancel()
