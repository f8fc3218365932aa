"""Whole trees through the client: each file for itself, and bounded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from staging import WatchedStore
from twisted.internet.defer import ensureDeferred

from twisted_ft import Client, Delivery, FileTransferFactory, LocalStore, MemoryStore, connect
from twisted_ft.errors import ConnectionFailed, FileTransferError, Forbidden, NotFound, ReadOnly
from twisted_ft.testing import MemoryNetwork
from twisted_ft.trees import WINDOW, Deliveries
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.messages import Abort, End, Entries, Entry, Get

FILES: dict[str, bytes] = {
    "a": b"content of a",
    "b/empty": b"",
    "b/c/deep": os.urandom(100_000),
    "b/-dash and space": b"x",
    "z/\udcff": b"not UTF-8",
}


def grow(root: Path, files: dict[str, bytes] = FILES) -> Path:
    """Make a tree."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        os.utime(root / name, ns=(5, 1_000_000_000 + len(content)))
    return root


def tree(root: Path) -> dict[str, bytes | None]:
    """What is below a folder; None for folders."""
    return {
        str(each.relative_to(root)): each.read_bytes() if each.is_file() else None
        for each in root.rglob("*")
        if not each.is_symlink()
    }


class Two:
    """A server of one folder, and a client."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.served, self.here = tmp_path / "served", tmp_path / "here"
        self.served.mkdir()
        self.network = MemoryNetwork()
        self.store = WatchedStore(LocalStore(self.served))
        options.setdefault("writable", True)
        factory = FileTransferFactory(self.store, runtime=self.network.runtime, **options)
        self.client: Client = self.network.client(factory)

    def get(self, path: str = "") -> dict[str, Delivery]:
        return self.results(self.client.get_tree(path, self.here))

    def put(self, path: str = "") -> dict[str, Delivery]:
        return self.results(self.client.put_tree(self.here, path))

    def results(self, deliveries: Deliveries) -> dict[str, Delivery]:
        async def gathered() -> dict[str, Delivery]:
            return {each.path: each async for each in deliveries}

        return self.network.run(gathered())


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def statuses(results: dict[str, Delivery]) -> set[str]:
    return {each.status for each in results.values()}


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
    (two.served / "new").write_bytes(b"new")
    (two.served / "a").write_bytes(b"changed")
    results = two.get()
    sent = {name: each.sent for name, each in results.items() if each.status == "done"}
    assert sent == {str(two.here / "new"): 3, str(two.here / "a"): 7}
    assert statuses(two.put()) == {"skipped"}


def test_an_empty_one(two: Two) -> None:
    assert two.get() == {}
    assert two.here.is_dir()
    assert two.put("hollow") == {}
    assert (two.served / "hollow").is_dir()


def test_links_and_the_like_are_left_out_and_named(two: Two) -> None:
    grow(two.served, {"a": b"a"})
    (two.served / "link").symlink_to("a")
    (two.served / "up").symlink_to("..")
    os.mkfifo(two.served / "pipe")
    results = two.get()
    left_out = {name for name, each in results.items() if each.status == "left out"}
    assert left_out == {str(two.here / name) for name in ("link", "up", "pipe")}
    assert sorted(os.listdir(two.here)) == ["a"]
    (two.here / "other").symlink_to("a")
    assert two.put("copy")["copy/other"].status == "left out"
    assert os.listdir(two.served / "copy") == ["a"]


def failures(results: dict[str, Delivery]) -> dict[str, str]:
    return {
        os.path.basename(name): each.error.code
        for name, each in results.items()
        if each.status == "failed" and each.error is not None
    }


def test_a_folder_where_a_file_must_be_and_the_reverse(two: Two) -> None:
    grow(two.served, {"a": b"a", "b/x": b"x", "c/y": b"y", "d": b"d"})
    (two.served / "hollow").mkdir()
    grow(two.here, {"a/in the way": b"", "b": b"in the way", "hollow": b"in the way"})
    results = two.get()
    assert failures(results) == {
        "a": "is-a-directory",
        "b": "exists",
        "x": "not-a-directory",
        "hollow": "exists",
    }
    assert (two.here / "c/y").read_bytes() == b"y"
    assert (two.here / "d").read_bytes() == b"d"


def test_the_same_on_the_server(two: Two) -> None:
    grow(two.here, {"a": b"a", "b/x": b"x", "c/y": b"y"})
    (two.here / "hollow").mkdir()
    grow(two.served, {"a/in the way": b"", "b": b"in the way", "hollow": b"", "c/z": b""})
    assert failures(two.put()) == {
        "a": "is-a-directory",
        "b": "exists",
        "x": "not-a-directory",
        "hollow": "exists",
    }
    assert (two.served / "c/y").read_bytes() == b"y"


def test_a_file_that_vanishes_is_named_and_the_others_arrive(two: Two) -> None:
    grow(two.served)
    two.store.faults["source"], two.store.after = NotFound("gone"), 3
    results = two.get()
    assert set(failures(results).values()) == {"not-found"}
    assert len(failures(results)) == len(FILES) - 3
    two.store.faults.clear()
    assert set(two.get()) == set(results)
    assert tree(two.here) == tree(two.served)


def test_what_is_no_folder(two: Two) -> None:
    grow(two.served, {"a": b"a"})
    with pytest.raises(NotFound):
        two.get("nowhere")
    with pytest.raises(FileTransferError, match="without -r"):
        two.get("a")
    assert not two.here.exists()
    with pytest.raises(FileTransferError):
        two.put("x")


def test_a_server_that_takes_nothing(tmp_path: Path) -> None:
    two = Two(tmp_path, writable=False)
    grow(two.here)
    results = two.put()
    assert {type(each.error) for each in results.values()} == {ReadOnly}
    with pytest.raises(ReadOnly):
        two.put("new")
    assert not os.listdir(two.served)


def test_a_folder_that_cant_be_listed_is_named(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(two.served)
    real = LocalStore.entries

    def not_b(self: LocalStore, path: bytes) -> Any:
        if path == b"b":
            raise Forbidden("no")
        return real(self, path)

    monkeypatch.setattr(LocalStore, "entries", not_b)
    results = two.get()
    assert failures(results) == {"b": "forbidden"}
    assert sorted(tree(two.here)) == ["a", "b", "z", "z/\udcff"]


def test_only_so_many_at_once(two: Two) -> None:
    """Nobody takes the results, so no more is begun than has room."""
    grow(two.served, {f"{number:04}": b"x" for number in range(3 * WINDOW)})
    deliveries = two.client.get_tree("", two.here)

    async def one() -> Delivery:
        return await anext(deliveries)

    assert two.network.run(one()).status == "done"
    two.network.settle()
    assert WINDOW <= two.store.calls.count("source") <= WINDOW + 1
    rest = two.results(deliveries)
    assert len(rest) == 3 * WINDOW - 1
    assert deliveries.tally.files == deliveries.tally.files_ended == 3 * WINDOW
    assert deliveries.tally.bytes == deliveries.tally.bytes_moved == 3 * WINDOW
    assert deliveries.tally.all_listed


def test_called_off(two: Two) -> None:
    grow(two.served, {f"{number:04}": b"x" * 100 for number in range(3 * WINDOW)})
    deliveries = two.client.get_tree("", two.here)

    async def some() -> None:
        async for _ in deliveries:
            await deliveries.close()
            break
        await deliveries.close()

    two.network.run(some())
    two.network.settle()
    assert two.client.protocol.conversation.idle
    assert two.store.calls.count("source") < 3 * WINDOW
    two.network.run(two.client.close())


def test_a_connection_that_is_lost_is_carried_on(two: Two) -> None:
    grow(two.served, {f"{number:04}": os.urandom(1000) for number in range(3 * WINDOW)})
    seen: list[Delivery] = []

    async def until_cut() -> None:
        async for delivery in two.client.get_tree("", two.here):
            seen.append(delivery)
            if len(seen) == WINDOW:
                two.network.cut()

    with pytest.raises(ConnectionFailed):
        two.network.run(until_cut())
    done = [each for each in seen if each.status == "done"]
    assert len(done) >= WINDOW
    again = MemoryNetwork()
    factory = FileTransferFactory(LocalStore(two.served), runtime=again.runtime)
    two.network, two.client = again, again.client(factory)
    results = two.get()
    assert sum(each.status == "skipped" for each in results.values()) >= len(done)
    assert tree(two.here) == tree(two.served)


def test_names_are_only_the_servers_word(tmp_path: Path) -> None:
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    connected = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome(replace(DEFAULT_LIMITS, exchanges=2))
    client = network.run(connected)
    results: list[Delivery] = []

    async def gathered() -> None:
        async for delivery in client.get_tree("d", tmp_path / "d"):
            results.append(delivery)

    done = ensureDeferred(gathered())
    network.settle()
    names = [b"d/../evil", b"/etc/evil", b"dd/evil", b"evil", b"d//evil", b"d/.", b"d/a\0b"]
    kinds = ("file", "directory")
    entries = tuple(Entry(name, kind, 1, 0, 0o644) for name in names for kind in kinds)
    peer.say(Entries(1, (*entries, Entry(b"d/good", "file", 1, 0, 0o644))), End(1, 15))
    network.settle()
    asked = [each for each in peer.messages if isinstance(each, Get)]
    assert [each.path for each in asked] == [b"d/good"]
    peer.say(Abort(asked[0].exchange, "not-found", "gone"))
    network.settle()
    assert done.called
    codes = sorted(each.error.code for each in results if each.error is not None)
    assert codes == ["bad-name"] * 14 + ["not-found"]
    assert list(tmp_path.rglob("*")) == [tmp_path / "d"]


def test_a_memory_store_is_served_as_well(tmp_path: Path) -> None:
    network = MemoryNetwork()
    store = MemoryStore({b"a": b"1", b"b/c": b"2"})
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    client = network.client(factory)

    async def both() -> None:
        async for _ in client.get_tree("", tmp_path / "here"):
            pass
        async for _ in client.put_tree(tmp_path / "here", "copy"):
            pass

    network.run(both())
    assert store.files[b"copy/b/c"].content == b"2"
