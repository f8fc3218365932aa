"""Two trees beside each other: what one has and the other doesn't, or has in another state."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import islice

from twisted_ft.client_connection import ClientConnection
from twisted_ft.errors import Forbidden, NotADirectory, NotFound, Unsupported
from twisted_ft.stores.interfaces import Store
from twisted_ft.stores.states import says_nothing
from twisted_ft.stores.tree import entries_below
from twisted_ft.terminal import escaped
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.trees.options import TreeOptions, folders_above
from twisted_ft.walk import order_of
from twisted_ft.wire.messages import Entry

_AT_ONCE = 256
"""Entries of a local tree that are read in one trip to a thread."""
MOST_NAMED = 1 << 29
"""Bytes of the paths in which two trees differ, at most, with ``_PATH_COST`` for each: some five
million."""
_PATH_COST = 64


async def local_entries(runtime: Runtime, store: Store) -> AsyncIterator[tuple[bytes, Entry]]:
    """The entries of a local tree, each with its path from the root."""
    entries = entries_below(store, b"")
    while batch := await runtime.in_thread(_some, entries):
        for entry in batch:
            yield entry.path, entry


async def no_entries() -> AsyncIterator[tuple[bytes, Entry]]:
    """Those of a tree that isn't there."""
    return
    yield


def _some(entries: Iterator[Entry]) -> list[Entry]:
    """The next entries.  Blocks."""
    return list(islice(entries, _AT_ONCE))


async def remote_entries(
    connection: ClientConnection, root: bytes, may_be_missing: bool
) -> AsyncIterator[tuple[bytes, Entry]]:
    """The entries of a tree on the server, as ``local_entries``.

    :param may_be_missing: where it isn't there, it has no entries; else that is a failure
    :raises ProtocolError: what the server lists isn't in the folder, or isn't in order: nobody
        knows what it has left out
    """
    walking = connection.walk(root)
    above = root + b"/" if root else b""
    try:
        async for entry in walking:
            if entry.kind == "unreadable":
                text = "not all of this folder can be listed on the server; nothing is removed"
                raise Forbidden(text).at("there", os.fsdecode(entry.path) or "/", text)
            if entry.path == root:
                text = "this is not a folder on the server; leave -r out"
                raise NotADirectory(text).at("there", os.fsdecode(root), text)
            path = entry.path.removeprefix(above)
            yield path, entry
    except NotFound:
        if not may_be_missing:
            raise
    finally:
        await walking.close()


@dataclass
class Removal:
    """Something of the destination that may be removed, with all that is in it."""

    path: bytes
    size: int
    """bytes of a file"""
    files: int = 0
    """how many there are of them, and of what else isn't a folder"""
    folders: int = 0

    @property
    def count(self) -> int:
        """How many things there are."""
        return self.files + self.folders

    def add(self, entry: Entry) -> None:
        """There is this, too."""
        if entry.kind == "directory":
            self.folders += 1
        else:
            self.files += 1


@dataclass
class Comparison:
    """What two trees differ in, by their options' choice; paths are from the root."""

    lacking: list[tuple[bytes, int]] = field(default_factory=list)
    """for a dry run: files that the destination lacks, or has with another size or time; and their
    bytes"""
    extra: list[Removal] = field(default_factory=list)
    """what only the destination has; a folder stands for all that is in it"""
    clashes: dict[bytes, bool] = field(default_factory=dict)
    """where one has a folder, and the other something else; whether the source has the folder"""
    in_the_way: list[Removal] = field(default_factory=list)
    """what the destination has there, if nothing is in it that the options leave alone"""
    room: int = MOST_NAMED
    """bytes that are left for paths"""

    def keep(self, path: bytes) -> None:
        """One more path is kept.

        :raises Unsupported: they are too many
        """
        self.room -= len(path) + _PATH_COST
        if self.room < 0:
            raise Unsupported(
                "the two folders differ in too much to compare them; nothing is removed"
            )


async def compare(
    source: AsyncIterator[tuple[bytes, Entry]],
    destination: AsyncIterator[tuple[bytes, Entry]],
    options: TreeOptions,
) -> Comparison:
    """Go through both at once, in the order in which trees are listed.

    :raises FileTransferError: either can't be listed to its end, so nobody knows what is extra
    """
    found = Comparison()
    extra: dict[bytes, Entry] = {}
    spared: set[bytes] = set()
    """folders in which something is that the options leave alone"""
    ours, theirs = await _next(source), await _next(destination)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and order_of(ours[0]) < order_of(theirs[0])):
            assert ours is not None
            _note_lacking(found, ours, options)
            ours = await _next(source)
        elif ours is None or order_of(theirs[0]) < order_of(ours[0]):
            path, entry = theirs
            found.keep(path)
            if options.takes_all_of(path, entry.kind == "directory"):
                extra[path] = entry
            else:
                spared.update(folders_above(path))
            theirs = await _next(destination)
        else:
            if ours[1].kind == "file" and not _same(ours[1], theirs[1], options):
                _note_lacking(found, ours, options)
            if _clash(ours, theirs, options):
                path, entry = theirs
                found.keep(path)
                found.clashes[path] = ours[1].kind == "directory"
                if options.takes_all_of(path, entry.kind == "directory"):
                    extra[path] = entry
            ours, theirs = await _next(source), await _next(destination)
    for removal in _outermost(extra, spared):
        in_the_way = removal.path in found.clashes
        (found.in_the_way if in_the_way else found.extra).append(removal)
    return found


def _clash(ours: tuple[bytes, Entry], theirs: tuple[bytes, Entry], options: TreeOptions) -> bool:
    """Whether what goes can't have its place, as one is a folder and the other isn't."""
    goes = ("file", "directory", "link") if options.links else ("file", "directory")
    (path, entry), is_folder = ours, ours[1].kind == "directory"
    differ = is_folder != (theirs[1].kind == "directory")
    return differ and entry.kind in goes and options.takes_all_of(path, is_folder)


def _note_lacking(found: Comparison, entry: tuple[bytes, Entry], options: TreeOptions) -> None:
    path, it = entry
    if options.dry_run and it.kind == "file" and options.takes_all_of(path, False):
        found.keep(path)
        found.lacking.append((path, it.size))


def _same(one: Entry, other: Entry, options: TreeOptions) -> bool:
    if options.force or other.kind != "file" or says_nothing(one.mtime):
        return False
    return (one.size, one.mtime) == (other.size, other.mtime)


def _outermost(extra: dict[bytes, Entry], spared: set[bytes]) -> list[Removal]:
    """What to remove so that all of it is gone, and nothing that is spared."""
    covered: dict[bytes, Removal] = {}
    outermost = []
    for path, entry in extra.items():
        if path in spared:
            continue
        removal = covered.get(path.rpartition(b"/")[0])
        if removal is None:
            removal = Removal(path, entry.size if entry.kind == "file" else 0)
            outermost.append(removal)
        removal.add(entry)
        if entry.kind == "directory":
            covered[path] = removal
    return outermost


async def _next(entries: AsyncIterator[tuple[bytes, Entry]]) -> tuple[bytes, Entry] | None:
    try:
        path, entry = await anext(entries)
    except StopAsyncIteration:
        return None
    if entry.kind == "unreadable":
        raise Forbidden(f"{escaped(path)}: this folder can't be listed, so nothing is removed")
    return path, entry
