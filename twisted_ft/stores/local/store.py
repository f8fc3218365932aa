"""A store that is a folder."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing

from zope.interface import implementer

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    IsADirectory,
)
from twisted_ft.stores import system
from twisted_ft.stores.capabilities import Capabilities
from twisted_ft.stores.interfaces import (
    Alike,
    IDescriptorSource,
    IKeepingStore,
    ISettlingStore,
    ITreeStore,
    Packer,
    Sink,
    Source,
    Unpacker,
)
from twisted_ft.stores.local.digests import Digests
from twisted_ft.stores.local.folder import HAS_DIR_FD, Folder
from twisted_ft.stores.local.joined import apart, joined
from twisted_ft.stores.local.kept import (
    OWN_NAME,
    Kept,
    kept_below,
    let_go,
    look,
    room_in,
    sweep,
)
from twisted_ft.stores.local.moved_links import check_moved_links
from twisted_ft.stores.local.open_folders import OpenFolders
from twisted_ft.stores.local.packing import LocalPacker
from twisted_ft.stores.local.partial import PartialFile
from twisted_ft.stores.local.record import partial_names
from twisted_ft.stores.local.removal import Removal
from twisted_ft.stores.local.replacing import replaceable
from twisted_ft.stores.local.room import Room
from twisted_ft.stores.local.unpacking import LocalUnpacker
from twisted_ft.stores.names import (
    PARTIAL,
    PATH_MAX,
    changeable_components,
    check_for_windows,
    components,
    file_components,
    join,
)
from twisted_ft.stores.piecewise import PiecewiseUnpacker
from twisted_ft.stores.refusals import already_exists, os_errors_named, source_changed, unsayable
from twisted_ft.stores.system import kind_of, mtime_of
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import Attributes, Entry

_ON_WINDOWS = os.name == "nt"


def _version(status: os.stat_result) -> bytes:
    """A name for the state of a file: any change of content changes it, in practice."""
    return b"%d-%d-%d" % (status.st_size, status.st_mtime_ns, status.st_ino)


_TAIL = 1 << 12
"""Bytes at the end of a file that are remembered, to tell whether it only grows."""


@implementer(IDescriptorSource)
class LocalSource:
    """A file of the folder, opened as ``fd``, which it closes: see ISource."""

    def __init__(self, path: bytes, fd: int, status: os.stat_result, digests: Digests) -> None:
        self._fd = fd
        self._status, self._digests = status, digests
        self._tail = self._read_tail()
        self.attributes = Attributes(
            path=path,
            size=None if self._is_misstated() else status.st_size,
            mtime=mtime_of(status),
            mode=stat.S_IMODE(status.st_mode),
            version=_version(status),
        )

    def read(self, offset: int, size: int) -> bytes:
        """See ISource."""
        with os_errors_named(self.attributes.path):
            return system.read_at(self._fd, size, offset)

    def fileno(self) -> int:
        """See IDescriptorSource."""
        return self._fd

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """See IDescriptorSource."""
        with os_errors_named(self.attributes.path):
            return os.preadv(self._fd, [buffer], offset)

    def digest(self) -> bytes | None:
        """See ISource."""
        return None if self.attributes.size is None else self._digests.of(self._status)

    def remember(self, digest: bytes | None) -> None:
        """See ISource."""
        if self.attributes.size is not None:
            self._digests.remember(self._status, digest)

    def check(self) -> int:
        """See ISource; a file that was written anew has another end where this one had its."""
        with os_errors_named(self.attributes.path):
            now = os.fstat(self._fd)
        size = self.attributes.size
        if size is None or _version(now) == self.attributes.version:
            return now.st_size
        if now.st_size > size and _ends_alike(self._tail, self._read_tail(), size):
            return now.st_size
        raise source_changed(self.attributes.path)

    def _read_tail(self) -> bytes | None:
        """What was at its end when it was opened, and a byte more where there is one by now."""
        size = self._status.st_size
        try:
            return system.read_at(self._fd, min(size, _TAIL) + 1, max(size - _TAIL, 0))
        except OSError:  # who reads it will be told
            return None

    def _is_misstated(self) -> bool:
        """Whether it has other bytes than its status says, as below /proc and /sys.

        One that has grown since has another status by now.
        """
        if self._tail is None or len(self._tail) == min(self._status.st_size, _TAIL):
            return False
        return os.fstat(self._fd).st_size == self._status.st_size

    def close(self) -> None:
        """See ISource."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with os_errors_named(self.attributes.path):
                os.close(fd)


def _ends_alike(one: bytes | None, other: bytes | None, size: int) -> bool:
    """Whether a file of ``size`` bytes has the same ones at its end, as far as that is known."""
    if one is None or other is None:
        return False
    return one[: min(size, _TAIL)] == other[: min(size, _TAIL)]


