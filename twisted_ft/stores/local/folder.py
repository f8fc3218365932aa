"""A folder that is held open, and what can be done in it without leaving it.

Where the platform has ``openat`` and its kin (Linux, macOS, the BSDs), a folder is a file
descriptor and every step down is taken from it with O_NOFOLLOW, so that no symbolic link,
however late it is put there, leads out of the root (open(2), openat(2)).  Elsewhere a
folder is a path, and links are looked for at each step.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import TypeVar

from twisted_ft.errors import StorageFailed
from twisted_ft.stores import system
from twisted_ft.stores.refusals import failure_of

HAS_DIR_FD = {os.open, os.stat, os.unlink, os.rename} <= os.supports_dir_fd
SETS_TIMES_BY_FD = os.utime in os.supports_fd
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""For every open; without O_NONBLOCK, a FIFO would wait for its other end (fifo(7))."""
_PASSING = getattr(os, "O_PATH", 0) or getattr(os, "O_SEARCH", 0)
"""Opens a folder to pass through it, which takes no right to read it."""
_ITSELF = b"."
_READ = os.O_RDONLY | _NOFOLLOW | _FLAGS
_NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | _FLAGS
_JUNCTION = 0xA0000003
"""IO_REPARSE_TAG_MOUNT_POINT: what Windows has as links between folders beside symbolic ones."""
_FEW = 4
"""Steps that are taken one by one; the call that takes more at once is loaded when it is needed."""
_FAR = 4096
"""Bytes of a path that no system call takes any more (PATH_MAX on Linux)."""
_LOOKS = 8
"""How often a small file that grows is read, until it doesn't meanwhile."""
_CLOSED = -1
F = TypeVar("F", int, "int | None")
_STATE = attrgetter("st_mode", "st_size", "st_mtime_ns")
_SETS_LINKS = os.supports_follow_symlinks
"""What can be done to a symbolic link, and not only to what it leads to."""
_LINKS_LINKS = os.link in _SETS_LINKS
"""Whether a symbolic link can be given a second name, and not only what it leads to."""


