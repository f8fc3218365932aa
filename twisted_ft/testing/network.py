"""Connections in memory, with a clock and threads that do what they are told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred, fail, maybeDeferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.client import Client
from twisted_ft.connecting import connect
from twisted_ft.testing.peer import ScriptedPeer
from twisted_ft.testing.transport import Connection, MemoryTransport
from twisted_ft.transfer.runtime import Runtime

T = TypeVar("T")
AnyFactory: TypeAlias = "IProtocolFactory | Factory"
"""What makes a server's protocols; Factory, for type checkers that don't know what it implements.
"""

_MOMENT = 1e-6
"""Seconds; the least that time goes on."""


class Stuck(Exception):
    """Nothing is left to happen, and what was waited for hasn't."""


class MemoryThreads:
    """What would run in threads runs here, one job at each step of the network.

    Each end can have threads of its own: ``runtime=network.threads().runtime``.
    """

    def __init__(self, clock: Clock) -> None:
        self.runtime = Runtime(clock, self._in_thread)
        self.held = False
        """while it is true no job is run, as on a disk that doesn't answer"""
        self._jobs: deque[Callable[[], None]] = deque()

    @property
    def waiting(self) -> int:
        """Jobs that have not been run."""
        return len(self._jobs)

    def step(self) -> bool:
        """Run one job; whether there was one to run."""
        if self.held or not self._jobs:
            return False
        self._jobs.popleft()()
        return True

    def _in_thread(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        done: Deferred[T] = Deferred()

        def job() -> None:
            maybeDeferred(function, *args).addBoth(
                lambda result: None if done.called else done.callback(result)
            )

        self._jobs.append(job)
        return done


class MemoryNetwork:
    """Connections in memory, with a clock and threads that only do what they are told.

    :param segment: bytes that are delivered at once, at most; 1 tries a protocol byte by byte
    """

    def __init__(self, segment: int = 1 << 16) -> None:
        self.clock = Clock()
        self.segment = segment
        self._threads: list[MemoryThreads] = []
        self._connections: list[Connection] = []
        self.runtime = self.threads().runtime
        """clock and threads, for whoever has none of their own"""

    def threads(self) -> MemoryThreads:
        """More threads: for one end alone, to hold them."""
        threads = MemoryThreads(self.clock)
        self._threads.append(threads)
        return threads

    # -- connecting ----------------------------------------------------------------------

    def endpoint(self, factory: AnyFactory) -> IStreamClientEndpoint:
        """An endpoint whose connections lead to ``factory``."""
        return _MemoryEndpoint(self, factory)

    def client(
        self,
        factory: AnyFactory,
        *,
        runtime: Runtime | None = None,
        timeout: int = 30,
        limit_rate: float | None = None,
    ) -> Client:
        """A client that is connected to ``factory``, and has greeted."""
        return self.run(
            connect(
                self.endpoint(factory),
                runtime=runtime or self.runtime,
                timeout=timeout,
                limit_rate=limit_rate,
            )
        )

    def join(self, client: IProtocol, server: IProtocol) -> None:
        """Connect two protocols."""
        ends = (
            MemoryTransport(client, IPv4Address("TCP", "server.example", 22222)),
            MemoryTransport(server, IPv4Address("TCP", "client.example", 50000)),
        )
        self._connections.append(Connection(*ends))
        server.makeConnection(ends[1])
        client.makeConnection(ends[0])

    def scripted_client(self, factory: AnyFactory) -> ScriptedPeer:
        """A peer that says what a test has it say, connected to ``factory``."""
        server = factory.buildProtocol(IPv4Address("TCP", "client.example", 50000))
        assert server is not None
        peer = ScriptedPeer()
        self.join(peer, server)
        return peer

    def scripted_server(self) -> tuple[IStreamClientEndpoint, ScriptedPeer]:
        """A peer that says what a test has it say, and an endpoint that leads to it."""
        peer = ScriptedPeer()
        return self.endpoint(Factory.forProtocol(lambda: peer)), peer

    def cut(self) -> None:
        """Every connection is lost, as when a cable is pulled and both ends have noticed."""
        for connection in self._connections:
            connection.client.lost(ConnectionLost())
            connection.server.lost(ConnectionAborted())
        self._connections.clear()

    @property
    def transports(self) -> list[tuple[MemoryTransport, MemoryTransport]]:
        """The client's and the server's end of each connection."""
        return [(each.client, each.server) for each in self._connections]

    # -- letting things happen -----------------------------------------------------------

    def step(self) -> bool:
        """Run one job, move one segment each way on each connection; whether anything happened."""
        self.clock.advance(0)
        happened = sum(threads.step() for threads in self._threads) > 0
        for connection in list(self._connections):
            happened = connection.step(self.segment) or happened
        self._connections = [
            each for each in self._connections if each.client.connected or each.server.connected
        ]
        return happened

    def settle(self) -> None:
        """Let happen whatever can without time going on."""
        while self.step():
            pass

    def advance(self, seconds: float) -> None:
        """Let time go on, and whatever comes with it."""
        end = self.clock.seconds() + seconds
        self.settle()
        while self._go_on(end):
            self.settle()

    def run(
        self, awaitable: Deferred[T] | Coroutine[Deferred[Any], Any, T], seconds: float = 0
    ) -> T:
        """The result of ``awaitable``, or its failure; Stuck where it never comes.

        :param seconds: how much time may go on for it
        """
        outcome: list[T | Failure] = []
        ensureDeferred(awaitable).addBoth(outcome.append)
        end = self.clock.seconds() + seconds
        while not outcome:
            if not self.step() and not outcome and not self._go_on(end):
                raise Stuck("nothing is left to happen, and there is no result")
        self.settle()
        result = outcome[0]
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def _go_on(self, end: float) -> bool:
        """Let time go on to the next call that is due, or to ``end``; False where it is there."""
        left = end - self.clock.seconds()
        if left < _MOMENT:
            return False
        due = min((call.getTime() for call in self.clock.getDelayedCalls()), default=end)
        self.clock.advance(min(left, max(due - self.clock.seconds(), _MOMENT)))
        return True


@implementer(IStreamClientEndpoint)
class _MemoryEndpoint:
    """Connects to a server's factory in memory."""

    def __init__(self, network: MemoryNetwork, factory: AnyFactory) -> None:
        self._network, self._factory = network, factory

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        self._factory.doStart()
        protocolFactory.doStart()
        server = self._factory.buildProtocol(IPv4Address("TCP", "client.example", 50000))
        client = protocolFactory.buildProtocol(IPv4Address("TCP", "server.example", 22222))
        if server is None or client is None:
            return fail(Failure(ConnectionLost("a factory wants no connection")))
        self._network.join(client, server)
        return succeed(client)
