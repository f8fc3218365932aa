"""The counterpart of recvfile: a body onto a plain socket, written by a thread.

A body needn't pass through the reactor: once the transport has nothing to send, a thread writes
DATA frames to the socket by itself, one after another: those of a file by sendfile(2), so that
the kernel moves the bytes, and those that it has hashed from the buffer where they are.  It may
wait for the disk, as the reactor must not.  A thread gives up as soon as nothing could be written
for a moment, so a slow peer never holds one; what is left of its frame by then is the
transport's to send.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from twisted_ft.stores.interfaces import (
    Buffer,
    DescriptorSource,
    IDescriptorSource,
    Source,
)
from twisted_ft.transfer.sockets.lease import SocketLease
from twisted_ft.transfer.transports import HAS_POLL
from twisted_ft.wire.frames import DATA, header

HAS_SENDFILE = HAS_POLL and hasattr(os, "sendfile") and hasattr(os, "preadv")
WORTHWHILE = 1 << 19
"""Bytes that must be to go for it to be worth a thread's turn."""
_TURNS = 2
"""Turns in whose time the socket is waited for, to fill a frame; after one, no other begins."""
_MORE = getattr(socket, "MSG_MORE", 0)
"""Says that more follows at once, where that can be said: no packet for a header."""


def can_sendfile(source: Source) -> bool:
    """Whether a thread can write the bytes of ``source`` to a plain socket as they are."""
    return HAS_SENDFILE and IDescriptorSource.providedBy(source)


class SocketFrames:
    """DATA frames on a transport's socket, whole ones, for a turn.

    It has a descriptor of its own, so that the transport may be closed meanwhile.

    :param plain: a transport's, which has nothing to send until the socket is let go of
    """

    def __init__(self, plain: socket.socket) -> None:
        self.rest: list[bytes] = []
        """what the socket hasn't taken of the last frames; the transport's to send"""
        self.size = 0
        """bytes in the frames that were begun, which are whole when ``rest`` is sent"""
        self._socket = plain.dup()
        self._turn = SocketLease(self._socket.fileno(), to_read=False)
        self._ending = False
        self._stopped = False

    @property
    def may_begin(self) -> bool:
        """Whether there is time for one more frame, and nobody waits for the socket."""
        return not self.rest and not self._ending and not self._turn.is_over

    def end_soon(self) -> None:
        """Have no other frame begun."""
        self._ending = True

    def stop(self) -> None:
        """Have nothing more written, as the connection is over."""
        self._ending = self._stopped = True

    def write(self, pieces: Sequence[Buffer]) -> None:
        """Send each piece as a frame.  Blocks."""
        for piece in pieces:
            self._begin(len(piece))
            self._send(piece)

    def write_range(self, source: DescriptorSource, offset: int, size: int) -> int:
        """Send a range of a file as a frame; the bytes that the file still had.  Blocks.

        What it has no more is made up with zeros, as a frame must be filled.
        """
        self._begin(size)
        here, there = source.fileno(), self._socket.fileno()
        gone = self._write(lambda at: os.sendfile(there, here, offset + at, size - at), size)
        if gone == size:
            return gone
        found = b""
        try:
            found = source.read(offset + gone, size - gone)
        finally:
            self.rest += [found, bytes(size - gone - len(found))]
        return gone + len(found)

    def _begin(self, size: int) -> None:
        self.size += size
        self._send(header(DATA, size), _MORE)

    def _send(self, data: Buffer, flags: int = 0) -> None:
        view = memoryview(data)
        gone = self._write(lambda at: self._socket.send(view[at:], flags), len(view))
        if gone < len(view):
            self.rest.append(bytes(view[gone:]))

    def _write(self, some: Callable[[int], int], size: int) -> int:
        """Write up to ``size`` bytes, some at a time; how many went.

        They are fewer in a lull, late in a turn, or where anything is wrong: with the connection,
        which the transport finds by itself, or with the file, which reading it will say.
        """
        gone = 0
        while gone < size and not self.rest and not self._stopped:
            try:
                count = some(gone)
            except BlockingIOError:
                if self._turn.wait(_TURNS):
                    continue
                break
            except OSError:
                break
            if not count:
                break
            gone += count
        return gone

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
