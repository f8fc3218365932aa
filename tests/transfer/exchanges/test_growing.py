"""Files that grow while they are sent, and files that have more bytes than their status says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.planting import Two, gathered, statuses
from tests.kit.staging import content_of
from twisted_ft import Client, Delivery, FileTransferFactory, LocalStore, MemoryStore
from twisted_ft.errors import SourceChanged
from twisted_ft.stores.conformance.samples import packed
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.messages import Abort, Get, Whole

CONTENT = content_of(3_000_000)
PROC = Path("/proc/cpuinfo")
SYS = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MISSTATED = [
    pytest.param(path, marks=pytest.mark.skipif(not path.is_file(), reason="there is none here"))
    for path in (PROC, SYS, Path("/proc/self/mounts"), Path("/sys/kernel/notes"))
]


class Moving:
    """A file that a client gets, or puts, and that changes when a part of it has gone."""

    def __init__(self, folder: Path, direction: str) -> None:
        self.path = folder / "log"
        self.path.write_bytes(CONTENT)
        os.utime(self.path, ns=(0, 0))
        store, self.target = LocalStore(folder), MemoryStore()
        self._network = MemoryNetwork()
        served = store if direction == "get" else self.target
        factory = FileTransferFactory(served, writable=True, runtime=self._network.runtime)
        client: Client = self._network.client(factory)
        self._sent = -1
        if direction == "get":
            self._call = client.fetch("log", self.target, "log", self._watch)
        else:
            self._call = client.send(store, "log", "log", self._watch)

    def _watch(self, now: object) -> None:
        self._sent = getattr(now, "sent", 0)

    def after(self, change: Callable[[Path], object], sent: int = 1_000_000) -> Delivery:
        """What becomes of it, where this changes it once so much has gone."""
        while self._sent < sent:
            self._network.step()
        change(self.path)
        return self._network.run(self._call)


@pytest.fixture(params=["get", "put"])
def moving(request: pytest.FixtureRequest, tmp_path: Path) -> Moving:
    return Moving(tmp_path, request.param)


def append(path: Path, content: bytes = b"one more line\n") -> None:
    with path.open("ab") as file:
        file.write(content)


def write_within(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"changed")


def write_anew(path: Path) -> None:
    path.write_bytes(b"all of it is another " * 200_000)


def change_and_append(path: Path) -> None:
    write_within(path)
    append(path)


def test_what_was_offered_of_a_file_that_grows_is_sent(moving: Moving) -> None:
    delivery = moving.after(append)
    assert moving.target.files[b"log"].content == CONTENT
    assert (delivery.status, delivery.size, delivery.grown) == ("done", len(CONTENT), True)


def test_a_file_that_does_not_grow(moving: Moving) -> None:
    assert not moving.after(lambda _: None).grown


@pytest.mark.parametrize(
    "change",
    [write_anew, write_within, change_and_append, lambda path: os.truncate(path, 2_000_000)],
    ids=["written anew, longer", "within", "within, and appended to", "cut"],
)
def test_a_file_that_is_changed_is_not(moving: Moving, change: Callable[[Path], object]) -> None:
    """Whatever its size is by now."""
    with pytest.raises(SourceChanged):
        moving.after(change)
    assert moving.target.files == {}


def test_a_file_that_is_written_anew_before_it_is_read(moving: Moving) -> None:
    """All that is sent is then as it is at the end; and none of it is what was offered."""
    with pytest.raises(SourceChanged):
        moving.after(write_anew, 0)


def test_a_small_file_that_grows_is_read_until_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"a line\n")
    inode, read, left = file.stat().st_ino, os.read, [1, 2, 3]

    def growing(fd: int, size: int) -> bytes:
        if os.fstat(fd).st_ino == inode and left:
            append(file, b"line %d\n" % left.pop(0))
        return read(fd, size)

    monkeypatch.setattr(os, "read", growing)
    item = packed(LocalStore(tmp_path).packer(), b"", 1000)[b"log"]
    assert isinstance(item, Whole)
    assert item.content == b"a line\nline 1\nline 2\nline 3\n"


# -- more bytes, or fewer, than the status says ------------------------------------------------


@pytest.mark.parametrize("path", MISSTATED)
@pytest.mark.parametrize("direction", ["get", "put"])
def test_all_that_is_in_a_file_is_sent(path: Path, direction: str) -> None:
    content = path.read_bytes()
    assert content
    assert path.stat().st_size != len(content) or path.name == "notes"
    store, target, network = LocalStore(path.parent), MemoryStore(), MemoryNetwork()
    served = store if direction == "get" else target
    factory = FileTransferFactory(served, writable=True, runtime=network.runtime)
    client = network.client(factory)
    if direction == "get":
        call = client.fetch(path.name, target, path.name)
    else:
        call = client.send(store, path.name, path.name)
    delivery = network.run(call)
    assert target.files[os.fsencode(path.name)].content == content
    assert (delivery.status, delivery.size) == ("done", len(content))


@pytest.mark.skipif(not SYS.is_file(), reason="there is none here")
@pytest.mark.parametrize("direction", ["get", "put"])
def test_all_that_is_in_the_files_of_a_tree_is_sent(tmp_path: Path, direction: str) -> None:
    """Again and again: their status says nothing of whether they are the same."""
    folder = SYS.parent
    two = Two(tmp_path, LocalStore(folder) if direction == "get" else None)
    for _ in range(2):
        if direction == "get":
            results, arrived = two.get(), two.here / SYS.name
        else:
            results = two.network.run(gathered(two.client.put_tree(folder, "in")))
            arrived = two.served / "in" / SYS.name
        assert statuses(results) == {"done"}
        assert arrived.read_bytes() == SYS.read_bytes()


@pytest.mark.skipif(not PROC.is_file(), reason="there is none here")
def test_a_client_of_an_earlier_version_is_told(tmp_path: Path) -> None:
    network = MemoryNetwork()
    factory = FileTransferFactory(LocalStore(PROC.parent), runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    peer.say(Get(1, os.fsencode(PROC.name)))
    network.settle()
    last = peer.messages[-1]
    assert isinstance(last, Abort)
    assert last.code == "unsupported"
    assert "this client takes no such files; it is of an older version" in last.text
