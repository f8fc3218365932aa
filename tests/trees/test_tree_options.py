"""What may be asked of a tree: links, digests, a choice, removal, nothing at all, no syncs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
from tests.kit.staging import content_of
from twisted_ft import MemoryFile, MemoryStore
from twisted_ft.errors import StorageFailed
from twisted_ft.stores import system
from twisted_ft.stores.local.open_folders import OpenFolders
from twisted_ft.stores.local.unpacking import LocalUnpacker
from twisted_ft.trees.options import TreeOptions
from twisted_ft.wire.messages import Failing, Outcome, Part


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


# -- links ---------------------------------------------------------------------------------


@BOTH_WAYS
def test_links_are_copied_as_links(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "b/c": b"c"})
    links = {"to a": "a", "b/up": "../a", "to a folder": "b", "dangling": "no/where"}
    for name, leads_to in links.items():
        (source / name).symlink_to(leads_to)
        os.utime(source / name, ns=(1, 1_111_111_111_000_000_001), follow_symlinks=False)
    results = two.move(direction, links=True)
    assert {name: os.readlink(target / name) for name in links} == links
    assert statuses(results) == {"done"}
    assert len(results) == 2 + len(links)
    assert (target / "to a").lstat().st_mtime_ns == 1_111_111_111_000_000_001
    assert statuses(two.move(direction, links=True)) == {"skipped"}
    (source / "to a").unlink()
    (source / "to a").symlink_to("b/c")
    assert with_status(two.move(direction, links=True), "done") == ["to a"]
    assert os.readlink(target / "to a") == "b/c"


@BOTH_WAYS
def test_links_that_lead_out_or_may_are_refused(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"b/c": b"c"})
    out = {"up": "..", "b/up and out": "../../x", "absolute": "/etc/passwd", "round": "b/../b/c"}
    for name, leads_to in out.items():
        (source / name).symlink_to(leads_to)
    results = two.move(direction, links=True)
    assert sorted(failures(results).values()) == ["bad-name"] * 4
    assert tree(target) == {"b": None, "b/c": b"c"}
    assert not any(each.is_symlink() for each in target.rglob("*"))


def test_a_folder_in_the_place_of_a_link_to_one(two: Two) -> None:
    """What arrives for the folder never goes where the link leads."""
    outside = two.here.parent / "outside"
    outside.mkdir()
    grow(two.served, {"b/c": b"c"})
    two.here.mkdir()
    (two.here / "b").symlink_to(outside)
    assert set(failures(two.get()).values()) <= {"not-a-directory", "not-a-file"}
    assert failures(two.get())["b"] == "not-a-directory"
    assert not os.listdir(outside)


def test_a_store_in_memory_has_no_room_for_links(tmp_path: Path) -> None:
    two = Two(tmp_path, MemoryStore())
    grow(two.here, {"a": b"a"})
    (two.here / "link").symlink_to("a")
    assert failures(two.put(links=True)) == {"link": "unsupported"}


# -- digests -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, LARGE])
@BOTH_WAYS
def test_checksum(two: Two, direction: str, size: int) -> None:
    """The same bytes with another time are the same; other bytes with the same time aren't."""
    source, target = two.ends(direction)
    grow(source, {"touched": content_of(size), "differs": content_of(size), "f/new": b"new"})
    two.move(direction)
    os.utime(source / "touched", ns=(1, 1))
    grow(target, {"differs": bytes(size)})
    assert with_status(two.move(direction), "done") == ["touched"], "by size and time"
    os.utime(source / "touched", ns=(2, 2))
    results = two.move(direction, checksum=True)
    assert with_status(results, "done") == ["differs"]
    assert with_status(results, "skipped") == ["new", "touched"]
    assert tree(target) == tree(source)


@BOTH_WAYS
def test_checksum_into_an_empty_folder(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "f/b": b"b", "large": bytes(LARGE)})
    assert statuses(two.move(direction, checksum=True)) == {"done"}
    assert tree(target) == tree(source)


def test_checksum_with_a_store_in_memory(tmp_path: Path) -> None:
    store = MemoryStore({b"same": MemoryFile(b"same", 5), b"differs": MemoryFile(b"old!", 1 << 40)})
    two = Two(tmp_path, store)
    grow(two.here, {"same": b"same", "differs": b"new!"})
    os.utime(two.here / "differs", ns=(1, 1 << 40))
    results = two.put(checksum=True)
    assert with_status(results, "skipped") == ["same"]
    assert with_status(results, "done") == ["differs"]
    assert store.files[b"differs"].content == b"new!"
    os.utime(two.here / "same", ns=(1, 6))
    assert statuses(two.get(checksum=True)) == {"skipped"}


# -- a choice ------------------------------------------------------------------------------

