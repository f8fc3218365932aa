"""A store that is a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from zope.interface import implementer

from twisted_ft.errors import SourceChanged, Unchanged
from twisted_ft.stores.folder import Folder, sentences
from twisted_ft.stores.interfaces import ISink, ISource, IStore
from twisted_ft.stores.names import PARTIAL, components, file_components
from twisted_ft.stores.partial import PartialFile, check_replaceable
from twisted_ft.terminal import shown
from twisted_ft.wire.messages import Attributes, Entry


def _version(status: os.stat_result) -> bytes:
    """A name for the state of a file: any change of content changes it, in practice."""
    return b"%d-%d-%d" % (status.st_size, status.st_mtime_ns, status.st_ino)


@implementer(ISource)
class LocalSource:
    """A file of the folder, opened: see ISource."""

    def __init__(self, path: bytes, fd: int) -> None:
        self._fd = fd
        status = os.fstat(fd)
        self.attributes = Attributes(
            path=path,
            size=status.st_size,
            mtime=status.st_mtime_ns,
            mode=stat.S_IMODE(status.st_mode),
            version=_version(status),
        )

    def read(self, offset: int, size: int) -> bytes:
        """See ISource."""
        with sentences(self.attributes.path):
            if hasattr(os, "pread"):
                return os.pread(self._fd, size, offset)
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, size)

    def check(self) -> None:
        """See ISource."""
        with sentences(self.attributes.path):
            if _version(os.fstat(self._fd)) != self.attributes.version:
                raise SourceChanged(
                    f"{shown(self.attributes.path)}: the file changed while it was being sent; try again"
                )

    def close(self) -> None:
        """See ISource."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@implementer(IStore)
class LocalStore:
    """The files below one folder; see IStore.

    Nothing outside the folder is ever read or written: names that climb out are refused,
    and symbolic links below the root are not followed.

    :param root: the folder; it is looked at on each call, not here
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.fspath(root)

    def __repr__(self) -> str:
        return f"LocalStore({self.root!r})"

    def source(self, path: bytes) -> ISource:
        """See IStore."""
        *folders, name = file_components(path)
        with sentences(path), self._folder(folders) as folder:
            return LocalSource(path, folder.open_file(name))

    def sink(self, file: Attributes, overwrite: bool) -> ISink:
        """See IStore."""
        *folders, name = file_components(file.path)
        with sentences(file.path):
            folder = self._folder(folders)
            try:
                check_replaceable(folder, name, file.path, overwrite=True)
                self._check_unchanged(folder, name, file)
                check_replaceable(folder, name, file.path, overwrite)
                return PartialFile(folder, name, file, overwrite)
            except BaseException:
                folder.close()
                raise

    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore."""
        names = components(path)
        with sentences(path):
            if names:
                with self._folder(names[:-1]) as parent:
                    status = parent.stat(names[-1])
                if not stat.S_ISDIR(status.st_mode):
                    yield _entry(path, status)
                    return
            with self._folder(names) as folder:
                for name in folder.names():
                    if PARTIAL.fullmatch(name):
                        continue
                    try:
                        status = folder.stat(name)
                    except FileNotFoundError:  # removed since
                        continue
                    yield _entry(path + b"/" + name if path else name, status)

    def _folder(self, names: list[bytes]) -> Folder:
        with Folder.root(self.root) as root:
            return root.below(names)

    @staticmethod
    def _check_unchanged(folder: Folder, name: bytes, file: Attributes) -> None:
        try:
            status = folder.stat(name)
        except FileNotFoundError:
            return
        same = (status.st_size, status.st_mtime_ns) == (file.size, file.mtime)
        if same and stat.S_ISREG(status.st_mode):
            raise Unchanged(f"{shown(file.path)}: already there, with the same size and time")


def _entry(path: bytes, status: os.stat_result) -> Entry:
    return Entry(
        path=path,
        kind=_KINDS.get(stat.S_IFMT(status.st_mode), "other"),
        size=status.st_size,
        mtime=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode),
    )


_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
