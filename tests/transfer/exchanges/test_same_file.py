"""Whether a file is there already: it is, where its content is the same, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from msgspec.structs import replace

from tests.kit.staging import WatchedStore, content_of
from twisted_ft import (
    Client,
    FileTransferFactory,
    LocalStore,
    MemoryFile,
    MemoryStore,
    Store,
    connect,
)
from twisted_ft.errors import (
    AlreadyExists,
    Corrupt,
    Differs,
    FileTransferError,
    ReadOnly,
    Unsupported,
)
from twisted_ft.server import Right, Session
from twisted_ft.stores.conformance.samples import TIME, content_in, described, put
from twisted_ft.stores.standing import standing_file
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.bodies.outflow import PIECE
from twisted_ft.wire.messages import BY_TIME, Offer, Refuse

BOTH_WAYS = pytest.mark.parametrize("direction", ["get", "put"])
HELLO = blake3(b"hello").hexdigest()


@pytest.fixture(params=["memory", "folder"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, Store]:
    """Where files come from, and where they go."""
    if request.param == "memory":
        return MemoryStore(), MemoryStore()
    for side in ("origin", "target"):
        (tmp_path / side).mkdir()
    return LocalStore(tmp_path / "origin"), LocalStore(tmp_path / "target")


def hold(store: Store, name: bytes, content: bytes, mtime: int = TIME, mode: int = 0o640) -> None:
    """Have a file."""
    put(store, replace(described(name, content), mtime=mtime, mode=mode), content)


def state_of(store: Store, name: bytes) -> tuple[int, int]:
    source = store.source(name)
    source.close()
    return source.attributes.mtime, source.attributes.mode


class Ends:
    """A file's way from one store to the other."""

    def __init__(self, direction: str, origin: Store, target: Store, **options: Any) -> None:
        self.direction, self.origin, self.target = direction, origin, target
        self.network = MemoryNetwork()
        served = origin if direction == "get" else target
        options = {"writable": True, **options} if "authenticate" not in options else options
        factory = FileTransferFactory(served, runtime=self.network.runtime, **options)
        self.client: Client = self.network.client(factory)

    def move(self, name: str, to: str, **wanted: Any) -> Any:
        """What becomes of it."""
        if self.direction == "get":
            call = self.client.fetch(name, self.target, to, **wanted)
        else:
            call = self.client.send(self.origin, name, to, **wanted)
        return self.network.run(call)


@BOTH_WAYS
def test_another_file_of_the_same_size_and_time_is_sent(
    stores: tuple[Store, Store], direction: str
) -> None:
    """The clock has ticked for both at once."""
    origin, target = stores
    hold(origin, b"one", b"one\n")
    hold(origin, b"two", b"two\n")
    ends = Ends(direction, origin, target)
    assert ends.move("one", "x").status == "done"
    delivery = ends.move("two", "x")
    assert (delivery.status, delivery.sent, delivery.resumed_from) == ("done", 4, 0)
    assert content_in(target, b"x") == b"two\n"


@pytest.mark.parametrize("size", [1, PIECE + 1, 3 * PIECE])
@BOTH_WAYS
def test_the_same_file_is_not_sent_again(
    stores: tuple[Store, Store], direction: str, size: int
) -> None:
    origin, target = stores
    content = content_of(size)
    hold(origin, b"a", content)
    ends = Ends(direction, origin, target)
    assert ends.move("a", "b").status == "done"
    again = ends.move("a", "b")
    assert (again.status, again.size, again.sent, again.resumed_from) == ("skipped", size, 0, 0)
    assert again.blake3 == blake3(content).hexdigest()


@BOTH_WAYS
def test_an_empty_file_is_not_sent_again(stores: tuple[Store, Store], direction: str) -> None:
    origin, target = stores
    hold(origin, b"a", b"")
    ends = Ends(direction, origin, target)
    assert ends.move("a", "a").status == "done"
    again = ends.move("a", "a")
    assert (again.status, again.blake3) == ("skipped", blake3(b"").hexdigest())


@BOTH_WAYS
def test_a_file_with_another_time_is_sent(stores: tuple[Store, Store], direction: str) -> None:
    origin, target = stores
    hold(origin, b"a", b"hello")
    hold(target, b"a", b"hello", mtime=TIME + 1000)
    delivery = Ends(direction, origin, target).move("a", "a")
    assert (delivery.status, delivery.sent) == ("done", 5)
    assert state_of(target, b"a") == (TIME, 0o640)


