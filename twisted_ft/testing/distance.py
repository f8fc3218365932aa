"""Distance: a proxy that hands everything on a while later, as a long line would.

A line has a delay and no limit on its rate; what is on its way is bounded.  It works on any
transport: on sockets with the reactor as its clock, and in a ``MemoryNetwork`` with that one's.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import (
    IAddress,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.connecting import ClientEndpoint

ON_ITS_WAY = 1 << 26
"""Bytes in one direction that are on their way at most: 64 MiB are 0.67 GB/s at 100 ms."""


class DistantServer(Factory):
    """Listens in the place of a server that is far away.

    :param server: where it really is
    :param round_trip: seconds from a word to its answer, at least
    :param clock: the reactor, or another clock
    """

    noisy = False

    def __init__(
        self,
        server: ClientEndpoint | IStreamClientEndpoint,
        round_trip: float,
        clock: IReactorTime | Clock,
    ) -> None:
        self._server, self._clock = server, clock
        self._delay = round_trip / 2

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """The near end of a new line; the far one is made with the connection to the server."""
        near, far = _End(self._clock, self._delay), _End(self._clock, self._delay)
        near.other, far.other = far, near
        connected = connectProtocol(self._server, far)
        connected.addErrback(lambda _: near.say(None))
        return near


@implementer(IPushProducer)
class _End(Protocol):
    """One end of a line: what it hears, the other end says a while later."""

    transport: Any
    other: _End

    def __init__(self, clock: IReactorTime | Clock, delay: float) -> None:
        self._clock, self._delay = clock, delay
        self._unsaid: deque[bytes | None] = deque()
        self._connected = False
        self._on_its_way = 0
        self._other_is_full = False

    def connectionMade(self) -> None:
        """Say what has arrived meanwhile."""
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self.other, True)
        self._connected = True
        while self._unsaid:
            self._say(self._unsaid.popleft())

    def dataReceived(self, data: bytes) -> None:
        """On its way."""
        self._on_its_way += len(data)
        self._clock.callLater(self._delay, self._arrive, data)
        self._read_on()

    def _arrive(self, data: bytes) -> None:
        self._on_its_way -= len(data)
        self.other.say(data)
        self._read_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other end hears of it as late as of anything else."""
        self._connected = False
        self._clock.callLater(self._delay, self.other.say, None)

    def say(self, data: bytes | None) -> None:
        """Say what has come over the line, or hang up; as soon as there is a connection."""
        if self._connected:
            self._say(data)
        else:
            self._unsaid.append(data)

    def _say(self, data: bytes | None) -> None:
        if data is None:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        else:
            self.transport.write(data)

    # -- the other end's producer ----------------------------------------------------------

    def pauseProducing(self) -> None:
        """The other end's transport has enough."""
        self._other_is_full = True
        self._read_on()

    def resumeProducing(self) -> None:
        """It takes more."""
        self._other_is_full = False
        self._read_on()

    def stopProducing(self) -> None:
        """It is gone; we hear of it over the line."""

    def _read_on(self) -> None:
        """Read, or let the sender wait."""
        if not self._connected:
            return
        if self._other_is_full or self._on_its_way > ON_ITS_WAY:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()
