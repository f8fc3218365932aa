"""A file that is still on its way into a folder: kept, locked, carried on, published.

Beside the file that is to be ``NAME`` stand, until it is published,

* ``.ft-DIGEST.part``: what has arrived, from the first byte on: its size says how much that is;
* ``.ft-DIGEST.from``: which state of which file that is, and whose (``record.py``).

DIGEST is that of NAME, so that a name of any length has room for it.  Who holds the lock on
the ``.part`` (flock(2)) is the only one to touch either; a process that dies lets go of it.

Both are this user's own.  What somebody else has put in their place, by owner, as a link, or as a
second name of another file, is removed, and never read, written to or published.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from zope.interface import implementer

from twisted_ft.errors import Busy, FileTransferError, StorageFailed
from twisted_ft.stores import system
from twisted_ft.stores.interfaces import Buffer, ISink
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.holes import append
from twisted_ft.stores.local.own import open_partial, read_record, write_record
from twisted_ft.stores.local.record import Record, partial_names
from twisted_ft.stores.local.replacing import replaceable
from twisted_ft.stores.local.room import Grant, Room, no_more_room, no_room
from twisted_ft.stores.refusals import already_exists, os_errors_named
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import Attributes

_PIECE = 1 << 22
"""Bytes in one piece of what was kept: enough to be worth a trip to another thread."""
_TRIES = 1000
"""How often a partial file is opened anew because somebody else was faster; many, as each of those
may be a transfer that has begun."""
_OWNER = 0o600
"""The permissions without which a partial file couldn't be carried on."""


