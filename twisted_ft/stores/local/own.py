"""What is this user's own in a folder, and nobody else's.

Others may put things into the same folder, under the names of what is on its way in.  What isn't a
plain file of this user's, with no other name, is neither read nor written; it is removed.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from twisted_ft.errors import Forbidden
from twisted_ft.stores import system
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.holes import WORTHWHILE, append
from twisted_ft.terminal import escaped

RECORD_LIMIT = 4096
"""Bytes of a small file that are read, at most."""


def is_ours(folder: Folder, status: os.stat_result) -> bool:
    """Whether something that was put into it is this user's alone, by owner and names."""
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "geteuid") or status.st_uid == os.geteuid():
        return True
    return status.st_uid == new_owner(folder)


def new_owner(folder: Folder) -> int:
    """Whose a new file in it is: not this user's where a file system doesn't tell them apart.

    Such are FAT, and NFS for root (root_squash, exports(5)).
    """
    fd, status = folder.open_new()
    os.close(fd)
    return status.st_uid


def clear(folder: Folder, name: bytes) -> None:
    """Remove whatever stands in the way of a file of this user's own.

    :raises Forbidden: it is another user's, and can't be removed
    """
    try:
        if not folder.has_folder(name):
            folder.remove(name)
        elif not folder.remove_folder(name):
            raise OSError(errno.EPERM, "not empty")
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise Forbidden(
            f"{escaped(name)}: something in the way belongs to another user, and can't be "
            "removed; ask them to remove it"
        ) from error


def open_partial(folder: Folder, name: bytes) -> int | None:
    """A descriptor to read and append to ``name``, made if missing, for this user alone.

    :returns: None, where it was something else, or somebody else's, and that is gone now
    :raises Forbidden: it can't be removed
    """
    try:
        status = folder.stat(name)
        if stat.S_ISREG(status.st_mode) and is_ours(folder, status):
            fd, status = folder.open_plain(name, os.O_RDWR | os.O_APPEND)
            if is_ours(folder, status):
                return fd
            os.close(fd)  # another file by now
            return None
    except FileNotFoundError:
        with suppress(FileExistsError):
            return folder.open_plain(name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)[0]
        return None
    clear(folder, name)
    return None


def read_record(folder: Folder, name: bytes) -> bytes:
    """The content of a small file of this user's; nothing where none can be read."""
    try:
        fd, status = folder.open_file(name)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        return file.read(RECORD_LIMIT) if is_ours(folder, status) else b""


def write_record(folder: Folder, name: bytes, content: bytes) -> None:
    """Make ``content`` the content of a small file, which is made anew."""
    clear(folder, name)
    fd, _ = folder.open_plain(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(fd, "wb") as file:
        file.write(content)


def write_new(
    folder: Folder, name: bytes, content: bytes, mode: int, mtime: int, exact: bool, sync: bool
) -> None:
    """Write a new file, in place of what is left under its name; nothing is left if it fails.

    :param mode: permissions
    :param mtime: in nanoseconds since 1970
    :param exact: whether the mask of the process would take something of ``mode`` (umask(2))
    :param sync: whether the file is synced
    """
    try:
        fd = folder.create(name, mode)
    except FileExistsError:
        clear(folder, name)
        fd = folder.create(name, mode)
    try:
        if len(content) >= WORTHWHILE:
            append(fd, (content,), 0)
        elif content and os.write(fd, content) != len(content):
            raise OSError(errno.ENOSPC, "written in part")  # of a file, only where it is full
        if exact:
            system.set_mode(fd, mode)
        folder.set_times(name, fd, mtime)
        if sync:
            os.fsync(fd)
    except BaseException:
        os.close(fd)
        folder.remove(name)
        raise
    os.close(fd)