@BOTH_WAYS
def test_checksum_gives_it_its_time_and_permissions(
    stores: tuple[Store, Store], direction: str
) -> None:
    origin, target = stores
    hold(origin, b"a", b"hello")
    hold(target, b"a", b"hello", mtime=TIME + 1000, mode=0o600)
    delivery = Ends(direction, origin, target).move("a", "a", checksum=True)
    assert (delivery.status, delivery.sent, delivery.blake3) == ("skipped", 0, HELLO)
    assert state_of(target, b"a") == (TIME, 0o640)


@BOTH_WAYS
def test_checksum_finds_other_content(stores: tuple[Store, Store], direction: str) -> None:
    origin, target = stores
    hold(origin, b"a", b"hello")
    hold(target, b"a", b"jello", mtime=TIME + 1000)
    assert Ends(direction, origin, target).move("a", "a", checksum=True).sent == 5
    assert content_in(target, b"a") == b"hello"


@BOTH_WAYS
def test_force_sends_it_all_the_same(stores: tuple[Store, Store], direction: str) -> None:
    origin, target = stores
    hold(origin, b"a", b"hello")
    hold(target, b"a", b"hello")
    delivery = Ends(direction, origin, target).move("a", "a", force=True)
    assert (delivery.status, delivery.sent) == ("done", 5)


@BOTH_WAYS
def test_what_was_kept_counts_all_the_same(stores: tuple[Store, Store], direction: str) -> None:
    """Another file stands where a transfer was cut off."""
    origin, target = stores
    content = content_of(PIECE)
    hold(origin, b"a", content)
    hold(target, b"a", bytes(PIECE))
    source = origin.source(b"a")
    file = source.attributes
    source.close()
    sink = target.sink(file, True)
    sink.write([content[:1000]])
    sink.keep()
    assert Ends(direction, origin, target).move("a", "a").resumed_from == 1000
    assert content_in(target, b"a") == content


def test_a_server_that_replaces_nothing() -> None:
    """It says of the same file that it is there, of another that it stays, and keeps the time."""
    origin, target = MemoryStore(), MemoryStore()
    hold(origin, b"a", b"hello")
    hold(origin, b"b", b"jello")

    async def anybody(*_: object) -> Session:
        return Session(target, Right.UPLOAD)  # not even to read

    ends = Ends("put", origin, target, authenticate=anybody)
    assert ends.move("a", "x").status == "done"
    assert ends.move("a", "x").status == "skipped"
    with pytest.raises(AlreadyExists):
        ends.move("b", "x")
    target.files[b"x"] = MemoryFile(b"hello", 5, 0o600)
    assert ends.move("a", "x", checksum=True).status == "skipped"
    assert target.files[b"x"] == MemoryFile(b"hello", 5, 0o600)


def test_whoever_may_not_upload_compares_nothing() -> None:
    origin, target = MemoryStore(), MemoryStore()
    hold(origin, b"a", b"hello")
    hold(target, b"a", b"hello")

    async def anybody(*_: object) -> Session:
        return Session(target, Right.LIST)

    ends = Ends("put", origin, target, authenticate=anybody)
    with pytest.raises(ReadOnly):
        ends.move("a", "a")


@BOTH_WAYS
def test_what_is_there_changes_while_it_is_compared(direction: str) -> None:
    """Then nobody knows whether it is the same, and it is sent."""
    origin, target = MemoryStore(), MemoryStore()
    hold(origin, b"a", b"hello")
    hold(target, b"a", b"hello")
    watched = WatchedStore(target)
    watched.faults["check"] = Corrupt("not what it was")
    assert Ends(direction, origin, watched).move("a", "a").status == "done"


def test_reading_stops_where_nobody_wants_it() -> None:
    store = MemoryStore({b"a": MemoryFile(b"hello", TIME)})
    standing = standing_file(store, described(b"a", b"hello"), BY_TIME)
    assert standing is not None

    def called_off() -> None:
        raise Differs("nobody wants it")

    assert standing.digest(called_off) == b""


@pytest.mark.parametrize(
    ("said", "raised"), [("unchanged", Unsupported), ("differs", Differs), ("corrupt", Corrupt)]
)
def test_a_server_that_never_compares(said: str, raised: type[FileTransferError]) -> None:
    """What it says of a file without having heard its digest isn't believed; it is asked twice."""
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    connecting = connect(endpoint, runtime=network.runtime)
    peer.welcome()
    client = network.run(connecting)
    outcome: list[Any] = []
    call = client.send(MemoryStore({b"a": b"hello"}), "a", "a")
    call.addErrback(lambda reason: outcome.append(reason.type))
    network.settle()
    for _ in range(5):
        offers = [each for each in peer.messages if isinstance(each, Offer)]
        peer.say(Refuse(offers[-1].exchange, said, "no"))
        network.settle()
        if outcome:
            break
    assert outcome == [raised]
    assert [each.compare for each in offers] in (["time"], ["time", "nothing"])