class Folder:
    """One folder, open; close it, or use it with ``with``.

    One that this user may not list is open to be passed through: what is in it can be opened by its
    name, and made.  POSIX wants more of a folder that is synced or locked.

    :param listable: whether ``fd`` is open to read
    """

    def __init__(self, place: bytes, fd: int | None, listable: bool = True) -> None:
        self._place = place
        self._fd = fd
        self._listable = listable

    @classmethod
    def root(cls, place: str | bytes) -> Folder:
        """The folder at ``place``, an ordinary path, whose links are followed.

        :raises StorageFailed: it isn't there, or can't be opened.  As the other side reads
            this, nothing of ``place`` is told
        """
        name = os.path.realpath(os.fsencode(place))
        try:
            if HAS_DIR_FD:
                return cls(name, *_opened(partial(os.open, name), 0))
            os.scandir(name).close()
            return cls(name, None)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise StorageFailed(
                    "the root: this folder is gone; see that its disk is mounted, and try again"
                ) from error
            raise StorageFailed(failure_of(error, b"").reason) from error

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; may be called more than once."""
        if self._fd is not None and self._fd != _CLOSED:
            fd, self._fd = self._fd, _CLOSED
            os.close(fd)

    def below(self, names: Sequence[bytes]) -> Folder:
        """The folder that ``names`` lead to; ELOOP where one of them is a link."""
        if not names:
            fd = None if self._fd is None else os.dup(self._fd)
            return Folder(self._place, fd, self._listable)
        if len(names) > _FEW and (far := self._far(b"/".join(names))) is not None:
            return far
        here = self._step(names[0])
        for name in names[1:]:
            with here:
                here = here._step(name)
        return here

    def _far(self, path: bytes) -> Folder | None:
        """The folder at ``path``, in one step; None where that can't be done here."""
        if self._fd is None or len(path) >= _FAR:
            return None
        fd, listable = _opened(partial(system.open_beneath, self._fd, path), 0)
        return None if fd is None else Folder(b"", fd, listable)

    def _step(self, name: bytes) -> Folder:
        if self._fd is None:
            _check_folder(self.stat(name))
            return Folder(self._at(name), None)
        try:
            return Folder(b"", *_opened(partial(os.open, name, dir_fd=self._fd), _NOFOLLOW))
        except NotADirectoryError:  # which is what Linux says of a link, too
            _check_folder(self.stat(name))
            raise

    def _at(self, name: bytes) -> bytes:
        """What to name ``name`` by beside ``dir_fd=self._fd``."""
        return name if self._fd is not None else os.path.join(self._place, name)

    def stat(self, name: bytes) -> os.stat_result:
        """lstat(2)."""
        return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)

    def open_file(self, name: bytes) -> tuple[int, os.stat_result]:
        """A descriptor to read a plain file, and its status.

        It is looked at before it is opened, as opening a device can do something.  ELOOP for a
        link, ENXIO for what isn't a file.
        """
        _check_plain(self.stat(name))
        return self.open_plain(name, os.O_RDONLY)

    def open_new(self) -> tuple[int, os.stat_result]:
        """A new file in it that has no name any more."""
        name = b".ft-%b.part" % os.urandom(16).hex().encode()
        fd, status = self.open_plain(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            self.remove(name)
        except BaseException:
            os.close(fd)
            raise
        return fd, status

    def create(self, name: bytes, mode: int) -> int:
        """A descriptor to append to a new file with these permissions; EEXIST where it is there."""
        return os.open(self._at(name), _NEW, mode, dir_fd=self._fd)

    def open_plain(self, name: bytes, flags: int) -> tuple[int, os.stat_result]:
        """A descriptor of a plain file, and its status; one that is made is this user's alone.

        ELOOP for a link, ENXIO for what isn't a file.
        """
        fd = os.open(self._at(name), flags | _NOFOLLOW | _FLAGS, 0o600, dir_fd=self._fd)
        try:
            status = os.fstat(fd)
            _check_plain(status)
        except OSError:
            os.close(fd)
            raise
        return fd, status

    def read_whole(self, name: bytes, limit: int) -> tuple[bytes | None, os.stat_result]:
        """A plain file's content, and its status; no content where it has over ``limit`` bytes.

        Of one of whose bytes the status says nothing, as below /proc, it is all.  ELOOP for a link,
        ENXIO for what isn't a file, ESTALE where it changed meanwhile; one that only grows is read
        again.
        """
        fd = os.open(self._at(name), _READ, dir_fd=self._fd)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                _check_plain(status)
            for _ in range(_LOOKS):
                size = status.st_size
                if size > limit:
                    return None, status
                content = os.read(fd, size + 1)
                now = os.fstat(fd)
                if now.st_mtime_ns == status.st_mtime_ns and now.st_size == size:
                    if len(content) == size:
                        return content, status
                    return _all_of(fd, status, limit), status
                if now.st_size <= size:
                    break
                status = now
                os.lseek(fd, 0, os.SEEK_SET)
            raise OSError(errno.ESTALE, "changed")
        finally:
            os.close(fd)

    def read_link(self, name: bytes) -> bytes:
        """readlink(2)."""
        return os.fsencode(os.readlink(self._at(name), dir_fd=self._fd))

    def _scanned(self) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """os.scandir of it; EACCES, where that isn't permitted."""
        if not self._listable:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return os.scandir(os.fsdecode(self._place) if self._fd is None else self._fd)

    def scan(self) -> Iterator[tuple[bytes, bool]]:
        """Each name in it, in no order, and whether that is a plain file; nothing is opened."""
        encode = os.fsencode
        with self._scanned() as found:
            for each in found:
                yield encode(each.name), each.is_file(follow_symlinks=False)

    def folder_names(self) -> Iterator[bytes]:
        """The names of the folders in it, in no order."""
        with self._scanned() as found:
            for each in found:
                if each.is_dir(follow_symlinks=False) and not _is_junction(each):
                    yield os.fsencode(each.name)

    def links(self) -> Generator[bytes]:
        """The names of the links in it, in no order."""
        with self._scanned() as found:
            for each in found:
                if each.is_symlink() or _is_junction(each):
                    yield os.fsencode(each.name)

    def survey(self, most: int) -> tuple[list[bytes], list[bytes]] | None:
        """The names of the plain files in it, and of all else; None, where over ``most`` are."""
        with self._scanned() as found:
            entries: list[os.DirEntry[str]] = list(islice(found, most + 1))
        if len(entries) > most:
            return None
        plain = [each.name for each in entries if each.is_file(follow_symlinks=False)]
        if len(plain) == len(entries):
            return _encoded(plain), []
        others = [each.name for each in entries if not each.is_file(follow_symlinks=False)]
        return _encoded(plain), _encoded(others)

    def states(self, names: Sequence[bytes]) -> list[tuple[int, int, int]]:
        """The mode, the size and the modification time of each of very many things in it."""
        if self._fd is None:
            return [_STATE(self.stat(name)) for name in names]
        stat, fd = os.stat, self._fd
        return [_STATE(stat(name, dir_fd=fd, follow_symlinks=False)) for name in names]

    def make_link(self, name: bytes, target: bytes, mtime: int) -> None:
        """symlink(2), with a modification time in nanoseconds where links can have one."""
        os.symlink(target, self._at(name), dir_fd=self._fd)
        self.set_link_times(name, mtime)

    def set_link_times(self, name: bytes, mtime: int) -> None:
        """Set the modification time of ``name`` itself, be it a link, where that can be done."""
        if os.utime in _SETS_LINKS:
            os.utime(self._at(name), ns=(mtime, mtime), dir_fd=self._fd, follow_symlinks=False)

    def settle(self, mode: int, mtime: int) -> bool:
        """Give the folder itself its permissions and its time; False where it has them."""
        status = self.status()
        target: bytes | int = self._place if self._fd is None else self._fd
        where = None
        if not self._listable:
            target, where = _ITSELF, self._fd
        differs = False
        if stat.S_IMODE(status.st_mode) & 0o777 != mode and os.name != "nt":
            os.chmod(target, stat.S_IMODE(status.st_mode) & ~0o777 | mode, dir_fd=where)
            differs = True
        if status.st_mtime_ns != mtime:
            os.utime(target, ns=(mtime, mtime), dir_fd=where)
            differs = True
        return differs

    def settle_below(self, name: bytes, mode: int, mtime: int) -> bool:
        """The same for a folder in it, which is opened only where that can't be spared.

        ELOOP where ``name`` is a link, ENOTDIR where it isn't a folder.
        """
        status = self.stat(name)
        _check_folder(status)
        if stat.S_IMODE(status.st_mode) & 0o777 != mode or os.utime not in _SETS_LINKS:
            with self._step(name) as folder:
                return folder.settle(mode, mtime)
        if status.st_mtime_ns != mtime:
            self.set_link_times(name, mtime)
            return True
        return False

    def set_times(self, name: bytes, fd: int, mtime: int) -> None:
        """Set the modification time of ``name``, open as ``fd``, in nanoseconds."""
        target = fd if SETS_TIMES_BY_FD else self._at(name)
        os.utime(target, ns=(mtime, mtime))

    def replace(self, old: bytes, new: bytes, there: Folder | None = None) -> None:
        """rename(2): ``new`` is the old file at every moment, or the new one.

        :param there: the folder that ``new`` is in, where that is another
        """
        there = there or self
        os.replace(self._at(old), there._at(new), src_dir_fd=self._fd, dst_dir_fd=there._fd)

    def rename_new(self, old: bytes, new: bytes, there: Folder | None = None) -> None:
        """Rename, and EEXIST where ``new`` is there: link(2) and unlink(2), which see to it.

        Where the file system has no links (EPERM, as FAT, and for folders), it is looked for
        first, and what another program puts there within microseconds is replaced.

        :param there: the folder that ``new`` is in, where that is another
        """
        there = there or self
        if os.name == "nt":  # where rename does so by itself
            os.rename(self._at(old), there._at(new))
            return
        try:
            self._link(old, new, there)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise
            with suppress(FileNotFoundError):
                there.stat(new)
                raise FileExistsError(errno.EEXIST, "there already") from None
            self.replace(old, new, there)
        else:
            self.remove(old)

    def _link(self, old: bytes, new: bytes, there: Folder) -> None:
        os.link(
            self._at(old),
            there._at(new),
            src_dir_fd=self._fd,
            dst_dir_fd=there._fd,
            follow_symlinks=not _LINKS_LINKS,
        )

    def remove(self, name: bytes) -> None:
        """unlink(2); nothing to do where it isn't there."""
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._fd)

    def make_folder(self, name: bytes) -> None:
        """mkdir(2)."""
        os.mkdir(self._at(name), dir_fd=self._fd)

    def remove_folder(self, name: bytes) -> bool:
        """rmdir(2); False where there is something in it."""
        try:
            os.rmdir(self._at(name), dir_fd=self._fd)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        return True

    def has_folder(self, name: bytes) -> bool:
        """Whether ``name``, which must be there, is a folder; a link to one is none."""
        status = self.stat(name)
        return stat.S_ISDIR(status.st_mode) and not _is_link(status)

    def is_link(self, name: bytes) -> bool:
        """Whether ``name``, which must be there, is a link."""
        return _is_link(self.stat(name))

    def has(self, name: bytes) -> bool:
        """Whether there is something of this name, be it a link that leads nowhere."""
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def is_still(self, name: bytes, status: os.stat_result) -> bool:
        """Whether ``name`` is what had this status."""
        try:
            return os.path.samestat(self.stat(name), status)
        except FileNotFoundError:
            return False

    def is_empty(self) -> bool:
        """Whether nothing is in it; of one that may not be listed, nobody knows that."""
        if not self._listable:
            return False
        with self._scanned() as found:
            return next(found, None) is None

    def status(self) -> os.stat_result:
        """fstat(2)."""
        return os.stat(self._place) if self._fd is None else os.fstat(self._fd)

    def above(self, known: os.stat_result) -> Folder:
        """The folder that this one is in.

        :param known: the status that it had; EBUSY where this folder has been moved since
        """
        if self._fd is None:
            return Folder(os.path.dirname(self._place), None)
        fd, listable = _opened(partial(os.open, b"..", dir_fd=self._fd), _NOFOLLOW)
        if not os.path.samestat(os.fstat(fd), known):
            os.close(fd)
            raise OSError(errno.EBUSY, "moved to another folder")
        return Folder(b"", fd, listable)

    def lock(self) -> bool:
        """Take the lock on the folder without waiting; False where someone else has it.

        That is also where it can't be had.
        """
        return self._fd is not None and self._listable and system.lock(self._fd)

    def unlock(self) -> None:
        """Let go of it."""
        if self._fd is not None and self._listable:
            system.unlock(self._fd)

    def free(self) -> int | None:
        """Bytes of its file system that this user can still fill (statvfs(3)).

        None, where it doesn't tell, as some that are programs (FUSE).
        """
        if not hasattr(os, "statvfs"):  # Windows
            return shutil.disk_usage(self._place).free
        status = os.statvfs(self._place if self._fd is None else self._fd)
        return status.f_bavail * status.f_frsize if status.f_blocks else None

    def sync_file_system(self) -> None:
        """Make durable all that was written to its file system (syncfs(2))."""
        if self._fd is not None and self._listable:
            system.sync_file_system(self._fd)
        elif self._fd is not None:
            fd = self.open_new()[0]
            try:
                system.sync_file_system(fd)
            finally:
                os.close(fd)

    def sync(self) -> None:
        """Make the names in it durable, where the platform can sync a folder (fsync(2)).

        Of one that may not be listed, its whole file system is synced, or all of the system's.
        """
        if self._fd is None:
            return
        if not self._listable:
            self._sync_around()
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that can't
                raise

    def _sync_around(self) -> None:
        if system.SYNCS_FILE_SYSTEMS:
            self.sync_file_system()
        else:
            os.sync()

    def names(self) -> list[bytes]:
        """The names in it, sorted; there may be very many, and none is held twice."""
        with self._scanned() as found:
            return sorted([os.fsencode(each.name) for each in found])


