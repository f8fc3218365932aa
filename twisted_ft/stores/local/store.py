"""A store that is a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from zope.interface import implementer

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    IsADirectory,
    SourceChanged,
    Unchanged,
)
from twisted_ft.stores import system
from twisted_ft.stores.interfaces import (
    Alike,
    IDescriptorSource,
    IPacker,
    ISink,
    ISource,
    ITreeStore,
    IUnpacker,
)
from twisted_ft.stores.local.digests import Digests
from twisted_ft.stores.local.folder import HAS_DIR_FD, Folder
from twisted_ft.stores.local.joined import apart, joined
from twisted_ft.stores.local.moved_links import check_moved_links
from twisted_ft.stores.local.open_folders import OpenFolders
from twisted_ft.stores.local.packing import LocalPacker
from twisted_ft.stores.local.partial import PartialFile, replaceable
from twisted_ft.stores.local.removal import Removal
from twisted_ft.stores.local.room import Room
from twisted_ft.stores.local.unpacking import LocalUnpacker
from twisted_ft.stores.names import (
    PARTIAL,
    PATH_MAX,
    changeable_components,
    check_for_windows,
    components,
    file_components,
)
from twisted_ft.stores.piecewise import PiecewiseUnpacker
from twisted_ft.stores.refusals import already_exists, os_errors_named, unsayable
from twisted_ft.stores.system import kind_of, mtime_of
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import Attributes, Entry

_ON_WINDOWS = os.name == "nt"


def _version(status: os.stat_result) -> bytes:
    """A name for the state of a file: any change of content changes it, in practice."""
    return b"%d-%d-%d" % (status.st_size, status.st_mtime_ns, status.st_ino)


@implementer(IDescriptorSource)
class LocalSource:
    """A file of the folder, opened as ``fd``, which it closes: see ISource."""

    def __init__(self, path: bytes, fd: int, status: os.stat_result, digests: Digests) -> None:
        self._fd = fd
        self._status, self._digests = status, digests
        self.attributes = Attributes(
            path=path,
            size=status.st_size,
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
        return self._digests.of(self._status)

    def remember(self, digest: bytes | None) -> None:
        """See ISource."""
        self._digests.remember(self._status, digest)

    def check(self) -> None:
        """See ISource."""
        with os_errors_named(self.attributes.path):
            if _version(os.fstat(self._fd)) != self.attributes.version:
                raise SourceChanged(
                    f"{escaped(self.attributes.path)}: the file changed while it was being sent; "
                    "try again"
                )

    def close(self) -> None:
        """See ISource."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with os_errors_named(self.attributes.path):
                os.close(fd)


@implementer(ITreeStore)
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
        self._room = Room(min_free)

    def __repr__(self) -> str:
        return f"LocalStore({self.root!r})"

    def source(self, path: bytes) -> ISource:
        """See IStore."""
        *folders, name = _checked(file_components(path))
        with os_errors_named(path), self._folder(folders) as folder:
            fd, status = folder.open_file(name)
        return LocalSource(path, fd, status, self._digests)

    def sink(
        self, file: Attributes, overwrite: bool, durable: bool = True, *, owner: str = ""
    ) -> ISink:
        """See IStore."""
        *folders, name = _checked(file_components(file.path))
        with os_errors_named(b"/".join(folders)):
            folder = self._folder(folders)
        with os_errors_named(file.path):
            try:
                self._check_wanted(folder, name, file, overwrite)
                return PartialFile(
                    folder, name, file, self._room, overwrite, durable and self._durable, owner
                )
            except BaseException:
                folder.close()
                raise

    @staticmethod
    def _check_wanted(folder: Folder, name: bytes, file: Attributes, overwrite: bool) -> None:
        standing = replaceable(folder, name, file.path)
        if standing is None:
            return
        same = (standing.st_size, mtime_of(standing)) == (file.size, file.mtime)
        if same and stat.S_ISREG(standing.st_mode):
            raise Unchanged(f"{escaped(file.path)}: already there, with the same size and time")
        if not overwrite:
            raise already_exists(file.path)

    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore; what is still to be said is held as names only, and as one."""
        names = _checked(components(path))
        with os_errors_named(path):
            if names:
                with self._folder(names[:-1]) as parent:
                    status = parent.stat(names[-1])
                if not stat.S_ISDIR(status.st_mode):
                    yield _entry(path, status)
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
                        status = folder.stat(name)
                    except FileNotFoundError:  # removed since
                        continue
                    yield _entry(below, status)
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
                raise BadName(f"{escaped(path)}: a folder can't go into itself")
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
        """See IStore; a link is removed itself."""
        *folders, name = _checked(changeable_components(path))
        with os_errors_named(path), self._folder(folders) as folder:
            count = 1
            if not folder.has_folder(name):
                folder.remove(name)
            elif deep:
                count = Removal(folder, path).run()
            else:
                raise IsADirectory(f"{escaped(path)}: this is a folder; remove it with -r")
            folder.sync()
        return count

    def packer(self) -> IPacker:
        """See ITreeStore."""
        return LocalPacker(self._chain(), self.source)

    def unpacker(self, overwrite: bool, durable: bool, alike: Alike | None = None) -> IUnpacker:
        """See ITreeStore."""
        if not HAS_DIR_FD:
            return PiecewiseUnpacker(self, overwrite, durable, alike)
        durable = durable and self._durable
        new_root = self.root if self._makes_root else None
        return LocalUnpacker(
            new_root, self._chain(), self.source, self._room, overwrite, durable, alike
        )

    def _chain(self) -> OpenFolders:
        return OpenFolders(lambda: Folder.root(self.root), lambda path: _checked(components(path)))

    def _folder(self, names: list[bytes]) -> Folder:
        with Folder.root(self.root) as root:
            return root.below(names)


def _taken(path: bytes) -> AlreadyExists:
    return AlreadyExists(f"{escaped(path)}: there is a file or folder of this name already")


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


def _entry(path: bytes, status: os.stat_result) -> Entry:
    return Entry(
        path=path,
        kind=kind_of(status.st_mode),
        size=status.st_size,
        mtime=mtime_of(status),
        mode=stat.S_IMODE(status.st_mode),
    )
