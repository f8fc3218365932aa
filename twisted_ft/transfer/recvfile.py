"""The counterpart of sendfile: what is next on a plain socket, read by the thread that writes it.

A body that comes fast needn't pass through the reactor: while a DATA frame has bytes to come,
the transport is paused, and the thread that hashes and writes them takes them off the socket
by itself, into one buffer that stays in a core's cache.  That saves a trip to the thread, a new
buffer and two wake-ups for each half mebibyte.  A thread gives up as soon as nothing has come
for a moment, so a slow peer never holds one.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from typing import Any

from twisted.internet import tcp

HAS_RECVFILE = hasattr(os, "readv") and hasattr(select, "poll")
WORTHWHILE = 1 << 19
"""Bytes that must be to come for it to be worth a trip to a thread."""
_BUFFER = 1 << 19
"""Bytes read at once, at most."""
_LULL = 10
"""Milliseconds in which something must come."""
_TURN = 0.25
"""Seconds after which a thread is given back, for others to have it."""


def can_recvfile(transport: Any) -> bool:
    """Whether the bytes of the stream can be taken off the transport's socket as they are."""
    return HAS_RECVFILE and isinstance(transport, tcp.Connection) and not transport.TLS


class SocketRange:
    """The next ``size`` bytes on a transport's socket, all of one body.

    It has a descriptor of its own, so that the transport may be closed meanwhile.

    :param transport: a plain one, which is paused until the range is closed
    """

    def __init__(self, transport: Any, size: int) -> None:
        self.size = size
        self.received = 0
        """bytes that are off the socket"""
        self._fd = os.dup(transport.fileno())

    def pieces(self) -> Iterator[memoryview]:
        """What comes, until it is all there, or for as long as it comes fast.  Blocks.

        Each piece is in the same buffer, and gone with the next.  The end of the connection is
        the end of the pieces; the transport finds it by itself.
        """
        buffer = memoryview(bytearray(min(_BUFFER, self.size)))
        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        deadline = time.monotonic() + _TURN
        said_readable = False
        while self.received < self.size and time.monotonic() < deadline:
            count = self._fill(buffer[: self.size - self.received])
            self.received += count
            if count:
                said_readable = False
                yield buffer[:count]
            elif said_readable or not readable.poll(_LULL):
                break
            else:
                said_readable = True

    def _fill(self, buffer: memoryview) -> int:
        """Read until ``buffer`` is half full at least, or nothing more is there."""
        filled = 0
        try:
            while filled <= len(buffer) // 2:
                count = os.readv(self._fd, [buffer[filled:]])
                if not count:
                    break
                filled += count
        except OSError:
            pass
        return filled

    def close(self) -> None:
        """Let go of the socket."""
        os.close(self._fd)