CHOICE = {
    "a.txt": b"",
    "a.tmp": b"",
    "docs/b.txt": b"",
    "docs/b.tmp": b"",
    "build/x.txt": b"",
    "build/deep/y.txt": b"",
    "src/build/z.txt": b"",
    "large.tmp": bytes(LARGE),
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude": ["*.tmp"]}, {"a.txt", "docs/b.txt", "build/x.txt", "build/deep/y.txt",
                                  "src/build/z.txt"}),
        ({"exclude": ["build/"]}, {"a.txt", "a.tmp", "docs/b.txt", "docs/b.tmp", "large.tmp"}),
        ({"exclude": ["/build"]}, {"a.txt", "a.tmp", "docs/b.txt", "docs/b.tmp", "large.tmp",
                                   "src/build/z.txt"}),
        ({"exclude": ["*.tmp", "!a.tmp"]}, {"a.txt", "a.tmp", "docs/b.txt", "build/x.txt",
                                            "build/deep/y.txt", "src/build/z.txt"}),
        ({"include": ["*.tmp"]}, {"a.tmp", "docs/b.tmp", "large.tmp"}),
        ({"exclude": ["*.tmp"], "include": ["docs/b.tmp"]}, {"a.txt", "docs/b.txt", "docs/b.tmp",
                                             "build/x.txt", "build/deep/y.txt", "src/build/z.txt"}),
        ({"exclude": ["build/"], "include": ["*.txt"]}, {"a.txt", "a.tmp", "docs/b.txt",
                                                         "docs/b.tmp", "large.tmp"}),
    ],
)  # fmt: skip
@BOTH_WAYS
def test_a_choice(two: Two, direction: str, options: dict[str, Any], expected: set[str]) -> None:
    source, target = two.ends(direction)
    grow(source, CHOICE)
    results = two.move(direction, **options)
    assert {name for name, content in tree(target).items() if content is not None} == expected
    assert statuses(results) == {"done"}
    assert len(results) == len(expected)
    assert statuses(two.move(direction, **options)) == {"skipped"}


@BOTH_WAYS
def test_a_folder_that_is_left_out_isnt_made_nor_gone_into(
    two: Two, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server goes on for as long as it hasn't heard that the client doesn't want it."""
    source, target = two.ends(direction)
    out = {f"out/{folder:02}/{name:03}": b"" for folder in range(60) for name in range(200)}
    grow(source, {"a": b"a", "b/c": b"c", **out})
    opened: set[bytes] = set()
    real = OpenFolders.open  # what opens each folder of a tree

    def noted(self: OpenFolders, path: bytes) -> Any:
        opened.add(path)
        return real(self, path)

    monkeypatch.setattr(OpenFolders, "open", noted)
    assert len(two.move(direction, exclude=["out"])) == 2
    assert tree(target) == {"a": b"a", "b": None, "b/c": b"c"}
    gone_into = sum(path.startswith(b"out") for path in opened)
    assert gone_into < 20 if direction == "get" else gone_into == 0


@BOTH_WAYS
def test_what_is_left_out_isnt_named(direction: str) -> None:
    """Neither as a link that isn't copied, nor as something that can't be read."""
    with without_privileges() as place:
        two = Two(place)
        source, target = two.ends(direction)
        grow(source, {"a": b"a", "secret": b"", "shut/x": b""})
        (source / "link").symlink_to("a")
        (source / "secret").chmod(0)
        (source / "shut").chmod(0)
        assert with_status(two.move(direction, exclude=["link", "secret", "shut/"]), "done") == [
            "a"
        ]
        assert len(two.move(direction, exclude=["link", "secret", "shut/"])) == 1
        assert tree(target) == {"a": b"a"}


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(ValueError, match="!"):
        TreeOptions(exclude=["!"])


# -- syncs ---------------------------------------------------------------------------------


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in order; it is synced all the same."""
    made: list[str] = []

    def noted(name: str, real: Callable[[int], None]) -> Callable[[int], None]:
        def sync(fd: int) -> None:
            made.append(name)
            real(fd)

        return sync

    for where, name in ((os, "fsync"), (os, "fdatasync"), (system, "sync_file_system")):
        monkeypatch.setattr(where, name, noted(name, getattr(where, name)))
    return made


@BOTH_WAYS
def test_many_files_are_synced_together(two: Two, direction: str, syncs: list[str]) -> None:
    source, target = two.ends(direction)
    grow(source, {**numbered(300), "f/a": b"a"})
    two.move(direction)
    assert 2 <= len(syncs) <= 12
    assert "sync_file_system" in syncs
    assert tree(target) == tree(source)


@BOTH_WAYS
def test_without_syncs(tmp_path: Path, direction: str, syncs: list[str]) -> None:
    two = Two(tmp_path, durable=False)
    source, target = two.ends(direction)
    grow(source, {**numbered(30), "f/a": b"a", "f/large": bytes(LARGE)})
    (source / "link").symlink_to("f")
    two.move(direction, links=True)
    assert tree(target) == tree(source)
    assert syncs == []


def test_a_server_without_syncs(tmp_path: Path, syncs: list[str]) -> None:
    two = Two(tmp_path, durable=False)
    two.factory.durable = False
    two.client = two.connect(durable=True)
    grow(two.here, {**numbered(30), "f/a": b"a", "f/large": bytes(LARGE)})
    two.put()
    assert syncs == []


# -- a rate --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, 10_000, LARGE])
@BOTH_WAYS
def test_a_limit_on_the_rate(tmp_path: Path, direction: str, size: int) -> None:
    two = Two(tmp_path, limit_rate=50_000)
    source, target = two.ends(direction)
    grow(source, {f"{number}": bytes(size) for number in range(3_600_000 // size)})
    began = two.network.clock.seconds()
    assert statuses(two.move(direction, seconds=3600)) == {"done"}
    assert two.network.clock.seconds() - began == pytest.approx(72, rel=0.2)
    assert tree(target) == tree(source)


def test_what_is_left_out_has_not_failed(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing that came together could be unpacked."""
    unpack = LocalUnpacker.unpack

    def broken(self: LocalUnpacker, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        if any(item.name for part in parts for item in part.items):  # all but the root
            raise StorageFailed("the disk is broken")
        return unpack(self, parts)

    monkeypatch.setattr(LocalUnpacker, "unpack", broken)
    grow(two.served, {"a": b"a", "a.bak": b"a", "b": b"b", "c.bak": b"c"})
    results = two.get(exclude=["*.bak"])
    assert failures(results) == {"a": "storage", "b": "storage"}
    assert len(results) == 2
    assert not two.client.closed
