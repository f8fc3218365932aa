"""A folder and all folders below it, gone through one by one.

One folder is open at a time, however deep they are, and what waits is only names.  The way up is
``..``, which must be the folder that the way down came from.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.joined import apart, joined


@dataclass
class _Level:
    """A folder on the way down."""

    status: os.stat_result
    left: Iterator[bytes]
    """the names of folders in it that are still to be gone through"""


def folders_below(top: Folder) -> Generator[tuple[bytes, Folder]]:
    """The folder ``top`` and each below it, open, with its path from there; outer ones first,
    and those in one folder sorted by name.

    Links aren't followed.  What can't be opened, or is gone by then, is passed over.  Each is the
    caller's until the next one is asked for; close the iterator where you don't go to its end.

    :raises OSError: EBUSY where a folder is moved meanwhile
    """
    here, names = top.below([]), list[bytes]()
    try:
        levels = [_level(here)]
        yield b"", here
        while levels:
            name = next(levels[-1].left, None)
            if name is not None:
                if (entered := _entered(here, name)) is not None:
                    here.close()
                    here, level = entered
                    names.append(name)
                    levels.append(level)
                    yield b"/".join(names), here
                continue
            levels.pop()
            if levels:
                names.pop()
                below, here = here, here.above(levels[-1].status)
                below.close()
    finally:
        here.close()


def _entered(here: Folder, name: bytes) -> tuple[Folder, _Level] | None:
    try:
        folder = here.below([name])
    except OSError:
        return None
    try:
        return folder, _level(folder)
    except OSError:
        folder.close()
        return None


def _level(folder: Folder) -> _Level:
    return _Level(folder.status(), apart(joined(sorted(folder.folder_names()))))
