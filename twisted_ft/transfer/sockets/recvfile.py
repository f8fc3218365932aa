"""The counterpart of sendfile: a body that is next on a plain socket, read by a thread.

A body that comes fast needn't pass through the reactor: once a DATA frame of it has begun, the
transport is paused, and a thread takes what is to come off the socket by itself, frame after
frame, into buffers that are used again and again (``relay.py``).  That saves a trip to the
thread, a new buffer and two wake-ups for each half mebibyte.  A thread gives up as soon as
nothing has come for a moment, so a slow peer never holds one.
"""

from __future__ import annotations

import os
from socket import socket

from twisted_ft.transfer.sockets.lease import SocketLease
from twisted_ft.transfer.transports import HAS_POLL
from twisted_ft.wire.frames import DATA, HEADER_SIZE, read_header

HAS_RECVFILE = HAS_POLL and hasattr(os, "readv")
WORTHWHILE = 1 << 19
"""Bytes that must be to come for it to be worth a trip to a thread."""
BUFFER = 1 << 22
"""Bytes in a buffer, at most.  Fewer would stay in a core's cache until they are hashed; but a
socket that is emptied seldom and thoroughly costs both ends less (docs/experiments.md)."""


class SocketBody:
    """What is to come of a body, from within a DATA frame on, on a transport's socket.

    It ends with the body, and before the first frame that isn't DATA, or is more than the body.
    It has a descriptor of its own, so that the transport may be closed meanwhile.

    :param plain: a transport's, which is paused until the socket is let go of
    :param left: bytes to come of the DATA frame under way
    """

    def __init__(self, plain: socket, left: int) -> None:
        self.left = left
        self.to_come = left
        """bytes of the body that are still on the socket, or not even there"""
        self.received = 0
        """bytes of the body that are off the socket"""
        self.header = bytearray()
        """what is off the socket besides: a header, or its beginning, that wasn't followed"""
        self._fd = os.dup(plain.fileno())
        self._turn = SocketLease(self._fd, to_read=True)

    @property
    def buffer_size(self) -> int:
        """Bytes in a buffer that is large enough."""
        return min(BUFFER, self.to_come)

    def fill(self, buffer: memoryview) -> int:
        """Read until ``buffer`` is more than half full; bytes.  Blocks.

        It reads less, or nothing, where the body has been read, in a lull, when the turn is over,
        and at the end of the connection, which the transport finds by itself.
        """
        filled = 0
        while self.left and filled <= len(buffer) // 2 and not self._turn.is_over:
            try:
                count = self._read(buffer[filled:])
            except BlockingIOError:
                if self._turn.wait():
                    continue
                break
            except OSError:
                break
            if not count:
                break
            filled += count
        return filled

    def _read(self, buffer: memoryview) -> int:
        """Read once, up to the end of the frame and the header of the next; bytes of the body."""
        part = buffer[: self.left]
        header = bytearray(HEADER_SIZE if len(part) == self.left < self.to_come else 0)
        count = os.readv(self._fd, [part, header])
        data = min(count, len(part))
        self._count(data)
        if count > data:
            self._follow(header[: count - data])
        return data

    def _count(self, size: int) -> None:
        self.received += size
        self.to_come -= size
        self.left -= size

    def _follow(self, header: bytearray) -> None:
        """Go on with the frame of this header, where it is the body's."""
        frame = read_header(header)
        if frame is not None and frame.kind == DATA and 0 < frame.length <= self.to_come:
            self.left = frame.length
        else:
            self.header = header

    def close(self) -> None:
        """Let go of the socket."""
        os.close(self._fd)
