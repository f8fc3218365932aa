"""A store around another one: it changes what it wants to, and keeps the other's fast ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from zope.interface import directlyProvides, implementer, providedBy

from twisted_ft.errors import FileTransferError
from twisted_ft.stores.capabilities import Capabilities, capabilities_of
from twisted_ft.stores.interfaces import (
    Alike,
    IKeepingStore,
    IPacker,
    ISettlingStore,
    ITreeStore,
    IUnpacker,
    Packer,
    Packing,
    Sink,
    Source,
    Store,
    Unpacker,
)
from twisted_ft.stores.names import above, join
from twisted_ft.stores.piecewise import (
    PiecewisePacker,
    PiecewiseUnpacker,
    packer_of,
    unpacker_of,
)
from twisted_ft.stores.sources import open_sink
from twisted_ft.stores.standing import standing_source
from twisted_ft.stores.states import States
from twisted_ft.wire.messages import (
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
    shortened,
)


class Use(Enum):
    """What is about to be done with a path."""

    LIST = auto()
    """see what is in a folder, or of what kind and size something is"""
    READ = auto()
    """read a file, or where a link leads to"""
    PUT = auto()
    """receive a file or a link, or say whether it is here already"""
    MAKE_FOLDER = auto()
    """make a folder, or give it its time and permissions when a tree is complete"""
    COMPARE = auto()
    """say whether a file, or those in a folder, are what the other side has"""
    RENAME = auto()
    """give it another name, or this name to another"""
    REMOVE = auto()
    """remove it, with all that is in it"""


Check = Callable[[Use, bytes], None]
"""Looks at what is about to be done; a FileTransferError, where it mustn't be."""
Listing = Callable[[bytes, bool], Iterator[Entry]]
"""What is in a folder, or in all below it, too: see IKeepingStore.kept."""
Route = Callable[[Use, bytes], Unpacker]
"""Which unpacker takes an item; a FileTransferError, where none may."""


