"""Two trees beside each other: what one has and the other doesn't, or has in another state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import islice

from twisted_ft.client_connection import ClientConnection
from twisted_ft.errors import Forbidden, NotADirectory, NotFound, ProtocolError, Unsupported
from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.tree import entries_below
from twisted_ft.terminal import escaped
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.trees.options import TreeOptions
from twisted_ft.wire.messages import Entry

_AT_ONCE = 256
"""Entries of a local tree that are read in one trip to a thread."""
MOST_NAMED = 1 << 29
"""Bytes of the paths in which two trees differ, at most, with ``_PATH_COST`` for each: some five
million."""
_PATH_COST = 64
_Key = tuple[list[bytes], bytes]


async def local_entries(runtime: Runtime, store: IStore) -> AsyncIterator[tuple[bytes, Entry]]:
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
    last: _Key = ([], b"")
    try:
        async for entry in walking:
            if entry.kind == "unreadable":
                name = escaped(entry.path) or "the root"
                raise Forbidden(f"{name}: not all of this folder can be listed: nothing is removed")
            if entry.path == root:
                raise NotADirectory(f"{escaped(root)}: this is not a folder; leave -r out")
            path = entry.path.removeprefix(above)
            if not entry.path.startswith(above) or not last < _key(path):
                raise ProtocolError(f"{escaped(entry.path)}: the server lists this out of place")
            last = _key(path)
            yield path, entry
    except NotFound:
        if not may_be_missing:
            raise
    finally:
        await walking.close()


@dataclass
class Comparison:
    """What two trees differ in, by their options' choice; paths are from the root."""

    lacking: list[tuple[bytes, int]] = field(default_factory=list)
    """for a dry run: files that the destination lacks, or has with another size or time; and their
    bytes"""
    extra: list[tuple[bytes, int]] = field(default_factory=list)
    """what only the destination has, and its bytes; a folder stands for all that is in it"""
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
        if theirs is None or (ours is not None and _key(ours[0]) < _key(theirs[0])):
            assert ours is not None
            _note_lacking(found, ours, options)
            ours = await _next(source)
        elif ours is None or _key(theirs[0]) < _key(ours[0]):
            path, entry = theirs
            if options.takes_all_of(path, entry.kind == "directory"):
                found.keep(path)
                extra[path] = entry
            else:
                found.keep(path)
                spared.update(_folders_above(path))
            theirs = await _next(destination)
        else:
            if ours[1].kind == "file" and not _same(ours[1], theirs[1]):
                _note_lacking(found, ours, options)
            ours, theirs = await _next(source), await _next(destination)
    found.extra = _outermost(extra, spared)
    return found


def _note_lacking(found: Comparison, entry: tuple[bytes, Entry], options: TreeOptions) -> None:
    path, it = entry
    if options.dry_run and it.kind == "file" and options.takes_all_of(path, False):
        found.keep(path)
        found.lacking.append((path, it.size))


def _same(one: Entry, other: Entry) -> bool:
    return other.kind == "file" and (one.size, one.mtime) == (other.size, other.mtime)


def _outermost(extra: dict[bytes, Entry], spared: set[bytes]) -> list[tuple[bytes, int]]:
    """What to remove so that all of it is gone, and nothing that is spared."""
    covered: set[bytes] = set()
    outermost = []
    for path, entry in extra.items():
        if path in spared:
            continue
        if path.rpartition(b"/")[0] not in covered:
            outermost.append((path, entry.size if entry.kind == "file" else 0))
        if entry.kind == "directory":
            covered.add(path)
    return outermost


async def _next(entries: AsyncIterator[tuple[bytes, Entry]]) -> tuple[bytes, Entry] | None:
    try:
        path, entry = await anext(entries)
    except StopAsyncIteration:
        return None
    if entry.kind == "unreadable":
        raise Forbidden(f"{escaped(path)}: this folder can't be listed, so nothing is removed")
    return path, entry


def _key(path: bytes) -> _Key:
    """Where a path stands in a listing: after all of the folders above it, and those before it."""
    *folders, name = path.split(b"/")
    return folders, name


def _folders_above(path: bytes) -> Iterator[bytes]:
    while path := path.rpartition(b"/")[0]:
        yield path
