"""A folder removed with all that is in it, however deep that is.

One folder is open at a time.  The way up is ``..``, which must be the folder that the way down
came from; so neither a link nor a folder that is moved meanwhile leads elsewhere.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.partial import remove_partial
from twisted_ft.stores.names import PARTIAL
from twisted_ft.stores.refusals import failure_of


@dataclass
class _Level:
    """A folder on the way down."""

    status: os.stat_result
    left: list[bytes]
    """the names that are still to be removed in it, the next one last"""


class Removal:
    """Removes one folder, depth first.

    :param parent: the folder that it is in
    :param path: its own, from the root
    """

    def __init__(self, parent: Folder, path: bytes) -> None:
        self._parent = parent
        self._above, _, name = path.rpartition(b"/")
        self._levels = [_Level(parent.status(), [name])]
        self._count = 0

    def run(self) -> int:
        """Remove it; how many files and folders that were, without partial files.

        :raises FileTransferError: what couldn't be removed, and why; what was removed is
        """
        here = self._parent.below([])
        try:
            while self._levels[0].left:
                try:
                    there = self._down(here) if self._levels[-1].left else self._up(here)
                except OSError as error:
                    raise failure_of(error, self._next_path()) from error
                if there is not None:
                    here.close()
                    here = there
            return self._count
        finally:
            here.close()

    def _down(self, here: Folder) -> Folder | None:
        """Remove what is next in a folder; where that is a folder that isn't empty, it is next."""
        level = self._levels[-1]
        try:
            below = self._remove(here, level.left[-1])
        except FileNotFoundError:  # removed since, or published under its own name
            if len(self._levels) == 1:
                raise
            below = None
        if below is None:
            level.left.pop()
        return below

    def _remove(self, here: Folder, name: bytes) -> Folder | None:
        if here.has_folder(name):
            if not here.remove_folder(name):
                return self._entered(here.below([name]))
        elif PARTIAL.fullmatch(name):
            remove_partial(here, name, self._next_path())
            return None
        else:
            here.remove(name)
        self._count += 1
        return None

    def _entered(self, folder: Folder) -> Folder:
        try:
            left = sorted(folder.names(), key=_turn, reverse=True)
            self._levels.append(_Level(folder.status(), left))
        except OSError:
            folder.close()
            raise
        return folder

    def _up(self, here: Folder) -> Folder:
        """Go back to the folder that this one is in, and remove this one, which is empty."""
        self._levels.pop()
        level = self._levels[-1]
        above = here.above(level.status)
        try:
            if not above.remove_folder(level.left[-1]):
                raise OSError(errno.ENOTEMPTY, "not empty")
        except OSError:
            above.close()
            raise
        level.left.pop()
        self._count += 1
        return above

    def _next_path(self) -> bytes:
        """The path of what is next, for failures."""
        names = [level.left[-1] for level in self._levels if level.left]
        return b"/".join([self._above, *names] if self._above else names)


def _turn(name: bytes) -> tuple[int, bytes]:
    """Partial files come first, as they may be in use; what is known of them goes last."""
    if not PARTIAL.fullmatch(name):
        return 1, name
    return (0 if name.lower().endswith(b".part") else 2), name
