"""Two trees beside each other: what is lacking, what is extra, and what is left alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_ft import LocalStore
from twisted_ft.errors import Forbidden
from twisted_ft.stores.tree import entries_below
from twisted_ft.trees.comparing import Comparison, Removal, compare, no_entries
from twisted_ft.trees.options import TreeOptions
from twisted_ft.wire.messages import Entry

Tree = dict[bytes, int | None]
"""What is at each path: a file's size, or None for a folder."""


def ordered(tree: Tree) -> Iterator[Entry]:
    """As trees are listed: what is in a folder together, and then what is in those in it."""

    def below(folder: bytes) -> Iterator[Entry]:
        inner = sorted(path for path in tree if path.rpartition(b"/")[0] == folder and path)
        for path in inner:
            size = tree[path]
            kind = "directory" if size is None else "file"
            yield Entry(path, kind, size or 0, 5, 0o644)
        for path in inner:
            if tree[path] is None:
                yield from below(path)

    return below(b"")


def removed(found: Comparison) -> list[tuple[bytes, int]]:
    """What only the destination has, and the bytes of it."""
    return [(each.path, each.size) for each in found.extra]


async def each(entries: Iterable[Entry]) -> AsyncIterator[tuple[bytes, Entry]]:
    for entry in entries:
        yield entry.path, entry


def compared(
    source: Iterable[Entry], destination: Iterable[Entry], options: TreeOptions | None = None
) -> Comparison:
    """Nothing in it waits, so any loop will do."""
    return asyncio.run(
        compare(each(source), each(destination), options or TreeOptions(dry_run=True))
    )


def test_what_differs() -> None:
    ours: Tree = {b"same": 1, b"size": 1, b"new": 7, b"d": None, b"d/new": 8, b"e": None}
    theirs: Tree = {b"same": 1, b"size": 2, b"d": None, b"d/old": 9, b"old": None, b"old/x": 3}
    found = compared(ordered(ours), ordered(theirs))
    assert found.lacking == [(b"new", 7), (b"size", 1), (b"d/new", 8)]
    assert removed(found) == [(b"old", 0), (b"d/old", 9)]


def test_another_time_is_another_file() -> None:
    one, other = Entry(b"a", "file", 1, 5, 0o644), Entry(b"a", "file", 1, 6, 0o600)
    assert compared([one], [other]).lacking == [(b"a", 1)]
    assert compared([one], [Entry(b"a", "file", 1, 5, 0o600)]).lacking == []
    assert compared([one], [Entry(b"a", "link", 1, 5, 0o644)]).lacking == [(b"a", 1)]


def test_a_file_where_a_folder_is() -> None:
    """What is there is in the way, with all that is in it."""
    file: Tree = {b"a": 1}
    folder: Tree = {b"a": None, b"a/d": None, b"a/x": 2}
    found = compared(ordered(file), ordered(folder))
    assert (found.lacking, removed(found), found.clashes) == ([(b"a", 1)], [], {b"a": False})
    assert found.in_the_way == [Removal(b"a", 0, files=1, folders=2)]
    found = compared(ordered(folder), ordered(file))
    assert (found.lacking, removed(found), found.clashes) == ([(b"a/x", 2)], [], {b"a": True})
    assert found.in_the_way == [Removal(b"a", 1, files=1)]
    spares = TreeOptions(exclude=["x"], dry_run=True)
    found = compared(ordered(file), ordered(folder), spares)
    assert (found.clashes, found.in_the_way) == ({b"a": False}, [])


def test_a_tree_that_is_not_there() -> None:
    tree: Tree = {b"a": 1, b"d": None, b"d/x": 2}
    options = TreeOptions(dry_run=True)
    assert asyncio.run(compare(each(ordered(tree)), no_entries(), options)).lacking == [
        (b"a", 1),
        (b"d/x", 2),
    ]
    found = asyncio.run(compare(no_entries(), each(ordered(tree)), options))
    assert removed(found) == [(b"a", 1), (b"d", 0)]