@implementer(ITreeStore, IKeepingStore, ISettlingStore)
class LocalStore:
    """The files below one folder; see IStore.

    Nothing outside the folder is ever read or written: names that climb out are refused,
    and symbolic links below the root are not followed.

    :param root: the folder; it is looked at on each call, not here
    :param durable: False: nothing that is received is ever synced
    :param makes_root: whether a tree that is received may make the folder.  What is served should
        be there: where it is missing, its disk mostly is
    :param min_free: bytes that stay free on its file system, whatever is received
    """

    capabilities = Capabilities()

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        durable: bool = True,
        makes_root: bool = False,
        min_free: int = 0,
    ) -> None:
        self.root = os.fspath(root)
        self._durable, self._makes_root = durable, makes_root
        self._digests = Digests()
        self._room = Room(min_free, self._make_room)

    def __repr__(self) -> str:
        return f"LocalStore({self.root!r})"

    def source(self, path: bytes) -> Source:
        """See IStore."""
        *folders, name = _checked(file_components(path))
        with os_errors_named(path), self._folder(folders) as folder:
            fd, status = folder.open_file(name)
        return LocalSource(path, fd, status, self._digests)

    def sink(
        self, file: Attributes, overwrite: bool, durable: bool = True, *, owner: str = ""
    ) -> Sink:
        """See IStore."""
        *folders, name = _checked(file_components(file.path))
        with os_errors_named(b"/".join(folders)):
            folder = self._folder(folders)
        with os_errors_named(file.path):
            try:
                standing = replaceable(folder, name, file.path)
                if standing is not None and not overwrite:
                    raise already_exists(file.path)
                return PartialFile(
                    folder, name, file, self._room, overwrite, durable and self._durable, owner
                )
            except BaseException:
                folder.close()
                raise

    def settle(self, path: bytes, mtime: int, mode: int) -> None:
        """See ISettlingStore."""
        *folders, name = _checked(file_components(path))
        with os_errors_named(path), self._folder(folders) as folder:
            fd, _ = folder.open_file(name)
            try:
                system.set_mode(fd, mode & 0o777)
                folder.set_times(name, fd, mtime)
                if self._durable:
                    os.fsync(fd)
            finally:
                os.close(fd)

    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore; what is still to be said is held as names only, and as one."""
        names = _checked(components(path))
        with os_errors_named(path):
            if names:
                with self._folder(names[:-1]) as parent:
                    entry = _entry(path, parent, names[-1])
                if entry.kind != "directory":
                    yield entry
                    return
            with self._folder(names) as folder:
                unsaid = 0
                for name in apart(joined(folder.names())):
                    below = path + b"/" + name if path else name
                    if PARTIAL.fullmatch(name):
                        continue
                    if len(below) > PATH_MAX:
                        unsaid += 1
                        continue
                    try:
                        entry = _entry(below, folder, name)
                    except FileNotFoundError:  # removed since
                        continue
                    yield entry
            if unsaid:
                raise unsayable(path, unsaid)

    def make_folder(self, path: bytes) -> None:
        """See IStore; its permissions are those that the process gives."""
        *folders, name = _checked(changeable_components(path))
        with os_errors_named(path), self._folder(folders) as folder:
            try:
                folder.make_folder(name)
            except FileExistsError:
                raise _taken(path) from None
            folder.sync()

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """See IStore; a link is renamed itself, where it wouldn't lead out of the folder then."""
        *folders, name = _checked(changeable_components(path))
        *new_folders, new_name = _checked(changeable_components(new))
        with os_errors_named(path), self._folder(folders) as here:
            is_folder = here.has_folder(name)
            if path == new:
                raise _taken(new)
            if is_folder and new.startswith(path + b"/"):
                raise BadName(f"{escaped(path)}: a folder can't be moved into itself")
            with os_errors_named(new), self._folder(new_folders) as there:
                check_moved_links(here, name, path, new)
                try:
                    if is_folder:
                        here.rename_new(name, new_name, there)
                    else:
                        _rename_file(here, name, there, new_name, new, overwrite)
                except FileExistsError:
                    raise _taken(new) from None
                there.sync()
            here.sync()

    def remove(self, path: bytes, deep: bool) -> int:
        """See IKeepingStore; a link is removed itself."""
        if self._removed_by_own_name(path):
            return 1
        *folders, name = _checked(changeable_components(path))
        with os_errors_named(path), self._folder(folders) as folder:
            if not deep and _is_folder(folder, name):
                raise IsADirectory(f"{escaped(path)}: this is a folder")
            was_kept, count = let_go(folder, partial_names(name)[0], path), 1
            try:
                if folder.has_folder(name):
                    count = Removal(folder, path).run()
                else:
                    folder.remove(name)
            except FileNotFoundError:
                if not was_kept:
                    raise
            folder.sync()
        return count

    def _removed_by_own_name(self, path: bytes) -> bool:
        """Remove what is kept of nobody knows what; False where ``path`` isn't the name of such."""
        above, _, part = path.rpartition(b"/")
        if not OWN_NAME.fullmatch(part):
            return False
        with os_errors_named(path), self._folder(_checked(components(above))) as folder:
            found = look(folder, part)
            if found is None or found.name != part or not let_go(folder, part, path):
                return False
            folder.sync()
        return True

    def kept(self, path: bytes, deep: bool) -> Iterator[Entry]:
        """See IKeepingStore."""
        names = _checked(components(path))
        with os_errors_named(path):
            if names:
                with self._folder(names[:-1]) as parent:
                    if not _is_folder(parent, names[-1]):
                        found = look(parent, partial_names(names[-1])[0])
                        if found is None:
                            parent.stat(names[-1])
                        else:
                            yield _kept_entry(path, found)
                        return
            unsaid = 0
            with self._folder(names) as top, closing(kept_below(top, deep)) as all_kept:
                for folder, each in all_kept:
                    below = join(join(path, folder), each.name)
                    if len(below) > PATH_MAX:
                        unsaid += 1
                    else:
                        yield _kept_entry(below, each)
            if unsaid:
                raise unsayable(path, unsaid)

    def sweep(self, age: float, total: int) -> tuple[int, int]:
        """See IKeepingStore."""
        with Folder.root(self.root) as top:
            return sweep(top, max(time.time_ns() - age * 10**9, 0), total)

    def _make_room(self, device: int, lack: int) -> int:
        """Let the oldest go of what is kept on a file system; see Room."""

        def is_on_it(folder: Folder) -> bool:
            return folder.status().st_dev == device

        with Folder.root(self.root) as top:
            size = room_in(top, is_on_it)
            if size >= lack:
                sweep(top, 0, size - lack, is_on_it)
            return size

    def packer(self) -> Packer:
        """See ITreeStore."""
        return LocalPacker(self._open_folders(), self.source)

    def unpacker(self, overwrite: bool, durable: bool, alike: Alike | None = None) -> Unpacker:
        """See ITreeStore."""
        if not HAS_DIR_FD:
            return PiecewiseUnpacker(self, overwrite, durable, alike)
        durable = durable and self._durable
        new_root = self.root if self._makes_root else None
        return LocalUnpacker(
            new_root, self._open_folders(), self.source, self._room, overwrite, durable, alike
        )

    def _open_folders(self) -> OpenFolders:
        return OpenFolders(lambda: Folder.root(self.root), lambda path: _checked(components(path)))

    def _folder(self, names: list[bytes]) -> Folder:
        with Folder.root(self.root) as root:
            return root.below(names)


