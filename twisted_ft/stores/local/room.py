"""How much fits into the file systems of a store, and who has been promised what of it.

A file that is received has its room when it begins, so that it can't fail for want of it later,
whoever else is at work in the same store.  Other programs don't ask; what they take is seen when
the next one begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from threading import Lock
from time import monotonic

from twisted_ft.errors import NoSpace
from twisted_ft.stores.local.folder import Folder
from twisted_ft.terminal import escaped

_NOT_AGAIN = 10
"""Seconds for which nobody looks again whether room for so much can be made, as it is a walk
through all that a store has."""


class Room:
    """The free space of the file systems that one store is on.

    :param min_free: bytes that stay free on each
    :param make: asked for room on a file system (its st_dev), of so many bytes; it tells how many
        there are to be had there, and makes room only if those are enough
    """

    def __init__(self, min_free: int, make: Callable[[int, int], int]) -> None:
        self._min_free, self._make = min_free, make
        self._making = Lock()
        """held while room is made, as one who does is enough"""
        self._in_vain = (-inf, 0)
        """when it was last asked for too much, and how much there was"""
        self._promised = Counter[int]()
        """bytes that are still to be written, by file system"""
        self._lock = Lock()

    def grant(self, folder: Folder, size: int) -> Grant:
        """Promise ``size`` bytes of the file system that ``folder`` is on, or as many as there are.

        :raises OSError: it doesn't tell
        """
        device = folder.status().st_dev
        grant = self._of_what_is_free(folder, device, size)
        if grant.lack and self._may_look(grant.lack):
            grant.end()
            with self._making:
                grant = self._of_what_is_free(folder, device, size)
                if grant.lack:
                    grant.end()
                    self._make_room(device, grant.lack)
                    grant = self._of_what_is_free(folder, device, size)
        return grant

    def _may_look(self, lack: int) -> bool:
        """Whether room is looked for: who asks for very much, again and again, is told at once."""
        when, there_was = self._in_vain
        return lack <= there_was or monotonic() > when + _NOT_AGAIN

    def _make_room(self, device: int, lack: int) -> None:
        there_was = self._make(device, lack)
        if there_was < lack:
            self._in_vain = (monotonic(), there_was)

    def _of_what_is_free(self, folder: Folder, device: int, size: int) -> Grant:
        with self._lock:
            free = folder.free()
            fits = size
            if free is not None:
                fits = free - self._min_free - self._promised[device]
            granted = max(min(size, fits), 0)
            self._promised[device] += granted
        return Grant(self, device, granted, max(size - fits, 0))

    def give_back(self, device: int, size: int) -> None:
        """So much of what was promised is written by now, or never will be."""
        with self._lock:
            self._promised[device] -= size
            if not self._promised[device]:
                del self._promised[device]


class Grant:
    """What one writer has been promised; see Room.

    :param left: bytes that are still to be written
    :param lack: bytes that would have to become free for all that was asked for
    """

    def __init__(self, room: Room, device: int, left: int, lack: int) -> None:
        self._room, self._device = room, device
        self.left, self.lack = left, lack

    def use(self, size: int) -> None:
        """So many bytes have been written: they aren't free any more."""
        size = min(size, self.left)
        self.left -= size
        self._room.give_back(self._device, size)

    def end(self) -> None:
        """Nothing more is written; may be called more than once."""
        self.use(self.left)


def no_more_room(path: bytes, size: int) -> NoSpace:
    """The failure where ``size`` bytes have come of a file, nobody knows how many are to come, and
    no more fit."""
    return NoSpace(
        f"{escaped(path)}: there is no room for more than {size:,} bytes of it; "
        "make room, and try again"
    )


def no_room(path: bytes, size: int, left: int) -> NoSpace:
    """The failure where ``size`` bytes are still to come for a file, and only ``left`` fit."""
    return NoSpace(
        f"{escaped(path)}: it needs {size:,} bytes, and there is room for {left:,}; "
        "make room, and try again"
    )
