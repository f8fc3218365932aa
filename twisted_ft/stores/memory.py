"""A store in memory: for tests, and for services whose files live nowhere else."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import RLock

from blake3 import blake3
from zope.interface import implementer

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Busy,
    IsADirectory,
    NotADirectory,
    NotFound,
)
from twisted_ft.stores.capabilities import Capabilities
from twisted_ft.stores.interfaces import (
    Buffer,
    IKeepingStore,
    ISettlingStore,
    ISink,
    ISource,
    Sink,
    Source,
)
from twisted_ft.stores.names import PATH_MAX, changeable_components, components, file_components
from twisted_ft.stores.refusals import unsayable
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import Attributes, Entry


@dataclass(frozen=True)
class MemoryFile:
    """What a MemoryStore has under one name; ``mtime`` in nanoseconds."""

    content: bytes
    mtime: int = 0
    mode: int = 0o644

    @cached_property
    def version(self) -> bytes:
        """A name for this state: equal for equal bytes."""
        return blake3(self.content).digest()[:16]


@dataclass
class _Partial:
    """What has arrived of one state of a file."""

    size: int | None
    version: bytes
    content: bytearray = field(default_factory=bytearray)
    owner: str = ""
    """whose it is; see IKeepingStore"""
    changed: int = field(default_factory=time.time_ns)
    """when it last did, in nanoseconds since 1970"""


@implementer(ISource)
class MemorySource:
    """A file in memory, opened: see ISource."""

    def __init__(self, path: bytes, file: MemoryFile) -> None:
        self._file = file
        size = len(file.content)
        self.attributes = Attributes(path, size, file.mtime, file.mode, file.version)

    def read(self, offset: int, size: int) -> bytes:
        """See ISource."""
        return self._file.content[offset : offset + size]

    def digest(self) -> bytes | None:
        """See ISource."""
        return None

    def remember(self, digest: bytes | None) -> None:
        """See ISource: what is in memory is hashed as fast as it is sent."""

    def check(self) -> int:
        """See ISource: a MemoryFile can't change, only make room for another."""
        return len(self._file.content)

    def close(self) -> None:
        """See ISource."""


