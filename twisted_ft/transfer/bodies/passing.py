"""A body off a transport that goes on at once, and is kept nowhere: to a consumer, into a pipe.

It is hashed on its way, and verified at its end: until then whoever takes it knows only that it may
be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from twisted_ft.errors import Cancelled, FileTransferError
from twisted_ft.stores.interfaces import Buffer, ISink
from twisted_ft.transfer.bodies.inflow import PIECE_COST, Inflow, Intake
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.runtime import Threads
from twisted_ft.transfer.sockets.recvfile import SocketBody


class Output(Protocol):
    """Takes bytes as they come, and may block: it is called in threads."""

    def write(self, pieces: Sequence[Buffer]) -> None:
        """Take the pieces, in order.  Their buffers are the caller's again afterwards."""


@implementer(ISink)
class PassingSink:
    """A sink that keeps nothing.

    :param output: what is written goes on to it; None, where that is somebody else's to do
    """

    offset = 0

    def __init__(self, output: Output | None) -> None:
        self._output = output

    def kept(self) -> Iterator[bytes]:
        """See ISink."""
        return iter(())

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See ISink."""
        if self._output is not None:
            self._output.write(pieces)

    def publish(self) -> None:
        """See ISink: nothing is left to do."""

    def keep(self) -> None:
        """See ISink."""

    def discard(self) -> None:
        """See ISink."""


@implementer(IPushProducer)
class ConsumerInflow(Inflow):
    """Has a consumer take a body: on the reactor's thread, and as fast as it likes.

    :param intake: is paused where more comes than the consumer takes
    :param on_failure: is told, once, why it takes no more
    """

    def __init__(
        self,
        intake: Intake,
        threads: Threads,
        consumer: IConsumer,
        on_failure: Callable[[FileTransferError], None],
    ) -> None:
        super().__init__(intake, threads, PassingSink(None), on_failure, at_least=1)
        self._consumer = consumer
        self._holds = False
        """whether the consumer has enough for now"""
        self._news = Event()
        consumer.registerProducer(self, True)

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._holds = True

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._holds = False
        self._news.fire()

    def stopProducing(self) -> None:
        """See IPushProducer: the consumer is gone."""
        if not self._stopped:
            self.stop()
            self._on_failure(Cancelled("whoever was to have it takes no more"))

    def take_from(self, waiting: SocketBody, on_taken: Callable[[SocketBody], None]) -> bool:
        """See Inflow: a thread can't write to a consumer."""
        return False

    def stop(self) -> None:
        """See Inflow."""
        super().stop()
        self._news.fire()

    def _write_gathered(self) -> None:
        pieces, self._pieces = self._pieces, []
        self._busy = True
        Deferred.fromCoroutine(self._consume(pieces)).addCallbacks(self._done, self._fail)

    async def _consume(self, pieces: Sequence[Buffer]) -> int:
        await self._threads.in_thread(self._write, pieces)
        for piece in pieces:
            while self._holds and not self._stopped:
                await self._news.wait()
            if self._stopped:
                raise Cancelled("it is no longer wanted")
            self._consumer.write(bytes(piece))
        return sum(len(piece) + PIECE_COST for piece in pieces)
