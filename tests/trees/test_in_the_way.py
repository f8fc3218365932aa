"""Where a file has become a folder, or the reverse; how much is removed; and dry runs of it all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.kit.planting import (
    BOTH_WAYS,
    LARGE,
    Two,
    failures,
    grow,
    numbered,
    statuses,
    tree,
    with_status,
)
from twisted_ft import Delivery, MemoryStore
from twisted_ft.stores.states import CLOCK_TICK

CHANGED = pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"a": b"file"}, {"a/x": b"1", "a/y/z": b"2"}),
        ({"a": bytes(LARGE)}, {"a/x": b"1", "a/y/z": b"2"}),
        ({"a/x": b"1", "a/y/z": bytes(LARGE)}, {"a": b"file"}),
        ({"d/a": b"1", "d/b/c": b"2"}, {"d/a/x": b"3", "d/b": b"4"}),
    ],
    ids=["a file", "a large file", "a folder", "both, deeper"],
)
OTHERS = {"same": b"same", "new": b"new"}


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def told(results: dict[str, Delivery]) -> dict[str, tuple[str, str | None, int, int]]:
    """What is said of each, in the words of a run that does it."""
    words = {"would send": "done", "would remove": "removed"}
    return {
        path: (
            words.get(each.status, each.status),
            each.error.text if each.error else None,
            each.files,
            each.folders,
        )
        for path, each in results.items()
        if each.status != "skipped"
    }


@CHANGED
@BOTH_WAYS
def test_with_delete_what_is_in_the_way_makes_room(
    two: Two, direction: str, ours: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    source, target = two.ends(direction)
    grow(source, {**ours, **OTHERS})
    grow(target, {**theirs, "same": b"same", "extra/1": b"", "extra/2": b""})
    results = [*_run(two, direction, delete=True)]
    assert {each.status for each in results} == {"done", "removed", "skipped"}
    assert tree(target) == tree(source)
    order = [each.status for each in results]
    last = os.path.basename(results[-1].path)
    assert (order[-1], last) == ("removed", "extra"), "what is only extra goes last"
    new = next(at for at, each in enumerate(results) if each.path.endswith("new"))
    assert new < order.index("removed"), "all else has arrived before something is removed"
    assert statuses(two.move(direction, delete=True)) == {"skipped"}


def _run(two: Two, direction: str, **options: bool) -> list[Delivery]:
    """Results in order; what is in the way has the same path as what comes."""

    async def all_of() -> list[Delivery]:
        return [each async for each in two.begin(direction, **options)]

    return two.network.run(all_of())


@CHANGED
@pytest.mark.parametrize("delete", [False, True])
@BOTH_WAYS
def test_a_dry_run_tells_what_a_run_does(
    two: Two, direction: str, delete: bool, ours: dict[str, bytes], theirs: dict[str, bytes]
) -> None:
    """To the word, the failures included."""
    source, target = two.ends(direction)
    grow(source, {**ours, **OTHERS})
    grow(target, {**theirs, "same": b"same", "extra/1": b"", "extra/2": b""})
    before = tree(target)
    words = {"would send": "done", "would remove": "removed"}

    def said(results: list[Delivery]) -> list[tuple[str, str, str, int, int]]:
        return sorted(
            (
                each.path,
                words.get(each.status, each.status),
                each.error.text if each.error else "",
                each.files,
                each.folders,
            )
            for each in results
            if each.status != "skipped"
        )

    dry = said(_run(two, direction, delete=delete, dry_run=True))
    assert tree(target) == before
    assert dry == said(_run(two, direction, delete=delete))
    if not delete:
        assert {status for _, status, *_ in dry} == {"done", "failed"}


@BOTH_WAYS
def test_what_is_left_alone_stays_in_the_way(two: Two, direction: str) -> None:
    """And then nothing is removed."""
    source, target = two.ends(direction)
    grow(source, {"a": b"file", "b/c": b""})
    grow(target, {"a/x": b"1", "a/keep.log": b"2", "b": b"3", "extra": b""})
    for dry in (True, False):
        results = two.move(direction, delete=True, exclude=["*.log"], dry_run=dry)
        assert failures(results) == {"a": "is-a-directory", "b": "not-a-directory"}
        assert with_status(results, "would remove" if dry else "removed") == []
    assert {"a/x", "a/keep.log", "b", "extra"} <= {*tree(target)}


def test_a_store_in_memory(tmp_path: Path) -> None:
    store = MemoryStore({b"a/x": b"1", b"b": b"2"})
    two = Two(tmp_path, store)
    grow(two.here, {"a": b"file", "b/c": b"3"})
    assert failures(two.put()) == {"a": "is-a-directory", "b": "not-a-directory"}
    two.network.run(_drained(two))
    assert {name: file.content for name, file in store.files.items()} == {
        b"a": b"file",
        b"b/c": b"3",
    }


async def _drained(two: Two) -> None:
    async for each in two.begin("put", delete=True):
        assert each.status in ("done", "removed"), each


# -- how much is removed -------------------------------------------------------------------


@BOTH_WAYS
def test_what_is_removed_is_counted(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a"})
    grow(target, {f"f/{name}": content for name, content in numbered(30).items()})
    grow(target, {"f/g/h/x": b"", "f/g/y": b"", "extra": b""})
    for dry in (True, False):
        results = two.move(direction, delete=True, dry_run=dry)
        gone = {os.path.basename(path): each for path, each in results.items()}
        assert (gone["f"].files, gone["f"].folders) == (32, 3)
        assert (gone["extra"].files, gone["extra"].folders) == (1, 0)


@pytest.mark.parametrize("dry", [True, False])
@BOTH_WAYS
def test_no_more_is_removed_than_may_be(two: Two, direction: str, dry: bool) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a"})
    grow(target, {"b": b"", "f/1": b"", "f/2": b"", "g": b"", "h": b""})
    results = two.move(direction, delete=True, max_delete=3, dry_run=dry)
    gone = "would remove" if dry else "removed"
    assert with_status(results, gone) == ["b", "g", "h"]
    assert with_status(results, "kept") == ["f"]
    (kept,) = (each for each in results.values() if each.status == "kept")
    assert (kept.files, kept.folders) == (2, 1)
    assert (target / "f/1").exists()
    assert (target / "b").exists() == dry
    results = two.move(direction, delete=True, max_delete=0, dry_run=dry)
    assert with_status(results, gone) == []
    assert with_status(results, "kept") == (["b", "f", "g", "h"] if dry else ["f"])


@BOTH_WAYS
def test_nor_what_is_in_the_way(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a"})
    grow(target, {"a/1": b"", "extra": b""})
    for dry in (True, False):
        results = two.move(direction, delete=True, max_delete=1, dry_run=dry)
        assert failures(results) == {"a": "is-a-directory"}
        assert {each.status for each in results.values()} == {"failed"}
    assert (target / "a/1").exists()


# -- what is the same ----------------------------------------------------------------------


@BOTH_WAYS
def test_force_sends_each_file(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "b": b"b", "f/c": b"c", "f/empty": b"", "large": bytes(LARGE)})
    two.move(direction)
    grow(target, {"b": b"!"})  # of the same size and time
    assert with_status(two.move(direction, force=True, dry_run=True), "would send") == [
        *("a", "b", "c", "empty", "large")
    ]
    results = two.move(direction, force=True)
    assert statuses(results) == {"done"}
    assert len(results) == 5
    assert sum(each.sent for each in results.values()) == LARGE + 3
    assert tree(target) == tree(source)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("size", [4, LARGE])
@BOTH_WAYS
def test_a_time_of_now_says_nothing(
    two: Two, direction: str, size: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has changed within a tick of the clock may have the time that it had before."""
    source, target = two.ends(direction)
    files = {f"f/{number}": bytes(size) for number in range(count)}
    grow(source, {**files, "old": b"old"})
    two.move(direction)
    changed = dict.fromkeys(files, b"x" * size)
    grow(source, changed)  # as long ago as before
    mtime = (source / "f/0").stat().st_mtime_ns
    monkeypatch.setattr(time, "time_ns", lambda: mtime + CLOCK_TICK)
    assert statuses(two.move(direction)) == {"skipped"}, "so far the time is trusted"
    monkeypatch.setattr(time, "time_ns", lambda: mtime + CLOCK_TICK - 1)
    dry = with_status(two.move(direction, dry_run=True), "would send")
    assert dry == sorted(name[2:] for name in files)
    results = two.move(direction)
    assert with_status(results, "done") == sorted(name[2:] for name in files)
    assert with_status(results, "skipped") == ["old"]
    assert tree(target) == tree(source)
