"""A whole tree: in which order, and what of it is passed over."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.kit.insides import connection_of
from twisted_ft import Entry, FileTransferFactory, LocalStore, MemoryStore, Store
from twisted_ft.errors import FileTransferError, Forbidden, NotADirectory, NotFound, StorageFailed
from twisted_ft.stores.tree import entries_below
from twisted_ft.testing import MemoryNetwork

FILES = {b"b/z": b"", b"b/a/x": b"1", b"b/c/x": b"", b"a": b"", b"c": b""}
ORDER = [b"a", b"b", b"c", b"b/a", b"b/c", b"b/z", b"b/a/x", b"b/c/x"]


def paths(entries: Iterator[Entry]) -> list[bytes]:
    return [entry.path for entry in entries]


def test_in_order() -> None:
    assert paths(entries_below(MemoryStore(dict(FILES)), b"")) == ORDER
    assert paths(entries_below(MemoryStore(dict(FILES)), b"b/a")) == [b"b/a/x"]
    assert paths(entries_below(MemoryStore(dict(FILES)), b"b/a/x")) == [b"b/a/x"]
    assert paths(entries_below(MemoryStore(), b"")) == []


def test_of_a_folder_on_disk(tmp_path: Path) -> None:
    for path, content in FILES.items():
        place = tmp_path / os.fsdecode(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    (tmp_path / "b" / "up").symlink_to("..")
    entries = {entry.path: entry.kind for entry in entries_below(LocalStore(tmp_path), b"")}
    assert sorted(entries) == sorted([*ORDER, b"b/up"])
    assert entries[b"b/up"] == "link"


@pytest.fixture
def few_descriptors_and_frames() -> Iterator[int]:
    """As many as there may be of either; a walk takes time by the square of its depth."""
    few, frames = 400, sys.getrecursionlimit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    sys.setrecursionlimit(few)
    yield few
    sys.setrecursionlimit(frames)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_tree_deeper_than_there_are_descriptors_or_frames(
    tmp_path: Path, few_descriptors_and_frames: int
) -> None:
    depth = few_descriptors_and_frames + 100
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    store = LocalStore(tmp_path)
    try:
        assert paths(entries_below(store, b""))[-1] == b"/".join([b"d"] * depth)
    finally:
        store.remove(b"d", True)  # which is more than pytest can remove by itself


class Failing:
    """A store in which one folder can't be listed."""

    def __init__(self, path: bytes, error: FileTransferError) -> None:
        self._inner, self._path, self._error = MemoryStore(dict(FILES)), path, error

    def entries(self, path: bytes) -> Iterator[Entry]:
        if path == self._path:
            raise self._error
        return self._inner.entries(path)


def failing(path: bytes, error: FileTransferError) -> Store:
    return cast(Store, Failing(path, error))


@pytest.mark.parametrize("error", [Forbidden("no"), StorageFailed("broken")])
def test_a_folder_that_cant_be_listed_is_named_and_the_others_go_on(
    error: FileTransferError,
) -> None:
    entries = list(entries_below(failing(b"b/a", error), b""))
    assert [each.path for each in entries] == [*ORDER[:6], b"b/a", b"b/c/x"]
    assert [each.kind for each in entries if each.path == b"b/a"] == ["directory", "unreadable"]


@pytest.mark.parametrize("error", [NotFound("gone"), NotADirectory("a file by now")])
def test_what_is_gone_is_passed_over(error: FileTransferError) -> None:
    assert paths(entries_below(failing(b"b/a", error), b"")) == [*ORDER[:6], b"b/c/x"]


class Replacing(MemoryStore):
    """A store in which a file takes a folder's place when that is listed."""

    def entries(self, path: bytes) -> Iterator[Entry]:
        if path == b"b/a":
            self.remove(path, True)
            return iter([Entry(path, "file", 1, 5, 0o644)])
        return super().entries(path)


def test_a_file_in_the_place_of_a_folder_is_named_once() -> None:
    assert paths(entries_below(Replacing(dict(FILES)), b"")) == [*ORDER[:6], b"b/c/x"]


def test_what_was_asked_for_must_be_there() -> None:
    with pytest.raises(Forbidden):
        list(entries_below(failing(b"b", Forbidden("no")), b"b"))


def test_over_a_connection() -> None:
    network = MemoryNetwork()
    store = MemoryStore(dict(FILES))
    client = network.client(FileTransferFactory(store, runtime=network.runtime))

    async def walked(path: str) -> list[bytes]:
        return [entry.path async for entry in client.walk(path)]

    assert network.run(walked("")) == ORDER
    assert network.run(walked("b/c/")) == [b"b/c/x"]
    with pytest.raises(NotFound):
        network.run(walked("nowhere"))
    assert network.run(walked("")) == ORDER
    assert connection_of(client).protocol.conversation.idle


def test_more_walks_than_the_server_takes_at_once() -> None:
    network = MemoryNetwork()
    client = network.client(FileTransferFactory(MemoryStore(dict(FILES)), runtime=network.runtime))

    async def all_at_once() -> list[bytes]:
        walks = [client.walk() for _ in range(64)]
        firsts = [(await walk.__anext__()).path for walk in walks]
        await walks[0].close()
        firsts.append((await client.walk().__anext__()).path)
        return firsts

    assert network.run(all_at_once()) == [b"a"] * 65
    network.run(client.close())


def test_a_walk_hears_of_the_end_of_the_connection() -> None:
    network = MemoryNetwork()
    store = MemoryStore({b"%06d" % number + b"n" * 200: b"" for number in range(2000)})
    client = network.client(FileTransferFactory(store, runtime=network.runtime))

    async def cut_amid() -> int:
        count = 0
        async for _ in client.walk():
            count += 1
            if count == 5:
                network.cut()
        return count

    with pytest.raises(FileTransferError) as failure:
        network.run(cut_amid())
    assert failure.value.code == "connection"
