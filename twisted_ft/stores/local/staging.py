"""One folder that files are put into: under other names first, and then all at once.

In a folder that is there, a file is called ``.ft-NUMBER.part`` until it is renamed.  Numbers count
from 0, what was left of higher ones is removed, and files are renamed, last number first: so what a
killed process leaves are the lowest numbers, which the next run, as it lacks those files, uses
again.

A folder that isn't there is made as ``.ft-DIGEST.part``, in which all have their own names already,
and renamed when it is filled: so a file in it costs no renaming.  What a killed process leaves of
such a folder is removed by whoever next makes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from twisted_ft.errors import FileTransferError
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.own import clear, is_ours, write_new
from twisted_ft.stores.local.record import partial_names
from twisted_ft.stores.local.removal import Removal
from twisted_ft.stores.local.replacing import replaceable
from twisted_ft.stores.names import join
from twisted_ft.wire.messages import Link, Whole

Lost = Callable[[bytes, int, OSError | FileTransferError], None]
"""Is told of what hasn't got its name: its name, where its outcome stands, and why."""


def _part_name(number: int) -> bytes:
    return b".ft-%032x.part" % number


class StagingFolder:
    """A folder, open, and what is written in it that hasn't got its name.

    :param path: its own
    :param new: whether it was new or empty, so that nothing in it can be in the way
    :param hidden: whether nobody can see it yet: what is written in it has its name at once
    """

    def __init__(self, folder: Folder, path: bytes, new: bool, hidden: bool = False) -> None:
        self.folder, self.path, self.new, self.hidden = folder, path, new, hidden
        self.device = folder.status().st_dev
        """the file system that it is on"""
        self.staged: list[tuple[bytes, int]] = []
        """names, each with where its outcome stands"""
        self._first = -1

    def close(self) -> None:
        """Let go of it."""
        self.folder.close()

    def write(self, item: Whole, position: int, exact: bool, sync: bool) -> None:
        """Write a small file, whose outcome stands at ``position``; see write_new."""
        name = item.name if self.hidden else self._next_part()
        write_new(self.folder, name, item.content, item.mode & 0o777, item.mtime, exact, sync)
        self.staged.append((item.name, position))

    def link(self, item: Link, position: int) -> None:
        """Make a link."""
        name = item.name if self.hidden else self._next_part()
        clear(self.folder, name)
        self.folder.make_link(name, item.target, item.mtime)
        self.staged.append((item.name, position))

    def _next_part(self) -> bytes:
        """What one more file is called; from 0 on where nobody else is at this folder."""
        if self._first < 0:
            self._first = 0 if self.folder.lock() else int.from_bytes(os.urandom(12), "big") << 24
        return _part_name(self._first + len(self.staged))

    def publish(self, overwrite: bool, lost: Lost) -> None:
        """Give everything its name, in a folder that is there."""
        staged, self.staged = self.staged, []
        self._clear_beyond(len(staged))
        rename = self.folder.replace if overwrite else self.folder.rename_new
        numbers = range(len(staged))
        if len(dict(staged)) == len(staged):  # else a name has come twice: the last one stays
            numbers = numbers[::-1]
        for number in numbers:
            name, position = staged[number]
            part = _part_name(self._first + number)
            try:
                rename(part, name)
            except OSError as error:
                with suppress(OSError):
                    self.folder.remove(part)
                lost(name, position, error)
        self._let_go()

    def drop(self, lost: Lost, error: OSError) -> None:
        """Give nothing its name."""
        staged, self.staged = self.staged, []
        self._clear_beyond(len(staged))
        for number in range(len(staged) - 1, -1, -1):
            name, position = staged[number]
            with suppress(OSError):
                self.folder.remove(_part_name(self._first + number))
            lost(name, position, error)
        self._let_go()

    def _clear_beyond(self, used: int) -> None:
        """Remove what a killed process has left beyond what is used now, last number first.

        That is done before any of it has its name: so whoever is killed, whenever that is, leaves
        all numbers up to some one.
        """
        if self._first == 0:
            with suppress(OSError):
                end = used
                with suppress(FileNotFoundError):  # mostly: there is none
                    while self.folder.stat(_part_name(end)):
                        end += 1
                for number in range(end - 1, used - 1, -1):
                    self.folder.remove(_part_name(number))

    def _let_go(self) -> None:
        """Let another one at it."""
        if self._first == 0:
            self.folder.unlock()
        self._first = -1

    def move(self, there: Folder, overwrite: bool, lost: Lost) -> None:
        """Have what is in this hidden folder in another one, which is there."""
        staged, self.staged = self.staged, []
        rename = self.folder.replace if overwrite else self.folder.rename_new
        for name, position in dict(staged).items():
            try:
                replaceable(there, name, join(self.path, name))
                rename(name, name, there)
            except (OSError, FileTransferError) as error:
                lost(name, position, error)


class HiddenFolder:
    """A folder that isn't there yet, with all that is in it: made under another name.

    :param above: the folder that it is to be in
    :param name: what it is to be called
    :param position: where its outcome stands
    :raises OSError: it can't be made, or another one is at it (EEXIST)
    """

    def __init__(self, above: Folder, name: bytes, position: int) -> None:
        self._above, self.name, self.position = above, name, position
        self._beside = partial_names(name)[0]
        try:
            above.make_folder(self._beside)
        except FileExistsError:
            self._clear()
            above.make_folder(self._beside)
        self.folder = above.below([self._beside])
        self.stagings: list[StagingFolder] = []
        """it, and the folders in it"""
        ours = self.folder.lock() and is_ours(above, self.folder.status())
        if not ours or not above.is_still(self._beside, self.folder.status()):
            self.folder.close()
            raise FileExistsError(self._beside)

    def appear(self) -> bool:
        """Give it its name; False where there is something of that name by now."""
        try:
            self._above.replace(self._beside, self.name)
        except OSError:
            return False
        self.folder.unlock()
        for staging in self.stagings:
            staging.hidden = False
            staging.staged.clear()
        return True

    def discard(self) -> None:
        """Remove what there is of it."""
        with suppress(OSError, FileTransferError):
            Removal(self._above, self._beside).run()

    def _clear(self) -> None:
        """Remove what a killed process has left; not what one is at."""
        with suppress(OSError, FileTransferError), self._above.below([self._beside]) as left:
            if left.lock():
                Removal(self._above, self._beside).run()
