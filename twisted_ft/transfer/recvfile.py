"""The counterpart of sendfile: what is next on a plain socket, read by a thread.

A body that comes fast needn't pass through the reactor: while a DATA frame has bytes to come,
the transport is paused, and a thread takes them off the socket by itself, into buffers that are
used again and again (``relay.py``).  That saves a trip to the thread, a new buffer and two
wake-ups for each half mebibyte.  A thread gives up as soon as nothing has come for a moment, so
a slow peer never holds one.
"""

from __future__ import annotations

import os
import select
import time
from typing import Any

from twisted.internet import tcp

HAS_RECVFILE = hasattr(os, "readv") and hasattr(select, "poll")
WORTHWHILE = 1 << 19
"""Bytes that must be to come for it to be worth a trip to a thread."""
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
        self._readable = select.poll()
        self._readable.register(self._fd, select.POLLIN)
        self._deadline: float | None = None

    def fill(self, buffer: memoryview) -> int:
        """Read what is there, and wait a moment for it where nothing is; bytes.  Blocks.

        It gives nothing where the range has been read, in a lull, when its time is over, and at
        the end of the connection, which the transport finds by itself.
        """
        if self._deadline is None:
            self._deadline = time.monotonic() + _TURN
        if self.received == self.size or time.monotonic() >= self._deadline:
            return 0
        wanted = buffer[: self.size - self.received]
        count = self._fill(wanted)
        if not count and self._readable.poll(_LULL):
            count = self._fill(wanted)
        self.received += count
        return count

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
