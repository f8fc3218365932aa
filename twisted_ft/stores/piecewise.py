"""Trees of stores that have no ways of their own for many small files: by sources and sinks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from blake3 import blake3
from zope.interface import implementer

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Cancelled,
    Corrupt,
    FileTransferError,
    NotADirectory,
    NotFound,
    Unsupported,
)
from twisted_ft.stores.capabilities import capabilities_of
from twisted_ft.stores.interfaces import (
    Alike,
    IPacker,
    ITreeStore,
    IUnpacker,
    Packer,
    Packing,
    Sink,
    Store,
    Unpacker,
)
from twisted_ft.stores.names import file_components, join
from twisted_ft.stores.refusals import (
    already_exists,
    file_in_the_way,
    folder_in_the_way,
    source_changed,
)
from twisted_ft.stores.sources import digest_of
from twisted_ft.stores.standing import standing_file, standing_source
from twisted_ft.stores.states import MOST_SUMMED, States, says_nothing
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import (
    BY_TIME,
    SUM_LIMIT,
    Attributes,
    Described,
    Entry,
    Failing,
    Item,
    Link,
    Outcome,
    Part,
    Settled,
    Summed,
    Unsendable,
    Whole,
    shortened,
)


def packer_of(store: Store) -> Packer:
    """What reads a tree of ``store``: its own, or one for any store."""
    if ITreeStore.providedBy(store):
        return ITreeStore(store).packer()
    return PiecewisePacker(store)


def unpacker_of(
    store: Store, overwrite: bool, durable: bool, alike: Alike | None = None
) -> Unpacker:
    """What puts a tree into ``store``: its own, or one for any store."""
    if ITreeStore.providedBy(store):
        return ITreeStore(store).unpacker(overwrite, durable, alike)
    return PiecewiseUnpacker(store, overwrite, durable, alike)


@implementer(IPacker)
class PiecewisePacker:
    """See IPacker."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopped = False

    def stop(self) -> None:
        """See IPacker."""
        self._stopped = True

    def _check(self) -> None:
        if self._stopped:
            raise Cancelled("it is no longer wanted")

    def describe(self, path: bytes) -> Item:
        """See IPacker."""
        if not path:
            next(iter(self._store.entries(path)), None)  # it fails where there is no root
            return Described(b"", "directory", 0, 0, 0o755)
        above = b"/".join(file_components(path)[:-1])
        for entry in self._store.entries(above):
            if entry.path == path:
                return _described(path, entry)
            if entry.path == above:
                raise NotADirectory(f"{escaped(path)}: a part of this path is not a folder")
        raise NotFound(f"{escaped(path)}: there is no such file or folder")

    def items(self, folder: bytes, small: int, packing: Packing) -> Iterator[Item]:
        """See IPacker; a store that isn't an ITreeStore has no links that could be read."""
        for entry in self._store.entries(folder):
            if entry.path == folder:
                raise _no_folder(folder)
            name = _name(entry)
            if entry.kind != "file" or not (small or packing.digests):
                yield _described(name, entry)
            else:
                yield self._read(entry.path, name, small or -1)

    def states(
        self, folder: bytes, most: int, packing: Packing
    ) -> tuple[States, list[Item]] | None:
        """See IPacker."""
        found = _states(self._store, folder, most)
        if found is None:
            return None
        states, others = found
        return states, [_described(_name(entry), entry) for entry in others]

    def item(self, folder: bytes, name: bytes, small: int) -> Item:
        """See IPacker."""
        return self._read(join(folder, name), name, small)

    def _read(self, path: bytes, name: bytes, small: int) -> Item:
        """A file whole, up to ``small`` bytes; else described, with its digest if that is -1."""
        try:
            source = self._store.source(path)
            try:
                file = source.attributes
                size = small + 1 if file.size is None else file.size
                content = b"" if size > small + 1 else source.read(0, size)
                if max(len(content), file.size or 0) > small:
                    digest = digest_of(source, self._check) if small < 0 else b""
                    return Described(name, "file", size, file.mtime, file.mode, digest)
                if source.check() != len(content) and source.read(0, size) != content:
                    raise source_changed(path)
            finally:
                source.close()
        except Cancelled:
            raise
        except FileTransferError as error:
            return Unsendable(name, error.code, shortened(error.text))
        return Whole(name, file.mtime, file.mode, content, blake3(content).digest())

    def close(self) -> None:
        """See IPacker."""


