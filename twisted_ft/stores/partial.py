"""A file that is still on its way into a folder: kept, locked, carried on, published.

Beside the file that is to be ``NAME`` stand, until it is published,

* ``.ft-DIGEST.part``: what has arrived, from the first byte on, without holes;
* ``.ft-DIGEST.from``: which state of which file that is, as its sender named it.

DIGEST is that of NAME, so that a name of any length has room for it.  Who holds the lock on
the ``.part`` (flock(2)) is the only one to touch either; a process that dies lets go of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from blake3 import blake3
from zope.interface import implementer

from twisted_ft.errors import AlreadyExists, Busy, IsADirectory, NotAFile
from twisted_ft.stores.folder import Folder, sentences
from twisted_ft.stores.interfaces import Buffer, ISink
from twisted_ft.terminal import shown
from twisted_ft.wire.messages import Attributes

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_PIECE = 1 << 20
_LOCKED_BYTE = 1 << 62
"""Where Windows, whose locks keep others from reading, has its lock: behind any file's end."""
_IOV_MAX = 1024
"""Buffers that writev(2) takes at once (IOV_MAX on Linux)."""


def partial_names(name: bytes) -> tuple[bytes, bytes]:
    """What the data and the record of a file are called while it is on its way."""
    stem = b".ft-" + blake3(name).digest()[:16].hex().encode()
    return stem + b".part", stem + b".from"


def _lock(fd: int) -> bool:
    """Take the lock without waiting; False where someone has it."""
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except (BlockingIOError, PermissionError):
        return False
    return True


def _write_all(fd: int, pieces: Sequence[Buffer]) -> None:
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


@implementer(ISink)
class PartialFile:
    """The sink of a folder: see ISink, and the module's docstring."""

    def __init__(self, folder: Folder, name: bytes, file: Attributes, overwrite: bool) -> None:
        self._folder = folder
        self._name = name
        self._file = file
        self._overwrite = overwrite
        self._part, self._record = partial_names(name)
        self._fd = self._open_locked()
        try:
            self.offset = self._kept_size()
        except BaseException:
            self._close()
            raise

    def _open_locked(self) -> int:
        while True:
            fd = self._folder.open_partial(self._part)
            if not _lock(fd):
                os.close(fd)
                raise Busy(
                    f"{shown(self._file.path)}: another transfer to this name is under way; "
                    "try again when it has ended"
                )
            if self._is_current(fd):
                return fd
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        """Whether what was locked still has its name, and wasn't published meanwhile."""
        try:
            return os.path.samestat(os.fstat(fd), self._folder.stat(self._part))
        except FileNotFoundError:
            return False

    def _kept_size(self) -> int:
        """How much of this very state of the file is here; what is of another is dropped."""
        size = os.fstat(self._fd).st_size
        if size <= self._file.size and self._folder.read_record(self._record) == self._identity():
            return size
        os.ftruncate(self._fd, 0)
        self._folder.write_record(self._record, self._identity())
        return 0

    def _identity(self) -> bytes:
        return b"%d %b\n" % (self._file.size, self._file.version.hex().encode())

    def kept(self) -> Iterator[bytes]:
        """See ISink."""
        with open(os.dup(self._fd), "rb", buffering=0) as file:
            file.seek(0)
            left = self.offset
            while left and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See ISink."""
        with sentences(self._file.path):
            _write_all(self._fd, pieces)

    def publish(self) -> None:
        """See ISink: sync, rename, sync the folder (fsync(2), rename(2)), in that order."""
        with sentences(self._file.path):
            try:
                self._complete()
                self._check_replaceable()
                if fcntl is None:  # Windows can't rename what is open
                    os.close(self._fd)
                    self._fd = -1
                self._rename()
                self._folder.remove(self._record)
                self._folder.sync()
            finally:
                self._close()

    def _complete(self) -> None:
        """Time and permissions first, so that the real name never has others; then to the disk."""
        if hasattr(os, "fchmod"):
            os.fchmod(self._fd, self._file.mode & 0o777)
        self._folder.set_times(self._part, self._file.mtime)
        os.fsync(self._fd)

    def _check_replaceable(self) -> None:
        """Only a file, or a link in a file's place, is replaced."""
        check_replaceable(self._folder, self._name, self._file.path, self._overwrite)

    def _rename(self) -> None:
        if self._overwrite:
            self._folder.replace(self._part, self._name)
        else:
            self._folder.link(self._part, self._name)
            self._folder.remove(self._part)

    def keep(self) -> None:
        """See ISink."""
        self._close()

    def discard(self) -> None:
        """See ISink."""
        if self._fd >= 0:
            with sentences(self._file.path):
                try:
                    self._folder.remove(self._record)
                    self._folder.remove(self._part)
                finally:
                    self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._folder.close()


def check_replaceable(folder: Folder, name: bytes, path: bytes, overwrite: bool) -> None:
    """Whether a file may take the place of what has ``name``.

    :raises IsADirectory: a folder is never replaced
    :raises NotAFile: nor is a FIFO, a device or a socket
    :raises AlreadyExists: there is a file, and ``overwrite`` is false
    """
    try:
        mode = folder.stat(name).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectory(
            f"{shown(path)}: this is a folder; end the name with / to put a file into it"
        )
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise NotAFile(f"{shown(path)}: this is no file, and is not replaced")
    if not overwrite:
        raise AlreadyExists(
            f"{shown(path)}: there is a file of this name, and it may not be replaced"
        )
