"""Why something can't be had, or done: the sentences that stores share."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Busy,
    FileTransferError,
    Forbidden,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotFound,
    ReadOnly,
    SourceChanged,
    StorageFailed,
)
from twisted_ft.stores.names import PATH_MAX
from twisted_ft.terminal import escaped

_BY_ERRNO: dict[int, tuple[type[FileTransferError], str]] = {
    errno.ENOENT: (NotFound, "there is no such file or folder"),
    errno.EISDIR: (IsADirectory, "this is a folder"),
    errno.ENOTDIR: (NotADirectory, "a part of this path is not a folder"),
    errno.ELOOP: (NotAFile, "there is a symbolic link in this path, and links aren't followed"),
    errno.ENXIO: (NotAFile, "this is not a file"),
    errno.EACCES: (Forbidden, "permission denied"),
    errno.EPERM: (Forbidden, "operation not permitted"),
    errno.EROFS: (ReadOnly, "the file system is read-only"),
    errno.EEXIST: (AlreadyExists, "there is already a file with this name"),
    errno.ENOSPC: (NoSpace, "no space left on the disk; make room, and try again"),
    errno.EDQUOT: (NoSpace, "the disk quota is used up; make room, and try again"),
    errno.EFBIG: (NoSpace, "the file is too large for the file system"),
    errno.ENAMETOOLONG: (BadName, "the name is too long for the file system"),
    errno.EILSEQ: (BadName, "the file system doesn't allow this name"),
    errno.ENOTEMPTY: (Busy, "something was put into the folder while it was removed; try again"),
    errno.ESTALE: (SourceChanged, "the file changed while it was being sent; try again"),
    errno.EBUSY: (Busy, "the operating system is using it; try again later"),
    errno.EXDEV: (
        StorageFailed,
        "the new name is on another file system, so it can't be renamed; "
        "download it, and upload it there",
    ),
}


@contextmanager
def os_errors_named(path: bytes) -> Iterator[None]:
    """Turn an OSError into a failure that names ``path`` and says what happened."""
    try:
        yield
    except OSError as error:
        raise failure_of(error, path) from error


def failure_of(error: OSError, path: bytes) -> FileTransferError:
    """What an OSError about ``path`` means to a person, and to the other side."""
    kind, text = _BY_ERRNO.get(error.errno or 0, (StorageFailed, error.strerror or str(error)))
    if error.errno == errno.EINVAL and isinstance(error.filename, (bytes, str)):
        kind, text = _BY_ERRNO[errno.EILSEQ]
    return kind(f"{escaped(path) or 'the root'}: {text}")


def source_changed(path: bytes) -> SourceChanged:
    """The failure where a file is no longer what was offered of it."""
    return SourceChanged(f"{escaped(path)}: the file changed while it was being sent; try again")


def folder_in_the_way(path: bytes) -> IsADirectory:
    """Where a tree has a file, there is a folder."""
    return IsADirectory(f"{escaped(path)}: this is a folder, and a file can't replace it")


def file_in_the_way(path: bytes) -> NotADirectory:
    """Where a tree has a folder, there is something else."""
    return NotADirectory(f"{escaped(path)}: this must be a folder, and isn't one")


def already_exists(path: bytes) -> AlreadyExists:
    """The failure where a file may not be replaced."""
    return AlreadyExists(
        f"{escaped(path)}: there is already a file with this name, and it may not be replaced"
    )


def unsayable(path: bytes, count: int) -> BadName:
    """The failure where ``count`` names in a folder make a path too long."""
    names = "1 name" if count == 1 else f"{count} names"
    return BadName(
        f"{escaped(path[:40])}...: {names} in it would make a path longer than "
        f"{PATH_MAX} bytes; move the folder up, or give it shorter names"
    )
