"""One folder that files are put into: under other names first, and then all at once.

In a folder that is there, a file is called ``.ft-NUMBER.part`` until it is renamed.  Numbers count
from 0, and files are renamed last number first: so what a killed process leaves are the lowest
numbers, which the next run, as it lacks those files, uses again.

For a folder that is new and empty, a second one is made beside it, ``.ft-DIGEST.part``, in which
files have their own names already; it is renamed, and takes the empty one's place (rename(2)).  So
a file costs no renaming.  What a killed process leaves of such a folder is removed by whoever next
puts something into the real one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from twisted_ft.errors import FileTransferError
from twisted_ft.stores.folder import Folder
from twisted_ft.stores.partial import partial_names
from twisted_ft.stores.removal import Removal
from twisted_ft.wire.messages import Link, Whole

Lost = Callable[[bytes, int, OSError], None]
"""Is told of a file that hasn't got its name: its name, where its outcome stands, and why."""


def _part_name(number: int) -> bytes:
    return b".ft-%032x.part" % number


class Place:
    """A folder, open, and what is written in it that hasn't got its name.

    :param path: its own; empty for a root, beside which nothing is ever written
    :param open_folder: opens another by its path
    :param new: whether it is known to be new, so that nothing in it can be in the way
    :param empty: whether nothing has been put into it, either
    """

    def __init__(
        self,
        folder: Folder,
        path: bytes,
        open_folder: Callable[[bytes], Folder],
        new: bool,
        empty: bool,
    ) -> None:
        self.folder, self.path, self.new = folder, path, new
        self.device = folder.status().st_dev
        """the file system that it is on"""
        self._open_folder, self._empty = open_folder, empty
        self._above: Folder | None = None
        self._name = path.rpartition(b"/")[2]
        self._beside = partial_names(self._name)[0]
        self._staging: Folder | None = None
        self._first = -1
        self._staged: list[tuple[bytes, int]] = []

    def __bool__(self) -> bool:
        """Whether anything is written in it that hasn't got its name."""
        return bool(self._staged)

    def close(self) -> None:
        """Let go of it."""
        for each in (self.folder, self._above, self._staging):
            if each is not None:
                each.close()

    # -- what is written -------------------------------------------------------------------

    def write(self, item: Whole, position: int, exact: bool, sync: bool) -> None:
        """Write a small file, whose outcome stands at ``position``; see Folder.write_new."""
        where, name = self._next(item.name)
        where.write_new(name, item.content, item.mode & 0o777, item.mtime, exact, sync)
        self._staged.append((item.name, position))

    def link(self, item: Link, position: int) -> None:
        """Make a link."""
        where, name = self._next(item.name)
        where.remove(name)
        where.make_link(name, item.target, item.mtime)
        self._staged.append((item.name, position))

    def _next(self, name: bytes) -> tuple[Folder, bytes]:
        """Where a file is written, and what it is called there."""
        if self._staging is not None:
            return self._staging, name
        if self._first < 0:
            if self.path and self._stage():
                return self._next(name)
            self._first = 0 if self.folder.lock() else int.from_bytes(os.urandom(12), "big") << 24
        return self.folder, _part_name(self._first + len(self._staged))

    def _stage(self) -> bool:
        """Have a folder beside this one, if it is empty; none that a killed process has left."""
        if self._above is None:
            self._above = self._open_folder(self.path.rpartition(b"/")[0])
        self._clear(self._above)
        if not self._empty:
            return False
        try:
            self._above.make_folder(self._beside)
            staging = self._above.below([self._beside])
        except OSError:
            return False
        if not staging.lock() or not self._above.has(self._beside, staging):
            staging.close()  # another one is at it, or has removed it
            return False
        self._staging = staging
        return True

    def _clear(self, above: Folder) -> None:
        """Remove what a killed process has left beside this folder; not what one is at."""
        try:
            with above.below([self._beside]) as left:
                if left.lock():
                    Removal(above, self._beside).run()
        except (OSError, FileTransferError):  # mostly: there is none
            return

    # -- names -----------------------------------------------------------------------------

    def publish(self, overwrite: bool, lost: Lost) -> None:
        """Give everything its name."""
        staged, self._staged = self._staged, []
        staging, self._staging = self._staging, None
        if staging is None:
            self._rename(self.folder, staged, overwrite, lost)
        elif not self._replace(staging):
            with staging:
                self._rename(staging, staged, overwrite, lost)
                self._remove_staging()
        if self._first == 0:
            self.folder.unlock()
        self._first = -1
        self._empty = False

    def drop(self, lost: Lost, error: OSError) -> None:
        """Give nothing its name."""
        staged, self._staged = self._staged, []
        for number in range(len(staged) - 1, -1, -1):
            name, position = staged[number]
            with suppress(OSError):
                if self._staging is not None:
                    self._staging.remove(name)
                else:
                    self.folder.remove(_part_name(self._first + number))
            lost(name, position, error)
        if self._staging is not None:
            self._remove_staging()

    def _replace(self, staging: Folder) -> bool:
        """Have the folder beside this one take its place; False where this one isn't empty."""
        assert self._above is not None
        try:
            self._above.replace(self._beside, self._name)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            return False
        staging.unlock()
        self.folder.close()
        self.folder = staging
        return True

    def _rename(
        self, where: Folder, staged: list[tuple[bytes, int]], overwrite: bool, lost: Lost
    ) -> None:
        rename = where.replace if overwrite else where.rename_new
        for number in range(len(staged) - 1, -1, -1):
            name, position = staged[number]
            here = _part_name(self._first + number) if where is self.folder else name
            try:
                rename(here, name, self.folder)
            except OSError as error:
                with suppress(OSError):
                    where.remove(here)
                lost(name, position, error)

    def _remove_staging(self) -> None:
        assert self._above is not None
        with suppress(OSError):
            self._above.remove_folder(self._beside)