def _opened(open_with: Callable[[int], F], flags: int) -> tuple[F, bool]:
    """A folder's descriptor, and whether it may be listed, too; ``open_with`` is given flags.

    EACCES where it may not even be passed through.
    """
    flags |= _DIRECTORY | _FLAGS
    try:
        return open_with(os.O_RDONLY | flags), True
    except PermissionError:
        if not _PASSING:
            raise
    fd = open_with(_PASSING | flags)
    if fd is not None:
        try:
            os.stat(_ITSELF, dir_fd=fd)  # as it could be opened whatever is permitted (O_PATH)
        except OSError:
            os.close(fd)
            raise
    return fd, False


def _encoded(names: list[str]) -> list[bytes]:
    """Names as bytes, all in one call; a name holds no NUL."""
    return os.fsencode("\0".join(names)).split(b"\0") if names else []


def _is_junction(entry: os.DirEntry[str] | os.DirEntry[bytes]) -> bool:
    return os.name == "nt" and _is_link(entry.stat(follow_symlinks=False))


def _is_link(status: os.stat_result) -> bool:
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def _check_folder(status: os.stat_result) -> None:
    if _is_link(status):
        raise OSError(errno.ELOOP, "a symbolic link")
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, "no folder")


def _check_plain(status: os.stat_result) -> None:
    if _is_link(status):
        raise OSError(errno.ELOOP, "a symbolic link")
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ENXIO, "no plain file")


def _all_of(fd: int, status: os.stat_result, limit: int) -> bytes | None:
    """All that is in an open file of which ``status`` doesn't say how much that is.

    :returns: None where it has over ``limit`` bytes
    """
    content = system.read_at(fd, limit + 1, 0)
    if os.fstat(fd).st_mtime_ns != status.st_mtime_ns:
        raise OSError(errno.ESTALE, "changed")
    return content if len(content) <= limit else None
