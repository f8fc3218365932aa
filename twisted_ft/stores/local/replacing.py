"""What a file may take the place of: another file, a link to one, or nothing.

A link is judged by where it leads.  Who has put a link to a device, a pipe or a socket somewhere
means the device, as programs do that open it; so it stays, as the device itself would.  What a link
leads to is looked at, but never opened, wherever that is.

Between the look and rename(2), which knows no conditions, are microseconds in which another program
can put something else there.
"""

from __future__ import annotations

import os
import stat
from functools import cache

from twisted_ft.errors import IsADirectory, NotAFile
from twisted_ft.stores.local.folder import Folder
from twisted_ft.terminal import escaped

_MOST_LINKS = 40
"""Links that lead to one another and are followed, as Linux does (path_resolution(7))."""


def replaceable(folder: Folder, name: bytes, path: bytes) -> os.stat_result | None:
    """What a file called ``name`` would take the place of, as lstat(2) has it; None for nothing.

    :param path: its path, for failures
    :raises IsADirectory: a folder is never replaced
    :raises NotAFile: nor is a FIFO, a device or a socket, nor a link to one
    """
    try:
        status = folder.stat(name)
    except FileNotFoundError:
        return None
    check_replaceable(folder, name, status, path)
    return status


def check_replaceable(folder: Folder, name: bytes, status: os.stat_result, path: bytes) -> None:
    """Whether ``name``, which has this status, may make room for a file; see ``replaceable``."""
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectory(
            f"{escaped(path)}: this is a folder; end the name with / to put a file into it"
        )
    if not stat.S_ISLNK(status.st_mode):
        raise NotAFile(f"{escaped(path)}: this is not a file, and is not replaced")
    if not _leads_to_a_file(folder, name):
        raise NotAFile(
            f"{escaped(path)}: this link leads to something that is not a file, such as a "
            "device, or can't be looked at; it is not replaced"
        )


def _leads_to_a_file(folder: Folder, link: bytes) -> bool:
    """Whether a link leads to a file, or a folder, or nowhere at all."""
    here = link
    try:
        for _ in range(_MOST_LINKS):
            status = folder.stat(here)
            if not stat.S_ISLNK(status.st_mode):
                return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
            if status.st_dev == _device_of_streams():
                return False
            here = os.path.join(os.path.dirname(here), folder.read_link(here))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True  # round and round


@cache
def _device_of_streams() -> int | None:
    """The file system whose links are what processes have open, as Linux's proc(5).

    /dev/stdout is a link to one of them.  Where it leads looks like any file's path, but to follow
    it is to write to what is open.
    """
    try:
        return os.stat("/dev/fd").st_dev
    except OSError:
        return None
