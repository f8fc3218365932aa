"""Long messages that are next on a plain socket, read by the thread that needs what is in them.

Parcels that come fast needn't pass through the reactor: once one has begun, the transport is
paused, and the thread that unpacks them takes them off the socket by itself, message after message,
into one buffer.  So there is no trip between two threads for each of them, and nothing is gathered
piece by piece.  As with a body (``recvfile.py``), a thread gives up as soon as nothing has come for
a moment.
"""

from __future__ import annotations

import os
from socket import socket

from twisted_ft.errors import ProtocolError
from twisted_ft.transfer.sockets.lease import SocketLease
from twisted_ft.wire.frames import HEADER_SIZE, MESSAGE, Header, decode, read_header
from twisted_ft.wire.messages import Message


class SocketMessages:
    """The messages that are next on a transport's socket, for a turn.

    It has a descriptor of its own, so that the transport may be closed meanwhile.

    :param plain: a transport's, which is paused until the socket is let go of
    :param limit: bytes in a message that are taken, at most
    """

    def __init__(self, plain: socket, limit: int) -> None:
        self._limit = limit
        self._buffer = memoryview(bytearray(2 * (HEADER_SIZE + limit)))
        self._start = self._end = 0
        self._over = False
        self._fd = os.dup(plain.fileno())
        self._turn = SocketLease(self._fd, to_read=True)

    def begin(self, begun: bytes) -> None:
        """Begin with what has come of the first message by other means, header and all."""
        self._buffer[: len(begun)] = begun
        self._end = len(begun)

    @property
    def rest(self) -> bytes:
        """What is off the socket, and no message that was received."""
        return bytes(self._buffer[self._start : self._end])

    def stop(self) -> None:
        """Have nothing more read."""
        self._over = True

    def receive(self, most: int) -> list[Message]:
        """The next messages, up to ``most`` of those that have come.  Blocks for the first of them.

        No message, where the turn is over: after its time, in a lull, at the end of the connection,
        which the transport finds by itself, and before what is no MESSAGE, or can't be decoded.
        """
        found: list[Message] = []
        while len(found) < most and (end := self._end_of_next(wait=not found)):
            try:
                found.append(decode(self._buffer[self._start + HEADER_SIZE : end]))
            except ProtocolError:
                self._over = True
                break
            self._start = end
        return found

    def _end_of_next(self, wait: bool) -> int:
        """Where the next message ends in the buffer, all of which has come; 0, where none has."""
        if wait and self._turn.is_over:
            self._over = True
        while not self._over:
            frame = read_header(self._buffer[self._start : self._end])
            if frame is not None and not self._takes(frame):
                self._over = True
            elif frame is not None and self._start + frame.size <= self._end:
                return self._start + frame.size
            elif not self._read(wait):
                self._over |= wait
                break
        return 0

    def _takes(self, frame: Header) -> bool:
        return frame.kind == MESSAGE and 0 < frame.length <= self._limit

    def _read(self, wait: bool) -> bool:
        """Read what has come, or wait for it; whether there was anything."""
        if self._end + self._limit > len(self._buffer):
            left = self.rest
            self._start, self._end = 0, len(left)
            self._buffer[: len(left)] = left
        while True:
            try:
                count = os.readv(self._fd, [self._buffer[self._end :]])
            except BlockingIOError:
                if wait and self._turn.wait():
                    continue
                return False
            except OSError:
                count = 0
            self._end += count
            self._over = self._over or not count
            return bool(count)

    def close(self) -> None:
        """Let go of the socket."""
        os.close(self._fd)
