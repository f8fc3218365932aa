"""Whole trees through the client: each file for itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.kit.planting import (
    BOTH_WAYS,
    FILES,
    LARGE,
    Two,
    failures,
    gathered,
    grow,
    numbered,
    statuses,
    tree,
    with_status,
    without_privileges,
)
from tests.kit.staging import content_of
from twisted_ft.errors import FileTransferError, NotFound, ReadOnly


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_down(two: Two) -> None:
    grow(two.served)
    (two.served / "hollow").mkdir()
    results = two.get()
    assert tree(two.here) == tree(two.served)
    assert sorted(results) == sorted(str(two.here / name) for name in FILES)
    assert statuses(results) == {"done"}
    assert sum(each.sent for each in results.values()) == sum(map(len, FILES.values()))
    assert (two.here / "a").stat().st_mtime_ns == (two.served / "a").stat().st_mtime_ns


def test_up(two: Two) -> None:
    grow(two.here)
    (two.here / "hollow").mkdir()
    results = two.put("new")
    assert tree(two.here) == tree(two.served / "new")
    assert sorted(results) == sorted(f"new/{name}" for name in FILES)
    assert statuses(results) == {"done"}
    assert statuses(two.put()) == {"done"}
    assert (two.served / "a").read_bytes() == FILES["a"]


def test_a_part_of_it(two: Two) -> None:
    grow(two.served)
    assert sorted(two.get("b/")) == [
        str(two.here / name) for name in ("-dash and space", "c/deep", "empty")
    ]


def test_again(two: Two) -> None:
    """What is there is skipped, what is new or has changed is sent."""
    grow(two.served)
    two.get()
    grow(two.served, {"new": b"new", "a": b"changed"})
    results = two.get()
    sent = {name: each.sent for name, each in results.items() if each.status == "done"}
    assert sent == {str(two.here / "new"): 3, str(two.here / "a"): 7}
    assert statuses(two.put()) == {"skipped"}


@BOTH_WAYS
def test_an_empty_one(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    source.mkdir(exist_ok=True)
    (source / "hollow").mkdir()
    assert two.move(direction) == {}
    assert tree(target) == {"hollow": None}
    assert two.put("new") == {}
    assert (two.served / "new").is_dir()


@BOTH_WAYS
def test_large_and_small_files_together(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    sizes = [0, 1, 1 << 18, 1_040_000, 1 << 20, LARGE, 2_000_000]
    files = {f"{folder}/{size}": content_of(size) for size in sizes for folder in "xy"}
    grow(source, {**files, **numbered(1500)})
    results = two.move(direction)
    assert tree(target) == tree(source)
    assert statuses(results) == {"done"}
    assert len(results) == len(sizes) * 2 + 1500
    again = two.move(direction)
    assert statuses(again) == {"skipped"}
    assert sorted(again) == sorted(results)


@pytest.mark.parametrize("size", [10, LARGE])
@BOTH_WAYS
def test_a_single_file_has_its_result(two: Two, direction: str, size: int) -> None:
    source, target = two.ends(direction)
    grow(source, {"only": bytes(size)})
    (result,) = two.move(direction).values()
    assert (result.status, result.size, result.sent) == ("done", size, size)
    assert tree(target) == tree(source)


def test_links_and_the_like_are_left_out_and_named(two: Two) -> None:
    grow(two.served, {"a": b"a"})
    (two.served / "link").symlink_to("a")
    (two.served / "up").symlink_to("..")
    os.mkfifo(two.served / "pipe")
    results = two.get()
    assert with_status(results, "left out") == ["link", "pipe", "up"]
    assert sorted(os.listdir(two.here)) == ["a"]
    (two.here / "other").symlink_to("a")
    assert two.put("copy")["copy/other"].status == "left out"
    assert os.listdir(two.served / "copy") == ["a"]


@BOTH_WAYS
def test_a_folder_where_a_file_must_be_and_the_reverse(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "b/x": b"x", "c/y": b"y", "d": b"d", "e": bytes(LARGE)})
    (source / "hollow").mkdir()
    grow(target, {"a/in the way": b"", "b": b"in the way", "hollow": b"in the way", "e/f": b""})
    assert failures(two.move(direction)) == {
        "a": "is-a-directory",
        "b": "not-a-directory",
        "e": "is-a-directory",
        "hollow": "not-a-directory",
    }
    assert (target / "c/y").read_bytes() == b"y"
    assert (target / "d").read_bytes() == b"d"
    assert (target / "b").read_bytes() == b"in the way"


@BOTH_WAYS
def test_what_changes_after_it_was_described(tmp_path: Path, direction: str) -> None:
    """What is gone is named, what has grown or shrunk arrives as it is, and so do the others."""
    two = Two(tmp_path)
    source, target = two.ends(direction)
    before = {
        "small": b"small",
        "large": bytes(LARGE),
        "grows": b"small",
        "shrinks": bytes(LARGE),
        "stays": b"stays",
    }
    grow(source, before)
    grow(target, {"there": b""})  # or else what is small is sent at once
    deliveries = two.begin(direction)

    def change(_: object) -> Any:
        if deliveries.tally.files < len(before):
            return two.network.runtime.in_thread(lambda: None).addCallback(change)
        (source / "small").unlink()
        (source / "large").unlink()
        return grow(source, {"grows": content_of(LARGE), "shrinks": b"small now"})

    changed = two.network.runtime.in_thread(lambda: None).addCallback(change)
    results = two.network.run(gathered(deliveries))
    assert changed.called
    assert failures(results) == {"small": "not-found", "large": "not-found"}
    assert with_status(results, "done") == ["grows", "shrinks", "stays"]
    arrived = {"grows": content_of(LARGE), "shrinks": b"small now", "stays": b"stays"}
    assert tree(target) == {**arrived, "there": b""}


@BOTH_WAYS
def test_what_is_no_folder(two: Two, direction: str) -> None:
    two.here.mkdir()
    grow(two.served, {"a": b"a"})
    grow(two.here, {"b": b"b"})
    if direction == "get":
        with pytest.raises(NotFound):
            two.get("nowhere")
        with pytest.raises(FileTransferError, match="leave -r out"):
            two.get("a")
    else:
        with pytest.raises(NotFound):
            two.put("no/where")
        with pytest.raises(FileTransferError) as caught:
            two.put("a")
        assert caught.value.code == "not-a-directory"
        two.here = two.here / "nowhere"
        with pytest.raises(FileTransferError):
            two.put("x")
    assert sorted(os.listdir(two.served)) == ["a"]


def test_a_server_that_takes_nothing(tmp_path: Path) -> None:
    two = Two(tmp_path, writable=False)
    grow(two.here)
    for path in ("", "new"):
        with pytest.raises(ReadOnly, match="nothing can be changed"):
            two.put(path)
    assert not os.listdir(two.served)
    assert two.network.run(two.client.list()) == []


@BOTH_WAYS
def test_a_server_that_keeps_what_it_has(tmp_path: Path, direction: str) -> None:
    two = Two(tmp_path, overwrite=False)
    source, target = two.ends(direction)
    grow(source, {"a": b"new", "b/c": b"new", "b/d": b"the same", "e": bytes(LARGE)})
    grow(target, {"a": b"old!", "b/c": b"old!", "b/d": b"the same", "e": b"old!"})
    results = two.move(direction)
    if direction == "get":
        assert tree(target) == tree(source)
    else:
        assert failures(results) == {"a": "exists", "c": "exists", "e": "exists"}
        assert with_status(results, "skipped") == ["d"]
        assert (target / "b/c").read_bytes() == b"old!"


@BOTH_WAYS
def test_what_cant_be_read_is_named(direction: str) -> None:
    with without_privileges() as place:
        two = Two(place)
        source, target = two.ends(direction)
        grow(source, {**FILES, "large": bytes(LARGE), "shut/x": b"x"})
        for name in ("b/empty", "large"):
            (source / name).chmod(0)
        (source / "shut").chmod(0)
        results = two.move(direction)
        assert failures(results) == dict.fromkeys(["empty", "large", "shut"], "forbidden")
        expected = {*FILES, "b", "b/c", "z", "shut"} - {"b/empty"}
        (target / "shut").chmod(0o700)
        assert set(tree(target)) == expected


@BOTH_WAYS
def test_a_root_that_cant_be_read(direction: str) -> None:
    with without_privileges() as place:
        two = Two(place)
        source, _ = two.ends(direction)
        grow(source)
        (two.served / "sub").mkdir()
        if direction == "get":
            (two.served / "sub").chmod(0)
            outcome = _outcome(two, lambda: two.get("sub"))
        else:
            two.here.chmod(0)
            outcome = _outcome(two, lambda: two.put("sub"))
        assert outcome in ("forbidden", "storage")


def _outcome(two: Two, move: Any) -> str:
    """The code of what a tree comes to that has only one outcome."""
    try:
        (result,) = move().values()
    except FileTransferError as error:
        return error.code
    assert result.error is not None
    return str(result.error.code)


@BOTH_WAYS
def test_where_nothing_may_be_written(direction: str) -> None:
    with without_privileges() as place:
        two = Two(place)
        source, target = two.ends(direction)
        grow(source, {"open/a": b"a", "shut/b": b"b", "shut/sub/c": b"c"})
        grow(target, {"shut/old": b""})
        (target / "shut").chmod(0o555)
        failed = failures(two.move(direction))
        assert failed["b"] == failed["sub"] == "forbidden"
        assert (target / "open/a").read_bytes() == b"a"
        assert sorted(os.listdir(target / "shut")) == ["old"]