def _taken(path: bytes) -> AlreadyExists:
    return AlreadyExists(f"{escaped(path)}: there is a file or folder of this name already")


def _is_folder(folder: Folder, name: bytes) -> bool:
    """Whether it is one; what isn't there is none."""
    try:
        return folder.has_folder(name)
    except FileNotFoundError:
        return False


def _rename_file(
    here: Folder, name: bytes, there: Folder, new_name: bytes, new: bytes, overwrite: bool
) -> None:
    standing = replaceable(there, new_name, new)
    if not overwrite:
        here.rename_new(name, new_name, there)
    elif standing is not None and _are_two_names(here, name, there, new_name, standing):
        here.remove(name)  # as rename(2) does nothing then
    else:
        here.replace(name, new_name, there)


def _are_two_names(
    here: Folder, name: bytes, there: Folder, new_name: bytes, standing: os.stat_result
) -> bool:
    """Whether both are names of one file, and not one name in other letters."""
    return os.path.samestat(standing, here.stat(name)) and new_name in there.names()


def _checked(names: list[bytes]) -> list[bytes]:
    if _ON_WINDOWS:
        check_for_windows(names)
    return names


def _kept_entry(path: bytes, each: Kept) -> Entry:
    return Entry(path, "partial", each.size, each.changed, stat.S_IMODE(each.mode))


def _entry(path: bytes, folder: Folder, name: bytes) -> Entry:
    status = folder.stat(name)
    kind = kind_of(status.st_mode)
    return Entry(
        path=path,
        kind=kind,
        size=status.st_size,
        mtime=mtime_of(status),
        mode=stat.S_IMODE(status.st_mode),
        target=_target(folder, name) if kind == "link" else b"",
    )


def _target(folder: Folder, name: bytes) -> bytes:
    """Where a link leads; nothing where that can't be read, or said."""
    try:
        target = folder.read_link(name)
    except OSError:  # mostly, that it is none any more
        return b""
    return target if len(target) <= PATH_MAX else b""
