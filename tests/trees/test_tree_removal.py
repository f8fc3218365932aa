"""What the source of a tree doesn't have, and runs that change nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.kit.planting import (
    BOTH_WAYS,
    LARGE,
    Two,
    failures,
    grow,
    statuses,
    tree,
    with_status,
)
from tests.kit.staging import WatchedStore
from twisted_ft import MemoryStore
from twisted_ft.errors import FileTransferError, Forbidden, NotFound
from twisted_ft.trees.options import TreeOptions


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


# -- removal -------------------------------------------------------------------------------


@BOTH_WAYS
def test_what_the_source_doesnt_have_is_removed(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "f/b": b"b", "large": bytes(LARGE)})
    extra = {"f/extra": b"1", "g/h/i": b"2", "zz": b"3", "f/deep/x": b"4"}
    grow(target, {"a": b"old", **extra})
    (target / "a link").symlink_to("a")
    results = two.move(direction, delete=True)
    assert with_status(results, "removed") == ["a link", "deep", "extra", "g", "zz"]
    assert with_status(results, "done") == ["a", "b", "large"]
    assert tree(target) == tree(source)
    assert not (target / "a link").is_symlink()
    assert statuses(two.move(direction, delete=True)) == {"skipped"}


@BOTH_WAYS
def test_nothing_that_is_excluded_is_removed(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a"})
    grow(target, {"keep.log": b"", "f/keep.log": b"", "f/extra": b"", "logs/x": b"", "g/y": b""})
    results = two.move(direction, delete=True, exclude=["*.log", "logs/"])
    assert with_status(results, "removed") == ["extra", "g"]
    assert set(tree(target)) == {"a", "keep.log", "f", "f/keep.log", "logs", "logs/x"}


@BOTH_WAYS
def test_nothing_is_removed_where_something_failed(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "b": b"b"})
    grow(target, {"extra": b""})
    os.mkfifo(target / "a")
    results = two.move(direction, delete=True)
    assert failures(results) == {"a": "not-a-file"}
    assert with_status(results, "removed") == []
    assert (target / "extra").exists()


@BOTH_WAYS
def test_nor_where_it_was_a_large_file_at_the_end(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"large": bytes(LARGE)})
    grow(target, {"extra": b""})
    os.mkfifo(target / "large")
    deliveries = two.begin(direction, delete=True)
    (result,) = two.network.run(_all(deliveries))
    assert result.error is not None
    assert result.error.code == "not-a-file"
    assert (target / "extra").exists()


async def _all(deliveries: Any) -> list[Any]:
    return [each async for each in deliveries]


def test_a_large_file_that_fails_last(tmp_path: Path) -> None:
    """It fails when all else is over; then it is too late for nothing."""
    store = WatchedStore(MemoryStore({b"large": bytes(LARGE), b"small": b"s"}))
    two = Two(tmp_path, store)
    grow(two.here, {"extra": b""})
    store.faults["check"], store.after = Forbidden("not this one"), 1
    results = two.get(delete=True)
    assert failures(results) == {"large": "forbidden"}
    assert (two.here / "extra").exists()


class HalfRead(MemoryStore):
    """A store of which one folder can be read once, and then no more."""

    def __init__(self, *args: Any, times: int) -> None:
        super().__init__(*args)
        self._times = times

    def entries(self, path: bytes) -> Any:
        if path == b"f":
            self._times -= 1
            if self._times < 0:
                raise Forbidden("f: permission denied")
        return super().entries(path)


def test_nothing_is_removed_where_a_listing_doesnt_end(tmp_path: Path) -> None:
    for times in (0, 1):
        two = Two(tmp_path, HalfRead({b"f/a": b"a", b"b": b"b"}, times=times))
        grow(two.here, {"extra": b"", "f/extra": b""})
        if times:
            with pytest.raises(Forbidden):
                two.get(delete=True)
        else:
            assert failures(two.get(delete=True)) == {"f": "forbidden"}
        assert (two.here / "extra").exists()
        assert (two.here / "f/extra").exists()


@BOTH_WAYS
def test_nothing_is_removed_where_the_source_is_gone_meanwhile(two: Two, direction: str) -> None:
    """A source that isn't there any more isn't an empty one."""
    source, target = two.ends(direction)
    grow(source, {"f/a": b"a"})
    grow(target, {"f/extra": b""})
    two.here.mkdir(exist_ok=True)
    deliveries = (
        two.client.get_tree("f", two.here / "f", TreeOptions(delete=True))
        if direction == "get"
        else two.client.put_tree(two.here / "f", "f", TreeOptions(delete=True))
    )

    async def until_gone() -> None:
        async for _ in deliveries:
            if (source / "f").exists():
                (source / "f").rename(source / "elsewhere")

    with pytest.raises(FileTransferError):
        two.network.run(until_gone())
    assert (target / "f/extra").exists()


@BOTH_WAYS
def test_what_cant_be_removed_is_named(tmp_path: Path, direction: str) -> None:
    store = WatchedStore(MemoryStore({b"a": b"a", b"extra": b""}))
    store.faults["remove"] = Forbidden("no")
    two = Two(tmp_path, store)
    grow(two.here, {"a": b"a"})
    if direction == "put":
        assert failures(two.put(delete=True)) == {"extra": "forbidden"}
    else:
        grow(two.here, {"extra too": b""})
        assert with_status(two.get(delete=True), "removed") == ["extra too"]


# -- nothing at all ------------------------------------------------------------------------


@BOTH_WAYS
def test_a_dry_run_changes_nothing(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "f/b": b"b!", "held": b"held", "out.tmp": b""})
    grow(target, {"held": b"held", "a": b"old one", "extra/x": b"", "kept.tmp": b""})
    before = tree(target)
    results = two.move(direction, dry_run=True, delete=True, exclude=["*.tmp"])
    assert with_status(results, "would send") == ["a", "b"]
    assert with_status(results, "would remove") == ["extra"]
    assert len(results) == 3
    assert tree(target) == before
    assert with_status(two.move(direction, dry_run=True), "would remove") == []


@BOTH_WAYS
def test_a_dry_run_to_where_nothing_is(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "f/b": b"b"})
    if direction == "get":
        results = two.get(dry_run=True)
        assert not target.exists()
    else:
        results = two.put("new", dry_run=True)
        assert not os.listdir(target)
    assert with_status(results, "would send") == ["a", "b"]


@BOTH_WAYS
def test_a_dry_run_of_what_isnt_there(two: Two, direction: str) -> None:
    if direction == "get":
        with pytest.raises(NotFound):
            two.get("nowhere", dry_run=True)
        grow(two.served, {"file": b""})
        with pytest.raises(FileTransferError, match="leave -r out"):
            two.get("file", dry_run=True)
    else:
        with pytest.raises(FileTransferError):
            two.put("new", dry_run=True)
