"""Which folders of a tree have all that is in them, so that they get their time and permissions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted_ft.stores.names import join
from twisted_ft.wire.messages import Settled


class Settling:
    """Counts what is under way in each folder; a folder waits for the folders in it, too.

    :param ready: is told of each folder that is complete: the one that it is in, and what it is to
        be like
    """

    def __init__(self, ready: Callable[[bytes, Settled], None]) -> None:
        self._ready = ready
        self._open: set[bytes] = {b""}
        self._counts: Counter[bytes] = Counter()
        self._ends: dict[bytes, tuple[bytes, Settled]] = {}

    def begin_folder(self, above: bytes, name: bytes) -> None:
        """A folder is on its way."""
        path = join(above, name)
        self._open.add(path)
        self._counts[path] += 1
        self._counts[above] += 1

    def end_folder(self, above: bytes, name: bytes) -> None:
        """It is there, with or without what is in it."""
        self.end(join(above, name))

    def drop_folder(self, above: bytes, name: bytes) -> None:
        """It can't be had, or isn't wanted."""
        path = join(above, name)
        if path in self._open:
            self._open.discard(path)
            self._counts.pop(path, None)
            self._ends.pop(path, None)
            self.end(above)

    def begin(self, folder: bytes, count: int = 1) -> None:
        """Some files are on their way into a folder."""
        self._counts[folder] += count

    def end(self, folder: bytes, count: int = 1) -> None:
        """They are there, or never will be."""
        self._counts[folder] -= count
        if self._counts[folder] <= 0:  # of one that nobody has spoken of, nothing is kept
            del self._counts[folder]
        self._look_at(folder)

    def listed(self, above: bytes, end: Settled) -> None:
        """Nothing more is coming into a folder but what is under way."""
        path = join(above, end.name)
        if path in self._open:
            self._ends[path] = above, end
            self._look_at(path)

    def _look_at(self, folder: bytes) -> None:
        """Settle a folder that is complete, and then perhaps those above it."""
        while folder in self._ends and not self._counts[folder]:
            above, end = self._ends.pop(folder)
            self._open.discard(folder)
            self._counts.pop(folder, None)
            self._ready(above, end)
            if not folder:
                return
            self._counts[above] -= 1
            if self._counts[above] <= 0:
                del self._counts[above]
            folder = above
