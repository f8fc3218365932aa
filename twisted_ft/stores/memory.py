"""A store in memory: for tests, and for services whose files live nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from blake3 import blake3
from zope.interface import implementer

from twisted_ft.errors import (
    AlreadyExists,
    Busy,
    IsADirectory,
    NotADirectory,
    NotFound,
    Unchanged,
)
from twisted_ft.stores.interfaces import Buffer, ISink, ISource, IStore
from twisted_ft.stores.names import components, file_components
from twisted_ft.terminal import shown
from twisted_ft.wire.messages import Attributes, Entry


@dataclass(frozen=True)
class MemoryFile:
    """What a MemoryStore has under one name; ``mtime`` in nanoseconds."""

    content: bytes
    mtime: int = 0
    mode: int = 0o644

    @property
    def version(self) -> bytes:
        """A name for this state: equal for equal bytes."""
        return blake3(self.content).digest()[:16]


@dataclass
class _Partial:
    """What has arrived of one state of a file, and whether someone is at it."""

    size: int
    version: bytes
    content: bytearray = field(default_factory=bytearray)
    open: bool = False


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

    def check(self) -> None:
        """See ISource: a MemoryFile can't change, only make room for another."""

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
        partial.open = True
        self.offset = len(partial.content)

    def kept(self) -> Iterator[bytes]:
        """See ISink."""
        if self.offset:
            yield bytes(self._partial.content[: self.offset])

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See ISink."""
        for piece in pieces:
            self._partial.content += piece

    def publish(self) -> None:
        """See ISink."""
        try:
            self._store.check_replaceable(self._file.path, self._overwrite)
        finally:
            self._partial.open = False
        content = bytes(self._partial.content)
        self._store.files[self._file.path] = MemoryFile(
            content, self._file.mtime, self._file.mode & 0o777
        )
        self._store.partials.pop(self._file.path, None)

    def keep(self) -> None:
        """See ISink."""
        self._partial.open = False

    def discard(self) -> None:
        """See ISink."""
        if self._partial.open:
            self._partial.open = False
            self._store.partials.pop(self._file.path, None)


@implementer(IStore)
class MemoryStore:
    """Files in a dictionary; a folder is there as soon as a file or ``folders`` names it.

    ``store.files[b"inbox/a.txt"]`` is a MemoryFile; a plain ``bytes`` given to the
    constructor is its content.
    """

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
        self._made = set(folders)

    def source(self, path: bytes) -> ISource:
        """See IStore."""
        file_components(path)
        file = self.files.get(path)
        if file is not None:
            return MemorySource(path, file)
        if path in self._folders():
            raise IsADirectory(f"{shown(path)}: this is a folder")
        self._check_parents(path)
        raise NotFound(f"{shown(path)}: there is no such file or folder")

    def sink(self, file: Attributes, overwrite: bool) -> ISink:
        """See IStore."""
        file_components(file.path)
        self._check_parents(file.path)
        self.check_replaceable(file.path, overwrite=True)
        known = self.files.get(file.path)
        if known is not None and (len(known.content), known.mtime) == (file.size, file.mtime):
            raise Unchanged(f"{shown(file.path)}: already there, with the same size and time")
        self.check_replaceable(file.path, overwrite)
        return MemorySink(self, file, self._partial_for(file), overwrite)

    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore."""
        components(path)
        if path in self.files:
            yield self._entry(path)
            return
        self._check_parents(path)
        folders = self._folders()
        if path and path not in folders:
            raise NotFound(f"{shown(path)}: there is no such file or folder")
        for each in sorted(folders | set(self.files)):
            if each and _parent(each) == path:
                yield self._entry(each)

    def check_replaceable(self, path: bytes, overwrite: bool) -> None:
        """Whether a file may take this name: IsADirectory, AlreadyExists."""
        if path in self._folders():
            raise IsADirectory(
                f"{shown(path)}: this is a folder; end the name with / to put a file into it"
            )
        if path in self.files and not overwrite:
            raise AlreadyExists(
                f"{shown(path)}: there is a file of this name, and it may not be replaced"
            )

    def _partial_for(self, file: Attributes) -> _Partial:
        partial = self.partials.get(file.path)
        if partial is not None and partial.open:
            raise Busy(
                f"{shown(file.path)}: another transfer to this name is under way; "
                "try again when it has ended"
            )
        if partial is None or (partial.size, partial.version) != (file.size, file.version):
            partial = self.partials[file.path] = _Partial(file.size, file.version)
        return partial

    def _entry(self, path: bytes) -> Entry:
        file = self.files.get(path)
        if file is None:
            return Entry(path, "directory", 0, 0, 0o755)
        return Entry(path, "file", len(file.content), file.mtime, file.mode)

    def _folders(self) -> set[bytes]:
        folders = {b""}
        for path in {*self._made, *map(_parent, self.files)}:
            while path:
                folders.add(path)
                path = _parent(path)
        return folders

    def _check_parents(self, path: bytes) -> None:
        parent = _parent(path)
        while parent and parent not in self._folders():
            if parent in self.files:
                raise NotADirectory(f"{shown(path)}: a part of this path is no folder")
            if _parent(parent) in self._folders():
                raise NotFound(f"{shown(path)}: there is no such file or folder")
            parent = _parent(parent)


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]
