"""What a tree keeps of time and permissions, and trees in other stores."""

from __future__ import annotations

import os
import stat
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
    without_privileges,
)
from tests.kit.staging import WatchedStore
from twisted_ft import MemoryFile, MemoryStore
from twisted_ft.errors import NotFound


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


# -- time and permissions ------------------------------------------------------------------


@BOTH_WAYS
def test_times_and_permissions_of_files_and_folders(direction: str) -> None:
    """To the nanosecond; what is restrictive does not hinder, and a folder stays its owner's."""
    with without_privileges() as place:
        two = Two(place)
        source, target = two.ends(direction)
        target.mkdir(exist_ok=True)
        files = {"f/secret": b"s", "f/shared": b"", "f/g/deep": b"d", "f/large": bytes(LARGE)}
        grow(source, files)
        modes = {"f/secret": 0o600, "f/shared": 0o666, "f/g/deep": 0o444, "f/large": 0o755}
        modes |= {"f/g": 0o500, "f": 0o555}
        for number, (name, mode) in enumerate(modes.items()):
            os.utime(source / name, ns=(7, 1_700_000_000_123_456_789 + number))
            (source / name).chmod(mode)
        target.chmod(0o711)
        os.utime(target, ns=(3, 3))
        assert statuses(two.move(direction)) == {"done"}
        for number, (name, mode) in enumerate(modes.items()):
            status = (target / name).stat()
            owners = 0o700 if stat.S_ISDIR(status.st_mode) else 0
            assert (name, stat.S_IMODE(status.st_mode)) == (name, mode | owners)
            assert (name, status.st_mtime_ns) == (name, 1_700_000_000_123_456_789 + number)
        assert stat.S_IMODE(target.stat().st_mode) == 0o711, "a root that was there is its owner's"
        assert statuses(two.move(direction)) == {"skipped"}


@BOTH_WAYS
def test_a_new_root_is_as_its_source(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source)
    os.utime(source, ns=(1, 1_600_000_000_000_000_001))
    source.chmod(0o750)
    if direction == "get":
        two.get()
    else:
        two.put("new")
        target = target / "new"
    status = target.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o750, 1_600_000_000_000_000_001)


@BOTH_WAYS
def test_a_folder_that_was_there_gets_its_time_again(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"f/a": b"a"})
    two.move(direction)
    grow(source, {"f/b": b"b"})
    os.utime(source / "f", ns=(1, 5_000_000_007))
    (source / "f").chmod(0o711)
    two.move(direction)
    status = (target / "f").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o711, 5_000_000_007)


# -- other stores --------------------------------------------------------------------------


@pytest.mark.parametrize("watched", [False, True])
def test_a_store_in_memory_is_served_as_well(tmp_path: Path, watched: bool) -> None:
    store = MemoryStore({b"a": b"1", b"b/c": b"2", b"large": bytes(LARGE)}, folders=[b"hollow"])
    two = Two(tmp_path, WatchedStore(store) if watched else store)
    assert statuses(two.get()) == {"done"}
    assert tree(two.here) == {
        "a": b"1",
        "b": None,
        "b/c": b"2",
        "hollow": None,
        "large": bytes(LARGE),
    }
    results = two.put("copy")
    assert sorted(results) == ["copy/a", "copy/b/c", "copy/large"]
    assert store.files[b"copy/b/c"].content == b"2"
    assert store.files[b"copy/large"].content == bytes(LARGE)
    assert [entry.kind for entry in store.entries(b"copy/hollow")] == []
    grow(two.here, {"a": b"changed"})
    again = two.put("copy")
    assert with_status(again, "done") == ["a"]
    assert with_status(again, "skipped") == ["c", "large"]
    assert store.files[b"copy/a"].content == b"changed"


def test_what_is_in_the_way_in_memory(tmp_path: Path) -> None:
    store = MemoryStore({b"a": b"a file", b"b/c": b"in a folder"})
    two = Two(tmp_path, store)
    grow(two.here, {"a/x": b"x", "b": b"b", "d": b"d"})
    assert failures(two.put()) == {
        "a": "not-a-directory",
        "b": "is-a-directory",
    }
    assert store.files[b"d"].content == b"d"


def test_a_store_in_memory_that_keeps_what_it_has(tmp_path: Path) -> None:
    store = MemoryStore({b"a": b"old"})
    two = Two(tmp_path, store, overwrite=False)
    grow(two.here, {"a": b"other", "b": b"b"})
    assert failures(two.put()) == {"a": "exists"}
    assert {path: file.content for path, file in store.files.items()} == {b"a": b"old", b"b": b"b"}


def test_a_store_that_fails_at_one_file(tmp_path: Path) -> None:
    store = WatchedStore(MemoryStore())
    two = Two(tmp_path, store)
    grow(two.here, {"f/" + name: content for name, content in numbered(5).items()})
    store.faults["publish"], store.after = NotFound("gone"), 3
    results = two.put()
    assert sorted(failures(results).values()) == ["not-found"] * 2
    assert len(with_status(results, "done")) == 3
    store.faults.clear()
    assert len(with_status(two.put(), "done")) == 2


def test_a_memory_files_time_and_permissions(tmp_path: Path) -> None:
    two = Two(tmp_path, MemoryStore({b"f/a": MemoryFile(b"x", 1_234_567_890_123_456_789, 0o640)}))
    two.get()
    status = (two.here / "f/a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o640, 1_234_567_890_123_456_789)