@implementer(ITreeStore)
class StoreWrapper:
    """Another store; a subclass overrides what it changes, or ``check``, or both.

    Whoever overrides ``source`` or ``entries``, and not ``packer``, has trees read by these, file
    by file; it is the same for ``sink``, ``make_folder`` and ``unpacker``.  Whoever overrides
    ``entries``, and not ``kept``, doesn't say what the other store keeps, as that has its names.
    What else the other store has and provides, it has and provides, too; that isn't checked.

    :param inner: the other store
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        provided = providedBy(inner)
        directlyProvides(self, *(provided if hasattr(self, "kept") else provided - IKeepingStore))

    def check(self, use: Use, path: bytes) -> None:
        """Is called before anything is done with a path; a FileTransferError refuses it.

        Of a tree, each item that comes is asked about, and each folder that is gone into.  A file
        that goes is asked about before it is given on, but may have been read.
        """

    @property
    def checks_items(self) -> bool:
        """Whether ``check`` is called for what is in a tree: where there is one."""
        return type(self).check is not StoreWrapper.check

    @property
    def capabilities(self) -> Capabilities:
        """What the other store can do."""
        return capabilities_of(self.inner)

    def source(self, path: bytes) -> Source:
        """See IStore."""
        self.check(Use.READ, path)
        return self.inner.source(path)

    def standing(self, path: bytes) -> Source:
        """A file that is here, opened to be compared with one that comes: see IStore.source."""
        self.check(Use.COMPARE, path)
        if type(self).source is not StoreWrapper.source:
            return self.source(path)
        return standing_source(self.inner, path)

    def settle(self, path: bytes, mtime: int, mode: int) -> None:
        """See ISettlingStore; where the other store is none, both stay as they are."""
        self.check(Use.PUT, path)
        if ISettlingStore.providedBy(self.inner):
            ISettlingStore(self.inner).settle(path, mtime, mode)

    def sink(
        self,
        file: Attributes,
        overwrite: bool,
        durable: bool = True,
        *,
        owner: str = "",
        **more: Any,
    ) -> Sink:
        """See IStore; ``more`` is what other interfaces of the store have here."""
        self.check(Use.PUT, file.path)
        return open_sink(self.inner, file, overwrite, durable, owner, **more)

    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore; where a link leads that may not be read isn't told."""
        self.check(Use.LIST, path)
        entries = self.inner.entries(path)
        return entries if type(self).check is StoreWrapper.check else self._checked(entries)

    def _checked(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            yield self._without_target(entry) if entry.target else entry

    def _without_target(self, entry: Entry) -> Entry:
        """An entry, without its target where that may not be read."""
        try:
            self.check(Use.READ, entry.path)
        except FileTransferError:
            return msgspec.structs.replace(entry, target=b"")
        return entry

    @property
    def kept(self) -> Callable[[bytes, bool], Iterator[Entry]]:
        """See IKeepingStore; what is in a folder that may not be listed isn't named.

        It is lacking where the other store lacks it, and where only ``entries`` is overridden.
        """
        if self._changes_files_only("kept", "entries"):
            raise AttributeError(f"{type(self).__name__!r} object lists other names")
        inner: Any = self.inner
        return partial(self._checked_kept, inner.kept)

    def _checked_kept(self, kept: Listing, path: bytes, deep: bool) -> Iterator[Entry]:
        self.check(Use.LIST, path)
        for folder, entries in groupby(kept(path, deep), lambda each: above(each.path)):
            if self._may_be_gone_down_to(folder, path):
                yield from entries

    def _may_be_gone_down_to(self, folder: bytes, top: bytes) -> bool:
        """Whether it may be listed, and so may all folders that it is in, below ``top``."""
        try:
            while len(folder) > len(top):
                self.check(Use.LIST, folder)
                folder = above(folder)
        except FileTransferError:
            return False
        return True

    def make_folder(self, path: bytes) -> None:
        """See IStore."""
        self.check(Use.MAKE_FOLDER, path)
        self.inner.make_folder(path)

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """See IStore."""
        self.check(Use.RENAME, path)
        self.check(Use.RENAME, new)
        self.inner.rename(path, new, overwrite)

    def remove(self, path: bytes, deep: bool) -> int:
        """See IStore."""
        self.check(Use.REMOVE, path)
        return self.inner.remove(path, deep)

    def packer(self) -> Packer:
        """See ITreeStore."""
        if self._changes_files_only("packer", "source", "entries"):
            return PiecewisePacker(self)
        packer = packer_of(self.inner)
        return CheckedPacker(packer, self.check) if self.checks_items else packer

    def unpacker(self, overwrite: bool, durable: bool, alike: Alike | None = None) -> Unpacker:
        """See ITreeStore."""
        if self._changes_files_only("unpacker", "sink", "make_folder"):
            return PiecewiseUnpacker(self, overwrite, durable, alike)
        unpacker = unpacker_of(self.inner, overwrite, durable, alike)
        if not self.checks_items:
            return unpacker

        def route(use: Use, path: bytes) -> Unpacker:
            self.check(use, path)
            return unpacker

        return RoutedUnpacker([unpacker], route)

    def _changes_files_only(self, tree: str, *files: str) -> bool:
        """Whether the class that changes what single files go by leaves the way of trees alone."""
        changing = next(
            each for each in type(self).__mro__ if not {tree, *files}.isdisjoint(vars(each))
        )
        return tree not in vars(changing)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("inner", "kept"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.inner, name)


@implementer(IPacker)
class CheckedPacker:
    """Another packer; each folder that it goes into is asked about, and each file that it gives."""

    def __init__(self, inner: Packer, check: Check) -> None:
        self._inner, self._check = inner, check

    def describe(self, path: bytes) -> Item:
        """See IPacker."""
        self._check(Use.LIST, path)
        return self._inner.describe(path)

    def items(self, folder: bytes, small: int, packing: Packing) -> Iterator[Item]:
        """See IPacker."""
        self._check(Use.LIST, folder)
        return (self._given(folder, each) for each in self._inner.items(folder, small, packing))

    def states(
        self, folder: bytes, most: int, packing: Packing
    ) -> tuple[States, list[Item]] | None:
        """See IPacker."""
        self._check(Use.LIST, folder)
        found = self._inner.states(folder, most, packing)
        if found is None:
            return None
        return found[0], [self._given(folder, each) for each in found[1]]

    def item(self, folder: bytes, name: bytes, small: int) -> Item:
        """See IPacker."""
        try:
            self._check(Use.READ, join(folder, name))
        except FileTransferError as error:
            return Unsendable(name, error.code, shortened(error.text))
        return self._inner.item(folder, name, small)

    def stop(self) -> None:
        """See IPacker."""
        self._inner.stop()

    def close(self) -> None:
        """See IPacker."""
        self._inner.close()

    def _given(self, folder: bytes, item: Item) -> Item:
        """An item, or where it tells what may not be read, why not."""
        if not isinstance(item, Link) and not getattr(item, "blake3", b""):
            return item
        try:
            self._check(Use.READ, join(folder, item.name))
        except FileTransferError as error:
            return Unsendable(item.name, error.code, shortened(error.text))
        return item


@implementer(IUnpacker)
class RoutedUnpacker:
    """Other unpackers, of which each item goes to one, or to none.

    They take the items in order, but for the sums of folders, which come last, and in one call:
    what bounds them is for each call of an unpacker.

    :param unpackers: all of them
    :param route: says which takes an item; the same one for all of Use.COMPARE
    """

    def __init__(self, unpackers: Sequence[Unpacker], route: Route) -> None:
        self._unpackers, self._route = unpackers, route

    def unpack(self, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        """See IUnpacker."""
        items = [(part.folder, item) for part in parts for item in part.items]
        ways: dict[int, Unpacker] = {}
        became: dict[int, Outcome | Failing] = {}
        for number, (folder, item) in enumerate(items):
            try:
                ways[number] = self._route(_use_of(item), join(folder, item.name))
            except FileTransferError as error:
                became[number] = Failing(error.code, shortened(error.text))
        if not became and len({*map(id, ways.values())}) == 1:
            return ways[0].unpack(parts)
        in_order = sorted(ways, key=lambda number: isinstance(items[number][1], Summed))
        for way, run in groupby(in_order, key=ways.__getitem__):
            numbers = [*run]
            results = _unpacked(way, [items[number] for number in numbers])
            became.update(zip(numbers, results, strict=True))
        return _told([became[number] for number in range(len(items))])

    def close(self) -> None:
        """See IUnpacker."""
        for each in self._unpackers:
            each.close()


def _use_of(item: Item) -> Use:
    if isinstance(item, Summed):
        return Use.COMPARE
    is_folder = isinstance(item, Described) and item.kind == "directory"
    return Use.MAKE_FOLDER if is_folder or isinstance(item, Settled) else Use.PUT


def _unpacked(unpacker: Unpacker, items: Sequence[tuple[bytes, Item]]) -> list[Outcome | Failing]:
    """What became of each, or why it failed."""
    outcomes, failures = unpacker.unpack(
        [
            Part(folder, tuple(item for _, item in run))
            for folder, run in groupby(items, key=itemgetter(0))
        ]
    )
    reasons = iter(failures)
    return [next(reasons) if each == Outcome.FAILED else each for each in outcomes]


def _told(became: Sequence[Outcome | Failing]) -> tuple[list[Outcome], list[Failing]]:
    failures = [each for each in became if isinstance(each, Failing)]
    return [Outcome.FAILED if isinstance(each, Failing) else each for each in became], failures
