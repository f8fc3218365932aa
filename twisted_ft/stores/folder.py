"""A folder that is held open, and what can be done in it without leaving it.

Where the platform has ``openat`` and its kin (Linux, macOS, the BSDs), a folder is a file
descriptor and every step down is taken from it with O_NOFOLLOW, so that no symbolic link,
however late it is put there, leads out of the root (open(2), openat(2)).  Elsewhere a
folder is a path, and links are looked for at each step.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    FileTransferError,
    Forbidden,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotFound,
    ReadOnly,
    StorageFailed,
)
from twisted_ft.terminal import shown

HAS_DIR_FD = {os.open, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)

_BY_ERRNO: dict[int, tuple[type[FileTransferError], str]] = {
    errno.ENOENT: (NotFound, "there is no such file or folder"),
    errno.EISDIR: (IsADirectory, "this is a folder"),
    errno.ENOTDIR: (NotADirectory, "a part of this path is no folder"),
    errno.ELOOP: (NotAFile, "this is a symbolic link, and links aren't followed"),
    errno.ENXIO: (NotAFile, "this is no file"),
    errno.EACCES: (Forbidden, "permission denied"),
    errno.EPERM: (Forbidden, "operation not permitted"),
    errno.EROFS: (ReadOnly, "the file system is read-only"),
    errno.EEXIST: (AlreadyExists, "there is a file of this name already"),
    errno.ENOSPC: (NoSpace, "no space left on the disk"),
    errno.EDQUOT: (NoSpace, "the disk quota is used up"),
    errno.EFBIG: (NoSpace, "the file is too large for the file system"),
    errno.ENAMETOOLONG: (BadName, "the name is too long for the file system"),
    errno.EILSEQ: (BadName, "the file system can't hold this name"),
    errno.EINVAL: (BadName, "the file system can't hold this name"),
}


@contextmanager
def sentences(path: bytes) -> Iterator[None]:
    """Turn an OSError into a failure that names ``path`` and says what happened."""
    try:
        yield
    except OSError as error:
        kind, text = _BY_ERRNO.get(error.errno or 0, (StorageFailed, error.strerror or str(error)))
        raise kind(f"{shown(path)}: {text}") from error


class Folder:
    """One folder, open; close it, or use it with ``with``."""

    def __init__(self, place: bytes, fd: int | None) -> None:
        self._place = place
        self._fd = fd

    @classmethod
    def root(cls, place: str | bytes) -> Folder:
        """The folder at ``place``, an ordinary path, whose links are followed."""
        name = os.path.realpath(os.fsencode(place))
        if not HAS_DIR_FD:
            if not os.path.isdir(name):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", name)
            return cls(name, None)
        return cls(name, os.open(name, os.O_RDONLY | _DIRECTORY | _FLAGS))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def below(self, names: Sequence[bytes]) -> Folder:
        """The folder that ``names`` lead to; ELOOP or ENOTDIR where one of them is a link."""
        here = self._copy()
        for name in names:
            try:
                there = here._step(name)
            finally:
                here.close()
            here = there
        return here

    def _copy(self) -> Folder:
        return Folder(self._place, None if self._fd is None else os.dup(self._fd))

    def _step(self, name: bytes) -> Folder:
        if self._fd is None:
            self._refuse_link(name)
            return Folder(self._at(name), None)
        fd = os.open(name, os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _FLAGS, dir_fd=self._fd)
        return Folder(b"", fd)

    def _at(self, name: bytes) -> bytes:
        """What to name ``name`` by beside ``dir_fd=self._fd``."""
        return name if self._fd is not None else os.path.join(self._place, name)

    def _refuse_link(self, name: bytes) -> None:
        if b"\\" in name or b":" in name:  # other separators, drives and streams of Windows
            raise OSError(errno.EINVAL, "not a plain name", name)
        if stat.S_ISLNK(self.stat(name).st_mode):
            raise OSError(errno.ELOOP, "a symbolic link", name)

    def stat(self, name: bytes) -> os.stat_result:
        """lstat(2)."""
        return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)

    def open_file(self, name: bytes) -> int:
        """A descriptor to read a plain file: ELOOP for a link, ENXIO for what is no file.

        It is looked at before it is opened, as opening a device can do something, and opened
        without waiting, as a FIFO would wait for its writer (fifo(7)).
        """
        self._check_plain(self.stat(name).st_mode)
        fd = os.open(self._at(name), os.O_RDONLY | _NOFOLLOW | _NONBLOCK | _FLAGS, dir_fd=self._fd)
        try:
            self._check_plain(os.fstat(fd).st_mode)
        except OSError:
            os.close(fd)
            raise
        return fd

    @staticmethod
    def _check_plain(mode: int) -> None:
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, "a folder")
        if stat.S_ISLNK(mode):
            raise OSError(errno.ELOOP, "a symbolic link")
        if not stat.S_ISREG(mode):
            raise OSError(errno.ENXIO, "no plain file")

    def open_partial(self, name: bytes) -> int:
        """A descriptor to read and append to ``name``, made if missing, for this user alone."""
        if self._fd is None and b":" in name:
            raise OSError(errno.EINVAL, "not a plain name", name)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _NOFOLLOW | _FLAGS
        return os.open(self._at(name), flags, 0o600, dir_fd=self._fd)

    def read_record(self, name: bytes) -> bytes:
        """The content of a small file; nothing where there is none."""
        try:
            fd = self.open_file(name)
        except OSError:
            return b""
        with open(fd, "rb") as file:
            return file.read(4096)

    def write_record(self, name: bytes, content: bytes) -> None:
        """Make ``content`` the content of a small file."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NOFOLLOW | _FLAGS
        with open(os.open(self._at(name), flags, 0o600, dir_fd=self._fd), "wb") as file:
            file.write(content)

    def set_times(self, name: bytes, mtime: int) -> None:
        """Set the modification time of ``name``, in nanoseconds."""
        os.utime(self._at(name), ns=(mtime, mtime), dir_fd=self._fd)

    def replace(self, old: bytes, new: bytes) -> None:
        """rename(2): ``new`` is the old file at every moment, or the new one."""
        os.replace(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def link(self, old: bytes, new: bytes) -> None:
        """link(2): EEXIST where ``new`` is there."""
        os.link(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def remove(self, name: bytes) -> None:
        """unlink(2); nothing to do where it isn't there."""
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._fd)

    def sync(self) -> None:
        """Make the names in it durable, where the platform can sync a folder (fsync(2))."""
        if self._fd is not None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EBADF):
                    raise

    def names(self) -> list[bytes]:
        """The names in it, sorted."""
        if self._fd is None:
            return sorted(os.listdir(self._place))
        return sorted(map(os.fsencode, os.listdir(self._fd)))