@implementer(ISink)
class MemorySink:
    """A file on its way into memory: see ISink."""

    def __init__(
        self, store: MemoryStore, file: Attributes, partial: _Partial, overwrite: bool
    ) -> None:
        self._store, self._file, self._overwrite = store, file, overwrite
        self._partial = partial
        self._ended = False
        self.offset = len(partial.content)

    def kept(self) -> Iterator[bytes]:
        """See ISink."""
        if self.offset:
            yield bytes(self._partial.content[: self.offset])

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See ISink."""
        for piece in pieces:
            self._partial.content += piece
        self._partial.changed = time.time_ns()

    def publish(self) -> None:
        """See ISink."""
        path, content = self._file.path, bytes(self._partial.content)
        with self._store.lock:
            try:
                self._store.check_replaceable(path, self._overwrite)
                self._store.files[path] = MemoryFile(
                    content, self._file.mtime, self._file.mode & 0o777
                )
                self._store.partials.pop(path, None)
            finally:
                self.keep()

    def keep(self) -> None:
        """See ISink; where nothing has arrived, nothing is left."""
        if self._partial.content and self._file.size is not None:
            self._end()
        else:
            self.discard()

    def discard(self) -> None:
        """See ISink."""
        with self._store.lock:
            if not self._ended:
                self._store.partials.pop(self._file.path, None)
                self._end()

    def _end(self) -> None:
        with self._store.lock:
            if not self._ended:
                self._ended = True
                self._store.receiving.remove(self._file.path)


@implementer(IKeepingStore, ISettlingStore)
class MemoryStore:
    """Files in a dictionary; a folder is there as soon as a file or ``folders`` names it.

    ``store.files[b"inbox/a.txt"]`` is a MemoryFile; a plain ``bytes`` given to the
    constructor is its content.
    """

    capabilities = Capabilities()

    def __init__(
        self,
        files: dict[bytes, MemoryFile | bytes] | None = None,
        folders: Sequence[bytes] = (),
    ) -> None:
        self.files: dict[bytes, MemoryFile] = {
            path: MemoryFile(file) if isinstance(file, bytes) else file
            for path, file in (files or {}).items()
        }
        self.partials: dict[bytes, _Partial] = {}
        self.receiving: set[bytes] = set()
        """the names that have an open sink"""
        self.lock = RLock()
        """held for each look at the dictionaries, as calls come from several threads"""
        self._made = set(folders)

    def source(self, path: bytes) -> Source:
        """See IStore."""
        names = file_components(path)
        with self.lock:
            file = self.files.get(path)
            if file is not None:
                return MemorySource(path, file)
            if self._is_folder(path):
                raise IsADirectory(f"{escaped(path)}: this is a folder")
            self._check_folders(names[:-1])
        raise NotFound(f"{escaped(path)}: there is no such file or folder")

    def sink(
        self, file: Attributes, overwrite: bool, durable: bool = True, *, owner: str = ""
    ) -> Sink:
        """See IStore; nothing in memory is durable."""
        names = file_components(file.path)
        with self.lock:
            self._check_folders(names[:-1])
            self.check_replaceable(file.path, overwrite)
            partial = self._partial_for(file)
            partial.owner = owner
            return MemorySink(self, file, partial, overwrite)

    def settle(self, path: bytes, mtime: int, mode: int) -> None:
        """See ISettlingStore."""
        with self.lock:
            self.source(path).close()  # it fails where there is no such file
            self.files[path] = MemoryFile(self.files[path].content, mtime, mode & 0o777)

    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore."""
        names = components(path)
        with self.lock:
            if path in self.files:
                return iter([self._entry(path)])
            self._check_folders(names)
            before = path + b"/" if path else b""
            below = {
                each[len(before) :].partition(b"/")[0]
                for each in (*self.files, *self._made)
                if each.startswith(before)
            }
            said = [before + name for name in sorted(below) if len(before + name) <= PATH_MAX]
            return _then_unsaid([self._entry(each) for each in said], path, len(below) - len(said))

    def make_folder(self, path: bytes) -> None:
        """See IStore."""
        names = changeable_components(path)
        with self.lock:
            self._check_folders(names[:-1])
            self._check_free(path)
            self._made.add(path)

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """See IStore."""
        names, new_names = changeable_components(path), changeable_components(new)
        with self.lock:
            is_file = self._is_file(names)
            if path == new:
                self._check_free(new)
            if not is_file and new.startswith(path + b"/"):
                raise BadName(f"{escaped(path)}: a folder can't be moved into itself")
            self._check_folders(new_names[:-1])
            self._keep_folder(names[:-1])
            if is_file:
                self.check_replaceable(new, overwrite)
                self.files[new] = self.files.pop(path)
            else:
                self._check_free(new)
                self._rename_folder(path, new)

    def _rename_folder(self, path: bytes, new: bytes) -> None:
        self._check_quiet(path)
        self._made.add(path)
        self._made = {_renamed(each, path, new) for each in self._made}
        for file in _below(self.files, path):
            self.files[_renamed(file, path, new)] = self.files.pop(file)
        for partial in _below(self.partials, path):
            self.partials[_renamed(partial, path, new)] = self.partials.pop(partial)

    def remove(self, path: bytes, deep: bool) -> int:
        """See IKeepingStore."""
        names = changeable_components(path)
        with self.lock:
            if self._is_kept_only(path):
                self._let_go(path)
                return 1
            is_file = self._is_file(names)
            if not is_file and not deep:
                raise IsADirectory(f"{escaped(path)}: this is a folder")
            self._check_quiet(path)
            self._keep_folder(names[:-1])
            self._let_go(path)
            if is_file:
                del self.files[path]
                return 1
            return self._remove_folder(path)

    def _is_kept_only(self, path: bytes) -> bool:
        return path in self.partials and path not in self.files and not self._is_folder(path)

    def _let_go(self, path: bytes) -> None:
        """Drop what is kept of one file."""
        if path in self.receiving:
            raise Busy(
                f"{escaped(path)}: a transfer to this name is running; try again when it has ended"
            )
        self.partials.pop(path, None)

    def kept(self, path: bytes, deep: bool) -> Iterator[Entry]:
        """See IKeepingStore."""
        names = components(path)
        with self.lock:
            if path in self.files or self._is_kept_only(path):
                paths = [path] if path in self.partials else []
            else:
                self._check_folders(names)
                within = _below(self.partials, path) if path else list(self.partials)
                depth = len(names) + 1
                paths = [each for each in within if deep or each.count(b"/") < depth]
            return iter([self._kept_entry(each) for each in sorted(paths, key=_in_listing)])

    def _kept_entry(self, path: bytes) -> Entry:
        kept = self.partials[path]
        return Entry(path, "partial", len(kept.content), kept.changed, 0o600)

    def sweep(self, age: float, total: int) -> tuple[int, int]:
        """See IKeepingStore."""
        with self.lock:
            idle = set(self.partials) - self.receiving
            oldest = sorted(idle, key=lambda each: self.partials[each].changed)
            left = sum(len(self.partials[each].content) for each in idle)
            count = freed = 0
            for path in oldest:
                kept = self.partials[path]
                if left - freed > total or time.time_ns() - kept.changed >= age * 1e9:
                    del self.partials[path]
                    count, freed = count + 1, freed + len(kept.content)
            return count, freed

    def _remove_folder(self, path: bytes) -> int:
        files, made = _below(self.files, path), _below(self._made, path)
        above = {each for name in (*files, *made) for each in _folders_above(name)}
        folders = {path, *made, *_below(above, path)}
        for file in files:
            del self.files[file]
        for partial in _below(self.partials, path):
            del self.partials[partial]
        self._made -= folders
        return len(files) + len(folders)

    def check_replaceable(self, path: bytes, overwrite: bool) -> None:
        """Whether a file may take this name: IsADirectory, AlreadyExists."""
        if self._is_folder(path):
            raise IsADirectory(
                f"{escaped(path)}: this is a folder; end the name with / to put a file into it"
            )
        if path in self.files and not overwrite:
            raise AlreadyExists(
                f"{escaped(path)}: there is already a file with this name, "
                "and it may not be replaced"
            )

    def _partial_for(self, file: Attributes) -> _Partial:
        if file.path in self.receiving:
            raise Busy(
                f"{escaped(file.path)}: another transfer to this name is running; "
                "try again when it has ended"
            )
        self.receiving.add(file.path)
        partial = self.partials.get(file.path)
        known = partial and (partial.size, partial.version)
        if partial is None or file.size is None or known != (file.size, file.version):
            partial = self.partials[file.path] = _Partial(file.size, file.version)
        return partial

    def _entry(self, path: bytes) -> Entry:
        file = self.files.get(path)
        if file is None:
            return Entry(path, "directory", 0, 0, 0o755)
        return Entry(path, "file", len(file.content), file.mtime, file.mode)

    def _is_file(self, names: list[bytes]) -> bool:
        """Whether it is a file, or else a folder: NotFound, NotADirectory."""
        if b"/".join(names) in self.files:
            return True
        self._check_folders(names)
        return False

    def _keep_folder(self, names: list[bytes]) -> None:
        """See that a folder stays when the last file that names it is gone."""
        if names:
            self._made.add(b"/".join(names))

    def _check_free(self, path: bytes) -> None:
        if path in self.files or self._is_folder(path):
            raise AlreadyExists(f"{escaped(path)}: there is a file or folder of this name already")

    def _check_quiet(self, path: bytes) -> None:
        """Whether no sink is open below a folder."""
        if _below(self.receiving, path):
            raise Busy(f"{escaped(path)}: a transfer to this folder is running; try again")

    def _is_folder(self, path: bytes) -> bool:
        below = path + b"/"
        return path in self._made or any(
            each.startswith(below) for each in (*self.files, *self._made)
        )

    def _check_folders(self, names: list[bytes]) -> None:
        """Whether each of ``names`` is a folder in the one before: NotFound, NotADirectory."""
        for depth in range(1, len(names) + 1):
            path = b"/".join(names[:depth])
            if path in self.files:
                raise NotADirectory(f"{escaped(path)}: a part of this path is not a folder")
            if not self._is_folder(path):
                raise NotFound(f"{escaped(path)}: there is no such file or folder")


def _then_unsaid(entries: list[Entry], path: bytes, unsaid: int) -> Iterator[Entry]:
    yield from entries
    if unsaid:
        raise unsayable(path, unsaid)


def _in_listing(path: bytes) -> tuple[list[bytes], bytes]:
    """What paths are sorted by, so that each folder's come together, before those below it."""
    *folders, name = path.split(b"/")
    return folders, name


def _renamed(path: bytes, old: bytes, new: bytes) -> bytes:
    """``path``, where ``old`` in it, or above it, is called ``new``."""
    if path == old or path.startswith(old + b"/"):
        return new + path[len(old) :]
    return path


def _below(paths: Iterable[bytes], folder: bytes) -> list[bytes]:
    return [path for path in paths if path.startswith(folder + b"/")]


def _folders_above(path: bytes) -> list[bytes]:
    names = path.split(b"/")
    return [b"/".join(names[:depth]) for depth in range(1, len(names))]