@pytest.mark.parametrize("which", [0, 1])
def test_where_a_folder_cant_be_listed_nobody_knows_what_is_extra(which: int) -> None:
    unreadable = [
        Entry(b"a", "directory", 0, 5, 0o000),
        Entry(b"b", "file", 0, 5, 0o644),
        Entry(b"a", "unreadable", 0, 0, 0),
    ]
    trees: list[list[Entry]] = [[], []]
    trees[which] = unreadable
    with pytest.raises(Forbidden, match="a: this folder can't be listed"):
        compared(trees[0], trees[1])


def test_what_is_excluded_is_spared_and_so_are_the_folders_that_it_is_in() -> None:
    theirs: Tree = {
        b"d": None,
        b"d/e": None,
        b"d/e/keep.o": 1,
        b"d/e/x": 2,
        b"d/f": None,
        b"d/f/y": 3,
        b"build": None,
        b"build/z": 4,
        b"w.o": 5,
    }
    found = compared([], ordered(theirs), TreeOptions(exclude=["*.o", "build/"]))
    assert removed(found) == [(b"d/f", 0), (b"d/e/x", 2)]
    found = compared([], ordered(theirs), TreeOptions(include=["x", "y"]))
    assert removed(found) == [(b"d/f", 0), (b"d/e/x", 2)]


def test_names_around_the_slash_are_in_order(tmp_path: Path) -> None:
    """As stores list them, and not as whole paths are sorted."""
    for path in ("a/x", "a-b", "a.b/x", "a0/x", "a/b/c", "b"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
        os.utime(tmp_path / path, ns=(5, 5))
    entries = list(entries_below(LocalStore(tmp_path), b""))
    assert len(entries) == 10
    for left_out in [entry.path for entry in entries if entry.kind == "file"]:
        rest = [entry for entry in entries if entry.path != left_out]
        found = compared(entries, rest)
        assert (found.lacking, removed(found)) == ([(left_out, 1)], [])
        found = compared(rest, entries)
        assert (found.lacking, removed(found)) == ([], [(left_out, 1)])


def _tree(paths: dict[bytes, int | None]) -> Tree:
    """A whole tree, of paths that may lack folders or go through files."""
    tree: Tree = {}
    for path, size in sorted(paths.items()):
        above = [path.rsplit(b"/", n)[0] for n in range(path.count(b"/"), 0, -1)]
        if all(tree.get(folder, None) is None for folder in above):
            tree.update(dict.fromkeys(above))
            tree.setdefault(path, size)
    return tree


names = st.sampled_from([b"a", b"b", b"a-", b"x.o"])
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=4).map(b"/".join),
    st.none() | st.integers(0, 1),
    max_size=9,
).map(_tree)
patterns = st.lists(st.sampled_from(["*.o", "a", "b/", "/a/b", "!a", "*"]), max_size=2)


@settings(max_examples=300, deadline=None)
@given(trees, trees, patterns, patterns)
def test_what_is_removed_and_sent_makes_them_equal(
    ours: Tree, theirs: Tree, include: list[str], exclude: list[str]
) -> None:
    """But for what the options leave alone."""
    options = TreeOptions(include=include, exclude=exclude, dry_run=True)
    found = compared(ordered(ours), ordered(theirs), options)

    def goes(path: bytes, tree: Tree) -> bool:
        return options.takes_all_of(path, tree[path] is None)

    lacking = {
        (path, size)
        for path, size in ours.items()
        if size is not None and goes(path, ours) and theirs.get(path, -1) != size
    }
    assert set(found.lacking) == lacking
    assert len(found.lacking) == len(lacking)

    every = [*found.extra, *found.in_the_way]
    gone = {
        path
        for path in theirs
        for each in every
        if path == each.path or path.startswith(each.path + b"/")
    }
    spared = {path for path in theirs if path not in ours and not goes(path, theirs)}
    kept = {folder for path in spared for folder in theirs if path.startswith(folder + b"/")}
    clashing = {
        path for path in {*ours} & {*theirs} if (ours[path] is None) != (theirs[path] is None)
    }
    assert {*found.clashes} == {path for path in clashing if goes(path, ours)}
    going = {path for path in found.clashes if goes(path, theirs)}
    assert gone == ({*theirs} - {*ours} | going) - spared - kept
    assert sum(each.count for each in every) == len(gone)
    outermost = [each.path for each in every]
    assert not any(
        one != other and other.startswith(one + b"/") for one in outermost for other in outermost
    )
    assert all(each.size == (theirs[each.path] or 0) for each in every)
