"""How much fits into the file systems of a store, and who has been promised what of it.

A file that is received has its room when it begins, so that it can't fail for want of it later,
whoever else is at work in the same store.  Other programs don't ask; what they take is seen when
the next one begins.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock

from twisted_ft.errors import NoSpace
from twisted_ft.stores.local.folder import Folder
from twisted_ft.terminal import escaped


class Room:
    """The free space of the file systems that one store is on.

    :param min_free: bytes that stay free on each
    """

    def __init__(self, min_free: int) -> None:
        self._min_free = min_free
        self._promised = Counter[int]()
        """bytes that are still to be written, by file system"""
        self._lock = Lock()

    def grant(self, folder: Folder, size: int) -> Grant:
        """Promise ``size`` bytes of the file system that ``folder`` is on, or as many as there are.

        :raises OSError: it doesn't tell
        """
        device = folder.status().st_dev
        with self._lock:
            free = folder.free()
            if free is not None:
                size = min(size, max(free - self._min_free - self._promised[device], 0))
            self._promised[device] += size
        return Grant(self, device, size)

    def give_back(self, device: int, size: int) -> None:
        """So much of what was promised is written by now, or never will be."""
        with self._lock:
            self._promised[device] -= size
            if not self._promised[device]:
                del self._promised[device]


class Grant:
    """What one writer has been promised; see Room."""

    def __init__(self, room: Room, device: int, left: int) -> None:
        self._room, self._device = room, device
        self.left = left
        """bytes that are still to be written"""

    def use(self, size: int) -> None:
        """So many bytes have been written: they aren't free any more."""
        size = min(size, self.left)
        self.left -= size
        self._room.give_back(self._device, size)

    def end(self) -> None:
        """Nothing more is written; may be called more than once."""
        self.use(self.left)


def no_room(path: bytes, size: int, left: int) -> NoSpace:
    """The failure where ``size`` bytes are still to come for a file, and only ``left`` fit."""
    return NoSpace(
        f"{escaped(path)}: it needs {size:,} bytes, and there is room for {left:,}; "
        "make room, and try again"
    )
