"""A real server and a real client against each other in memory: no network, no threads, no waiting.

::

    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore({b"a": b"hello"}), runtime=network.runtime)
    client = network.client(factory)
    network.run(client.fetch("a", store, "a"))

Time stands still but for ``network.advance``; what would run in a thread runs between two
deliveries; transports have real back-pressure in both directions.  ``docs/testing.md`` has
recipes.  This module is public: our tests use nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred, fail, maybeDeferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.client import Client
from twisted_ft.connecting import connect
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.frames import DATA, MAGIC, FrameReader, encode, header
from twisted_ft.wire.messages import Hello, Limits, Message, Welcome

T = TypeVar("T")


@implementer(ITransport, IPushProducer)
class MemoryTransport:
    """One end of a connection in memory.

    As on a TCP transport, a producer is paused when ``bufferSize`` bytes are waiting, and
    resumed when they are gone; ``pauseProducing`` stops what would be received.
    """

    bufferSize = 1 << 16
    disconnecting = False

    def __init__(self, protocol: IProtocol, address: IAddress) -> None:
        self.protocol = protocol
        self.connected = True
        self.reading = True
        self.aborted = False
        self.written = 0
        """bytes written so far"""
        self._address = address
        self._buffer: deque[memoryview] = deque()
        self._buffered = 0
        self._producer: Any = None
        self._producer_paused = False

    @property
    def buffered(self) -> int:
        """Bytes that were written and not yet delivered."""
        return self._buffered

    def write(self, data: bytes) -> None:
        """See ITransport."""
        if not self.connected or self.disconnecting or not data:
            return
        self._buffer.append(memoryview(bytes(data)))
        self._buffered += len(data)
        self.written += len(data)
        if self._buffered > self.bufferSize and self._producer and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """See ITransport."""
        for each in data:
            self.write(each)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer; as our protocol, only push producers are known."""
        assert streaming, "a pull producer on a MemoryTransport"
        self._producer, self._producer_paused = producer, False

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None

    def loseConnection(self) -> None:
        """See ITransport: what was written is still delivered."""
        self.disconnecting = True

    def abortConnection(self) -> None:
        """See ITCPTransport: at once, whatever was written; the other end sees a loss."""
        self.disconnecting = self.aborted = True
        self._buffer.clear()
        self._buffered = 0

    def getPeer(self) -> IAddress:
        """See ITransport."""
        return self._address

    def getHost(self) -> IAddress:
        """See ITransport."""
        return self._address

    def pauseProducing(self) -> None:
        """See IPushProducer: deliver nothing more."""
        self.reading = False

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self.reading = True

    def stopProducing(self) -> None:
        """See IProducer."""
        self.loseConnection()

    # -- for the network -----------------------------------------------------------------

    def take(self, size: int) -> bytes:
        """Up to ``size`` of the bytes that are waiting, off the buffer."""
        if not self._buffer:
            return b""
        first = self._buffer.popleft()
        if len(first) > size:
            self._buffer.appendleft(first[size:])
            first = first[:size]
        self._buffered -= len(first)
        return bytes(first)

    def drained(self) -> None:
        """Ask the producer for more, where nothing is waiting."""
        if not self._buffered and self._producer is not None and self._producer_paused:
            self._producer_paused = False
            self._producer.resumeProducing()

    def lost(self, reason: Exception) -> None:
        """The connection is over."""
        if self.connected:
            self.connected = False
            self._buffer.clear()
            self._buffered = 0
            self.protocol.connectionLost(Failure(reason))


class _Connection:
    """Two ends, and what is between them."""

    def __init__(self, client: MemoryTransport, server: MemoryTransport) -> None:
        self.client, self.server = client, server

    def step(self, size: int) -> bool:
        """Move some bytes each way, or end; whether anything happened."""
        moved = self._deliver(self.client, self.server, size)
        moved = self._deliver(self.server, self.client, size) or moved
        return moved or self._finish()

    @staticmethod
    def _deliver(here: MemoryTransport, there: MemoryTransport, size: int) -> bool:
        if not there.reading or not there.connected:
            return False
        data = here.take(size)
        if data:
            there.protocol.dataReceived(data)
            here.drained()
        return bool(data)

    def _finish(self) -> bool:
        for here, there in ((self.client, self.server), (self.server, self.client)):
            if here.connected and here.disconnecting and not here.buffered:
                here.lost(ConnectionAborted() if here.aborted else ConnectionDone())
                there.lost(ConnectionLost() if here.aborted else ConnectionDone())
                return True
        return False


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
        self._connections: list[_Connection] = []
        self.runtime = self.threads().runtime
        """clock and threads, for whoever has none of their own"""

    def threads(self) -> MemoryThreads:
        """More threads: for one end alone, to hold them."""
        threads = MemoryThreads(self.clock)
        self._threads.append(threads)
        return threads

    # -- connecting ----------------------------------------------------------------------

    def endpoint(self, factory: IProtocolFactory) -> IStreamClientEndpoint:
        """An endpoint whose connections lead to ``factory``."""
        return _MemoryEndpoint(self, factory)

    def client(
        self,
        factory: IProtocolFactory,
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
        self._connections.append(_Connection(*ends))
        server.makeConnection(ends[1])
        client.makeConnection(ends[0])

    def scripted_client(self, factory: IProtocolFactory) -> ScriptedPeer:
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

    def __init__(self, network: MemoryNetwork, factory: IProtocolFactory) -> None:
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


class ScriptedPeer(Protocol):
    """Says what it is told, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Message | bytes] = []
        """messages, and pieces of DATA frames, as they came"""
        self.raw = b""
        """all the bytes that came"""
        self.lost: Failure | None = None
        """why the connection is over, once it is"""
        self._frames: FrameReader | None = FrameReader()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """See IProtocol."""
        self.lost = reason

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.raw += data
        if self._frames is not None:
            for event in self._frames.receive(data):
                self.heard.append(bytes(event) if isinstance(event, memoryview) else event)

    def listen_raw(self) -> None:
        """Keep what comes as bytes alone, for a peer that doesn't speak FT/1."""
        self._frames = None

    @property
    def messages(self) -> list[Message]:
        """The messages that came."""
        return [event for event in self.heard if not isinstance(event, bytes)]

    @property
    def body(self) -> bytes:
        """What came in DATA frames, all together."""
        return b"".join(event for event in self.heard if isinstance(event, bytes))

    def greet(self) -> None:
        """Send the magic."""
        self.send(MAGIC)

    def hello(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Greet, as a client."""
        self.greet()
        self.say(Hello((1,), "scripted", (), limits))

    def welcome(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Greet, as a server."""
        self.greet()
        self.say(Welcome(1, "scripted", (), limits))

    def say(self, *messages: Message) -> None:
        """Send messages, as they are: nothing checks whether they may be said."""
        for message in messages:
            self.send(encode(message))

    def data(self, content: bytes) -> None:
        """Send one DATA frame."""
        self.send(header(DATA, len(content)) + content)

    def pause_reading(self) -> None:
        """Take nothing off the connection; the other side's writes pile up."""
        self._end.pauseProducing()

    def resume_reading(self) -> None:
        """The counterpart of ``pause_reading``."""
        self._end.resumeProducing()

    @property
    def _end(self) -> MemoryTransport:
        assert isinstance(self.transport, MemoryTransport)
        return self.transport

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._end.write(data)