@implementer(IUnpacker)
class PiecewiseUnpacker:
    """See IUnpacker."""

    def __init__(
        self, store: Store, overwrite: bool, durable: bool, alike: Alike | None = None
    ) -> None:
        self._store, self._overwrite, self._durable = store, overwrite, durable
        self._alike = alike
        self._sums_left = 0

    def unpack(self, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        """See IUnpacker."""
        self._sums_left = MOST_SUMMED
        outcomes, failures = [], []
        for part in parts:
            for item in part.items:
                try:
                    outcomes.append(self._take(part.folder, item))
                except FileTransferError as error:
                    outcomes.append(Outcome.FAILED)
                    failures.append(Failing(error.code, error.text))
        return outcomes, failures

    def close(self) -> None:
        """See IUnpacker."""

    def _take(self, folder: bytes, item: Item) -> Outcome:
        path = join(folder, item.name)
        if b"/" in item.name:
            raise BadName(f"{escaped(path)}: a name can't contain a slash")
        if not item.name and (isinstance(item, Whole) or getattr(item, "kind", "") == "file"):
            raise NotADirectory(f"{escaped(path)}: the root of a tree is a folder")
        if isinstance(item, Whole):
            return self._write(path, item)
        if isinstance(item, Link):
            raise Unsupported(f"{escaped(path)}: this store can't hold links")
        if isinstance(item, Settled):
            return Outcome.HELD
        if isinstance(item, Summed):
            return self._sum(path, item)
        if not isinstance(item, Described):
            return Outcome.DECLINED
        if item.kind == "directory":
            return self._make(path)
        return self._compare(path, item) if item.kind == "file" else Outcome.DECLINED

    def _make(self, path: bytes) -> Outcome:
        if not path:
            next(iter(self._store.entries(path)), None)  # it fails where there is no root
            return Outcome.HELD
        if not capabilities_of(self._store).empty_folders:
            return self._find(path)
        try:
            self._store.make_folder(path)
        except AlreadyExists:
            return self._find(path)
        return Outcome.DONE

    def _find(self, path: bytes) -> Outcome:
        """A folder that is there, or comes with the first file that is put into it."""
        try:
            standing = next(iter(self._store.entries(path)), None)
        except NotFound:
            return Outcome.DONE
        if standing is not None and standing.path == path:
            raise file_in_the_way(path)
        return Outcome.HELD

    def _sum(self, path: bytes, item: Summed) -> Outcome:
        """Whether all files of a folder are here already, and no more."""
        self._sums_left -= item.files
        found = _states(self._store, path, SUM_LIMIT) if self._sums_left >= 0 else None
        if found is None or found[0].summed(item.name) != item or found[0].any_says_nothing:
            return Outcome.WANTED
        if self._alike is not None:
            self._alike(path, found[0])
        return Outcome.HELD

    def _compare(self, path: bytes, item: Described) -> Outcome:
        """Whether a file is here already."""
        try:
            standing = next(iter(self._store.entries(path)), None)
        except NotFound:
            return Outcome.WANTED
        if standing is None or standing.path != path:
            raise folder_in_the_way(path)
        is_file = standing.kind == "file"
        if is_file and standing.size == item.size and self._is_same(path, standing, item):
            return Outcome.HELD
        if not self._overwrite:
            raise already_exists(path)
        return Outcome.WANTED

    def _is_same(self, path: bytes, standing: Entry, item: Described) -> bool:
        if not item.blake3:
            return standing.mtime == item.mtime and not says_nothing(standing.mtime)
        return self._digest(path) == item.blake3

    def _write(self, path: bytes, item: Whole) -> Outcome:
        if blake3(item.content).digest() != item.blake3:
            raise Corrupt(
                f"{escaped(path)}: the data was damaged on the way; run again to get the file"
            )
        file = Attributes(path, len(item.content), item.mtime, item.mode, item.blake3)
        if self._has(file, item.blake3):
            return Outcome.HELD
        sink = self._begin(file)
        try:
            sink.write((item.content,))
            sink.publish()
        except FileTransferError:
            sink.discard()
            raise
        return Outcome.DONE

    def _has(self, file: Attributes, digest: bytes) -> bool:
        """Whether a file is here already, with its time."""
        standing = standing_file(self._store, file, BY_TIME)
        if standing is None:
            return False
        try:
            return digest_of(standing.source) == digest
        finally:
            standing.source.close()

    def _begin(self, file: Attributes) -> Sink:
        """A sink in which nothing is: not a beginning of what is here whole."""
        sink = self._store.sink(file, self._overwrite, self._durable)
        if sink.offset:
            sink.discard()
            sink = self._store.sink(file, self._overwrite, self._durable)
        return sink

    def _digest(self, path: bytes) -> bytes:
        source = standing_source(self._store, path)
        try:
            return digest_of(source)
        finally:
            source.close()


def _states(store: Store, folder: bytes, most: int) -> tuple[States, list[Entry]] | None:
    """The states of the plain files in a folder, and what else is in it; see IPacker."""
    entries = list(islice(store.entries(folder), most + 1))
    if len(entries) > most:
        return None
    if entries and entries[0].path == folder:
        raise _no_folder(folder)
    files = sorted((entry for entry in entries if entry.kind == "file"), key=_name)
    states = States(
        [_name(entry) for entry in files],
        [entry.size for entry in files],
        [entry.mtime for entry in files],
        [entry.mode for entry in files],
    )
    return states, [entry for entry in entries if entry.kind != "file"]


def _no_folder(path: bytes) -> NotADirectory:
    return NotADirectory(f"{escaped(path)}: a part of this path is not a folder")


def _name(entry: Entry) -> bytes:
    return entry.path.rpartition(b"/")[2]


def _described(name: bytes, entry: Entry) -> Described:
    return Described(name, entry.kind, entry.size, entry.mtime, entry.mode)
