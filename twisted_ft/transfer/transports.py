"""What is asked of a transport, and all that no interface of Twisted's says of one.

A transport is TCP, TLS over it, a UNIX socket, or the in-memory one of ``twisted_ft.testing``.
What only some of them have is looked for here, and nowhere else.
"""

from __future__ import annotations

import os
import select
import socket
from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, ISSLTransport

HAS_POLL = hasattr(select, "poll")
RECEIVE_SIZE = 1 << 19
"""Bytes taken off a socket at once, at most: fewer and larger pieces to write to a disk."""
SEND_SIZE = 1 << 20
"""Bytes given to a socket at once, at most: a whole parcel, where Twisted gives an eighth of it."""


class Stream(Protocol):
    """What bytes are written to: a transport, or what stands before one."""

    def write(self, data: bytes, /) -> None:
        """Send ``data`` after all that was written before."""

    def writeSequence(self, pieces: tuple[bytes, ...], /) -> None:
        """The same for several pieces."""


class Transport(Stream, Protocol):
    """ITransport, IPushProducer and IConsumer in one, as Twisted's stream transports are."""

    def registerProducer(self, producer: Any, streaming: bool, /) -> None:
        """Pause ``producer`` when much waits to be sent, and resume it when all of it is gone."""

    def unregisterProducer(self) -> None:
        """Ask nobody for more."""

    def pauseProducing(self) -> None:
        """Give the protocol nothing more."""

    def resumeProducing(self) -> None:
        """The counterpart of ``pauseProducing``."""

    def loseConnection(self) -> None:
        """Close, once all is sent."""

    def abortConnection(self) -> None:
        """Close at once."""

    def getPeer(self) -> IAddress:
        """The other end's address."""


def prepare(transport: Any) -> None:
    """Have it send at once, notice a peer that is gone, and move much in one call."""
    if hasattr(transport, "setTcpNoDelay"):
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
    take_large_pieces(transport)


def take_large_pieces(transport: Any) -> None:
    """Have it move much in one call, where it is a socket's (see ``FileDescriptor``)."""
    if hasattr(transport, "bufferSize"):
        transport.bufferSize = RECEIVE_SIZE
    if hasattr(transport, "SEND_LIMIT"):
        transport.SEND_LIMIT = SEND_SIZE


def plain_socket(transport: Any) -> socket.socket | None:
    """The socket on which the bytes of the stream are as they are; None where there is none."""
    if HAS_POLL and isinstance(transport, tcp.Connection) and not transport.TLS:
        handle: socket.socket = transport.getHandle()
        return handle
    return None


def ask_when_sent(transport: Any, puller: Any) -> None:
    """Have ``puller.resumeProducing`` called when all is sent, and the socket takes something.

    That is how a plain transport treats a pull producer (``FileDescriptor.doWrite``).
    """
    transport.unregisterProducer()
    transport.registerProducer(puller, False)
    transport.startWriting()


def unsent(transport: Any) -> int:
    """Bytes that were written and that the socket hasn't taken; 0 where that can't be told."""
    below = transport
    while ISSLTransport.providedBy(below) and hasattr(below, "transport"):
        below = below.transport
    if hasattr(below, "buffered"):  # twisted_ft.testing
        return int(below.buffered)
    if not hasattr(below, "dataBuffer"):
        return 0
    return len(below.dataBuffer) - int(below.offset) + int(below._tempDataLen)


def name_of(address: Any) -> str:
    """An address, for logs: ``host:port``, or the path of a UNIX socket."""
    host = getattr(address, "host", None)
    return f"{host}:{address.port}" if host else host_of(address)


def host_of(address: Any) -> str:
    """The part of an address that all connections of one machine share."""
    name = getattr(address, "host", None) or getattr(address, "name", address)
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)
