"""What is done with an open file, where platforms differ in how it is done."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Sequence
from functools import cache
from struct import Struct

from twisted_ft.stores.interfaces import Buffer
from twisted_ft.stores.states import time_said

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

MOVES_OPEN_FILES = fcntl is not None
"""Whether a file can be renamed and removed while it is open; not on Windows."""

_LOCKED_BYTE = 1 << 62
"""Where Windows, whose locks keep others from reading, has its lock: behind any file's end."""
_IOV_MAX = 1024
"""Buffers that writev(2) takes at once (IOV_MAX on Linux)."""


def mtime_of(status: os.stat_result) -> int:
    """The modification time, in nanoseconds since 1970, as it can be said."""
    return time_said(status.st_mtime_ns)


def last_change(status: os.stat_result) -> int:
    """When something last changed, in nanoseconds since 1970, by this system's own clock.

    That is st_ctime, as st_mtime can be any that a sender says; Windows has no such time.
    """
    return time_said(status.st_mtime_ns if os.name == "nt" else status.st_ctime_ns)


_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def kind_of(mode: int) -> str:
    """What a mode is that of, as it can be said: ``file``, ``directory``, ``link`` or ``other``."""
    return _KINDS.get(stat.S_IFMT(mode), "other")


def lock(fd: int) -> bool:
    """Take the lock on a file without waiting; False where someone else has it.

    It is let go of when ``fd`` is closed, and so when the process dies (flock(2)).
    """
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def unlock(fd: int) -> None:
    """Let go of the lock on a file, or a folder, of POSIX's."""
    if fcntl is not None:
        fcntl.flock(fd, fcntl.LOCK_UN)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to ``size`` bytes from ``offset``; fewer only at the end of the file."""
    content = _read_some(fd, size, offset)
    while 0 < len(content) < size:
        more = _read_some(fd, size - len(content), offset + len(content))
        if not more:
            break
        content += more
    return content


def _read_some(fd: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


def write_all(fd: int, pieces: Sequence[Buffer]) -> None:
    """Append the pieces, without joining them where the platform has writev(2)."""
    if not hasattr(os, "writev"):
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
        return
    left = list(pieces)
    while left:
        written = os.writev(fd, left[:_IOV_MAX])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = memoryview(left[0])[written:]


SYNCS_FILE_SYSTEMS = sys.platform == "linux"
"""Whether all that was written to a file system can be synced in one call."""


def sync_file_system(fd: int) -> None:
    """Make durable all that has been written to the file system of ``fd``: Linux's syncfs(2)."""
    number = _syncfs()(fd)
    if number:
        raise OSError(number, os.strerror(number))


@cache
def _syncfs() -> Callable[[int], int]:
    """syncfs(2), which Python's os doesn't have: 0, or an errno."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    return lambda fd: ctypes.get_errno() if library.syncfs(ctypes.c_int(fd)) else 0


_OPENAT2 = 437
"""The number of the system call; Linux has given one to all its architectures since it had 424."""
_HOW = Struct("QQQ")
"""Its struct open_how: flags, mode, resolve."""
_RESOLVE_NO_SYMLINKS = 0x04
_NOT_KNOWN = {errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG}
"""How a system, or what it is locked up in (seccomp(2)), says that it has no such call."""


def open_beneath(fd: int, path: bytes, flags: int) -> int | None:
    """Open what is at ``path`` below the folder ``fd``, in one step; ELOOP where a link is in it.

    That is Linux's openat2(2).  None, where the system has no such call.

    :param path: of names only
    """
    call = _openat2()
    result = call(fd, path, _HOW.pack(flags, 0, _RESOLVE_NO_SYMLINKS)) if call is not None else None
    if result is not None and result < 0:
        if -result in _NOT_KNOWN:
            return None
        raise OSError(-result, os.strerror(-result))
    return result


@cache
def _openat2() -> Callable[[int, bytes, bytes], int] | None:
    """openat2(2), which Python's os doesn't have: a descriptor, or an errno, negative."""
    if sys.platform != "linux":
        return None
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )

    def openat2(fd: int, path: bytes, how: bytes) -> int:
        result: int = call(_OPENAT2, fd, path, how, _HOW.size)
        return result if result >= 0 else -ctypes.get_errno()

    return openat2


def file_mode_mask() -> int:
    """Permission bits that a new file of this process doesn't get (umask(2)).

    Where that can't be asked without changing it for other threads: all of them, to be sure.
    """
    try:
        with open("/proc/self/status", "rb") as status:
            return next(int(line[6:], 8) for line in status if line.startswith(b"Umask:"))
    except (OSError, ValueError, StopIteration):
        return 0o777


def set_mode(fd: int, mode: int) -> None:
    """fchmod(2), where platform and file system have permission bits to set."""
    if not hasattr(os, "fchmod"):
        return
    try:
        os.fchmod(fd, mode)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