@implementer(ISink)
class PartialFile:
    """The sink of a folder: see ISink, and the module's docstring.

    :param folder: is closed when the sink ends
    :param room: has what is still to be written, or it isn't begun; without a size it is asked for
        each piece
    :param durable: whether it is synced before it is published
    :param owner: whose it is
    :raises Busy: another sink of this name is open, here or in another process
    :raises NoSpace: it can't fit
    :raises OSError: it can't be made, and ``folder`` is still open
    """

    def __init__(
        self,
        folder: Folder,
        name: bytes,
        file: Attributes,
        room: Room,
        overwrite: bool,
        durable: bool,
        owner: str = "",
    ) -> None:
        self._folder = folder
        self._name = name
        self._file = file
        self._mode = file.mode & 0o777
        self._overwrite, self._durable = overwrite, durable
        self._part, self._from = partial_names(name)
        self._record = Record.of(file.size, file.version, name, owner)
        self._room = room
        self._grant: Grant | None = None
        self._fd = self._open_locked()
        try:
            self.offset = self._end = self._kept_size()
            if file.size is not None:
                self._grant = self._granted(file.size - self.offset)
            self._write_record()
        except BaseException:
            with suppress(FileTransferError):
                self.keep()
            raise

    def _open_locked(self) -> int:
        for _ in range(_TRIES):
            fd = open_partial(self._folder, self._part)
            if fd is None:
                continue
            try:
                if not system.lock(fd):
                    os.close(fd)
                    break
                if self._folder.is_still(self._part, os.fstat(fd)):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise Busy(
            f"{escaped(self._file.path)}: another transfer to this name is running; "
            "try again when it has ended"
        )

    def _kept_size(self) -> int:
        """How much of this very state of the file is here; what is of another is dropped."""
        size, whole = os.fstat(self._fd).st_size, self._file.size
        if whole is not None and size <= whole and self._is_same_state():
            return size
        os.ftruncate(self._fd, 0)
        return 0

    def _granted(self, missing: int) -> Grant:
        grant = self._room.grant(self._folder, missing)
        if grant.left < missing:
            fits = grant.left
            grant.end()
            if self._file.size is None:
                raise no_more_room(self._file.path, self._end + fits)
            raise no_room(self._file.path, missing, fits)
        return grant

    def _is_same_state(self) -> bool:
        known = Record.read(read_record(self._folder, self._from))
        return known is not None and known.state == self._record.state

    def _write_record(self) -> None:
        """Say whose it is, where that isn't said already."""
        said = self._record.said()
        if not self.offset or read_record(self._folder, self._from) != said:
            write_record(self._folder, self._from, said)

    def kept(self) -> Iterator[bytes]:
        """See ISink."""
        position = 0
        while position < self.offset:
            with os_errors_named(self._file.path):
                piece = system.read_at(self._fd, min(_PIECE, self.offset - position), position)
            if not piece:
                return
            position += len(piece)
            yield piece

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See ISink."""
        size = sum(map(len, pieces))
        with os_errors_named(self._file.path):
            if self._file.size is None:
                self._grant = self._granted(size)
            append(self._fd, pieces, self._end)
        self._end += size
        if self._grant is not None:
            self._grant.use(size)

    def publish(self) -> None:
        """See ISink: sync, rename, sync the folder (fsync(2), rename(2)), in that order."""
        with os_errors_named(self._file.path):
            try:
                if not self._folder.is_still(self._part, os.fstat(self._fd)):
                    raise StorageFailed(
                        f"{escaped(self._file.path)}: its partial file was removed by "
                        "another program; try again"
                    )
                self._complete()
                standing = replaceable(self._folder, self._name, self._file.path)
                if standing is not None and not self._overwrite:
                    raise already_exists(self._file.path)
                self._give_name()
                if self._durable:
                    self._folder.sync()
            finally:
                self._end_unpublished()
                self._close()

    def _end_unpublished(self) -> None:
        """Leave nothing of a file without a size that didn't get its name."""
        if self._file.size is not None or self._fd < 0:
            return
        if self._folder.is_still(self._part, os.fstat(self._fd)):
            self.discard()

    def _complete(self) -> None:
        """Time and permissions first, so that the real name never has others; then to the disk.

        The owner's own permissions wait: without them nobody could carry on, were this the end.
        """
        system.set_mode(self._fd, self._mode | _OWNER)
        self._folder.set_times(self._part, self._fd, self._file.mtime)
        if not self._durable:
            return
        try:
            os.fsync(self._fd)
        except OSError:  # and what was not written may seem to be, from here on (fsync(2))
            self.discard()
            raise

    def _give_name(self) -> None:
        self._folder.remove(self._from)
        if not system.MOVES_OPEN_FILES:
            self._close_file()
        if self._overwrite:
            self._folder.replace(self._part, self._name)
        else:
            self._folder.rename_new(self._part, self._name)
        if self._fd >= 0 and self._mode & _OWNER != _OWNER:
            system.set_mode(self._fd, self._mode)
            if self._durable:
                os.fsync(self._fd)

    def keep(self) -> None:
        """See ISink; where nothing has arrived, nothing is left."""
        with os_errors_named(self._file.path):
            nothing = self._file.size is None or (self._fd >= 0 and not os.fstat(self._fd).st_size)
            if nothing:
                self.discard()
            self._close()

    def discard(self) -> None:
        """See ISink."""
        if self._fd >= 0:
            with os_errors_named(self._file.path):
                try:
                    with suppress(PermissionError):  # somebody else's
                        self._folder.remove(self._from)
                    if not system.MOVES_OPEN_FILES:
                        self._close_file()
                    self._folder.remove(self._part)
                finally:
                    self._close()

    def _close(self) -> None:
        try:
            self._close_file()
        finally:
            if self._grant is not None:
                self._grant.end()
            self._folder.close()

    def _close_file(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def remove_partial(folder: Folder, name: bytes, path: bytes) -> None:
    """Remove a partial file, or a record of one, that nobody is at work on.

    :raises Busy: somebody is
    """
    try:
        fd, status = folder.open_file(name)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EACCES):  # put there by others
            raise
        folder.remove(name)
        return
    try:
        if not system.lock(fd) or not folder.is_still(name, status):
            raise Busy(f"{escaped(path)}: a transfer to this folder is running; try again")
        if not system.MOVES_OPEN_FILES:
            os.close(fd)
            fd = -1
        folder.remove(name)
    finally:
        if fd >= 0:
            os.close(fd)
