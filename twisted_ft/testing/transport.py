"""A connection in memory: two transports, and what is between them."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IPushProducer,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer


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


class Connection:
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
