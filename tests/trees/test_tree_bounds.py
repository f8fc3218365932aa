"""What a tree may have under way at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from msgspec.structs import replace
from twisted.internet.defer import ensureDeferred

from tests.kit.planting import (
    BOTH_WAYS,
    LARGE,
    Two,
    gathered,
    grow,
    late,
    numbered,
    result_of,
    statuses,
    tree,
    with_status,
)
from tests.kit.staging import WatchedStore
from twisted_ft import FileTransferFactory, MemoryStore, connect
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.exchanges.tree_receiving import HIGH_WATER
from twisted_ft.transfer.exchanges.tree_sending import DRAFTS_AHEAD, WINDOW, WINDOW_SIZE
from twisted_ft.trees.deliveries import LARGE_AT_ONCE, MOST_RESULTS
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.frames import encode
from twisted_ft.wire.messages import (
    Described,
    Fetch,
    Get,
    Offer,
    Outcome,
    Parcel,
    Part,
    Receipts,
    Welcome,
    Whole,
    Working,
)

MANY = {f"{name}": b"%04d" % number * 500 for number, name in enumerate(numbered(7000))}
"""14 MB, some thirty parcels."""
SHORT = replace(DEFAULT_LIMITS, message=1 << 14)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def all_of(parcel: Parcel, outcome: Outcome) -> Receipts:
    """The same outcome for everything in a parcel."""
    items = sum(len(part.items) for part in parcel.parts)
    return Receipts(parcel.exchange, bytes([outcome]) * items, ())


# -- parcels -------------------------------------------------------------------------------


def test_parcels_without_receipts_of_a_server(tmp_path: Path) -> None:
    two = Two(tmp_path)
    grow(two.served, numbered(3000))
    peer = two.network.scripted_client(two.factory)
    peer.hello(SHORT)
    peer.say(Fetch(1, b"", 1 << 18, False, False, False))
    two.network.settle()
    (root,) = (each for each in peer.messages if isinstance(each, Parcel))
    peer.say(all_of(root, Outcome.DONE))
    two.network.settle()
    parcels = [each for each in peer.messages if isinstance(each, Parcel)][1:]
    assert len(parcels) == WINDOW
    peer.say(*(all_of(each, Outcome.DONE) for each in parcels[:3]))
    two.network.settle()
    parcels = [each for each in peer.messages if isinstance(each, Parcel)][1:]
    assert len(parcels) == WINDOW + 3


def test_bytes_without_receipts(tmp_path: Path) -> None:
    """No more than an interruption may cost, however few parcels that is; one goes at any size."""
    two = Two(tmp_path)
    grow(two.served, numbered(8, 900_000))
    peer = two.network.scripted_client(two.factory)
    peer.hello()
    peer.say(Fetch(1, b"", 1 << 20, False, False, False))
    two.network.settle()

    def parcels() -> list[Parcel]:
        return [each for each in peer.messages if isinstance(each, Parcel)]

    peer.say(all_of(parcels()[0], Outcome.DONE))
    two.network.settle()
    assert len(parcels()) == 1 + WINDOW_SIZE // 900_000
    peer.say(all_of(parcels()[1], Outcome.DONE))
    two.network.settle()
    assert len(parcels()) == 2 + WINDOW_SIZE // 900_000


def test_loads_that_are_filled_and_not_said() -> None:
    """However long there are no Receipts, no more of the tree is in memory."""
    size = 900_000  # one of them fills a parcel
    store = WatchedStore(MemoryStore({b"%02d" % each: bytes(size) for each in range(40)}))
    network = MemoryNetwork()
    peer = network.scripted_client(FileTransferFactory(store, runtime=network.runtime))
    peer.hello()
    peer.say(Fetch(1, b"", 1 << 20, False, False, False))
    network.settle()

    def parcels() -> list[Parcel]:
        return [each for each in peer.messages if isinstance(each, Parcel)]

    peer.say(all_of(parcels()[0], Outcome.DONE))
    for receipted in range(1, 10):
        network.settle()
        said = len(parcels()) - 1
        assert said == WINDOW_SIZE // size + receipted - 1
        # one waits to be said next, and one file has been read that had no room in the last load
        assert store.calls.count("source") == said + 1 + DRAFTS_AHEAD + 1
        peer.say(all_of(parcels()[receipted], Outcome.DONE))


@pytest.mark.parametrize(("exchanges", "most"), [(64, WINDOW), (5, 5), (1, 1)])
def test_parcels_without_receipts_of_a_client(tmp_path: Path, exchanges: int, most: int) -> None:
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    connected = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome(replace(SHORT, exchanges=exchanges))
    client = network.run(connected)
    source = grow(tmp_path / "source", numbered(3000))
    ensureDeferred(gathered(client.put_tree(source, "t")))
    network.settle()
    (root,) = (each for each in peer.messages if isinstance(each, Parcel))
    peer.say(all_of(root, Outcome.DONE))
    network.settle()
    assert len([each for each in peer.messages if isinstance(each, Parcel)]) == 1 + most


def test_parcels_that_wait_to_be_unpacked() -> None:
    """Past HIGH_WATER the transport isn't read; and the client, if it hears Working, waits."""
    network = MemoryNetwork()
    disk = network.threads()
    store = MemoryStore()
    factory = FileTransferFactory(store, writable=True, runtime=disk.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    disk.held = True
    content = os.urandom(1 << 17)
    digest = blake3(content).digest()
    for number in range(60):
        item = Whole(b"%d" % number, number, 0o644, content, digest)
        peer.say(Parcel(2 * number + 1, 0, b"", (Part(b"", (item,)),)))
    network.settle()
    (_, server) = network.transports[0]
    (client, _) = network.transports[0]
    assert not server.reading
    taken = client.written - client.buffered
    assert HIGH_WATER < taken / (1 << 17) < HIGH_WATER + 3
    network.advance(300)
    assert peer.lost is None
    disk.held = False
    network.settle()
    assert server.reading
    assert len(store.files) == 60
    assert sum(isinstance(each, Receipts) for each in peer.messages) == 60


# -- results -------------------------------------------------------------------------------


@BOTH_WAYS
def test_nobody_takes_the_results(two: Two, direction: str) -> None:
    """Then no more is moved than there is room for; and the rest when they are taken."""
    source, target = two.ends(direction)
    grow(source, MANY if direction == "get" else dict.fromkeys(numbered(20_000), b""))
    deliveries = two.begin(direction)
    two.take(deliveries, 1)
    two.network.settle()
    arrived = len(os.listdir(target))
    group = 2000 if direction == "get" else (WINDOW + 1) * 1024
    assert MOST_RESULTS < arrived < MOST_RESULTS + group
    two.network.advance(200)
    assert len(os.listdir(target)) == arrived
    assert not two.client.closed, "who takes nothing says that it works"
    count = len(os.listdir(source))
    assert len(two.network.run(gathered(deliveries))) == count - 1
    assert deliveries.tally.files == deliveries.tally.files_ended == count
    assert deliveries.tally.bytes == deliveries.tally.bytes_moved
    assert deliveries.tally.all_listed


# -- large files ---------------------------------------------------------------------------


@BOTH_WAYS
def test_large_files_at_once(tmp_path: Path, direction: str) -> None:
    """As many as LARGE_AT_ONCE are under way; the others wait."""
    names = [f"{number:02}" for number in range(LARGE_AT_ONCE + 8)]
    large: dict[Any, Any] = {name.encode(): bytes(LARGE) for name in names}
    store = WatchedStore(MemoryStore(large if direction == "get" else None))
    two = Two(tmp_path, store)
    if direction == "put":
        grow(two.here, {name: bytes(LARGE) for name in names})
    begun, ended = ("source", "close") if direction == "get" else ("sink", "publish")
    done = ensureDeferred(gathered(two.begin(direction)))
    most = 0
    while not done.called:
        assert two.network.step()
        most = max(most, store.calls.count(begun) - store.calls.count(ended))
    assert most == LARGE_AT_ONCE
    assert len(result_of(done)) == len(names)


def test_large_files_asked_for_at_once(tmp_path: Path) -> None:
    """However many a server describes."""
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    connected = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome()
    client = network.run(connected)
    deliveries = client.get_tree("", tmp_path / "t")
    ensureDeferred(gathered(deliveries))
    network.settle()
    peer.say(Parcel(2, 1, b"", (Part(b"", (Described(b"", "directory", 0, 0, 0o755),)),)))
    items = tuple(Described(b"%d" % each, "file", 1 << 30, 0, 0o644) for each in range(1000))
    peer.say(Parcel(4, 1, b"", (Part(b"", items),)))
    network.settle()
    assert sum(isinstance(each, Get) for each in peer.messages) == LARGE_AT_ONCE
    assert sum(isinstance(each, Offer) for each in peer.messages) == 0
    network.run(deliveries.close())


@pytest.mark.parametrize(
    ("direction", "exchanges"),
    [
        ("get", 1),
        ("get", 2),
        ("put", 1),
        ("put", 2),
    ],
)
def test_a_server_that_takes_few_exchanges(tmp_path: Path, direction: str, exchanges: int) -> None:
    two = Two(tmp_path)
    two.factory.limits = replace(two.factory.limits, exchanges=exchanges)
    two.client = two.connect()
    source, target = two.ends(direction)
    large = {f"large {number:02}": bytes(LARGE) for number in range(LARGE_AT_ONCE + 3)}
    grow(source, {**numbered(1500), **large})
    assert statuses(two.move(direction)) == {"done"}
    assert tree(target) == tree(source)


@BOTH_WAYS
def test_one_exchange_and_more_large_files_in_a_parcel_than_go_at_once(
    tmp_path: Path, direction: str
) -> None:
    two = Two(tmp_path)
    two.factory.limits = replace(two.factory.limits, exchanges=1)
    two.client = two.connect()
    source, _ = two.ends(direction)
    grow(source, {f"large {number:02}": bytes(LARGE) for number in range(LARGE_AT_ONCE + 3)})
    assert statuses(two.move(direction)) == {"done"}


@BOTH_WAYS
def test_a_server_that_takes_short_messages(tmp_path: Path, direction: str) -> None:
    """A file that has no room in one of them is moved by itself."""
    two = Two(tmp_path)
    two.factory.limits = replace(two.factory.limits, message=1 << 14)
    two.client = two.connect()
    source, target = two.ends(direction)
    grow(source, {**numbered(500), **{f"{size}": bytes(size) for size in range(7000, 20_000, 777)}})
    assert statuses(two.move(direction)) == {"done"}
    assert tree(target) == tree(source)


@BOTH_WAYS
def test_many_long_names_that_fail(tmp_path: Path, direction: str) -> None:
    """All reasons together may be longer than a message; they are told all the same."""
    two = Two(tmp_path)
    source, target = two.ends(direction)
    folder = "/".join(["\n" * 250] * 3)
    grow(source, {f"{folder}/{name}": b"new" for name in numbered(900)})
    grow(target, {f"{folder}/{name}/in the way": b"" for name in numbered(900)})
    results = two.move(direction)
    assert len(with_status(results, "failed")) == 900
    assert {each.error.code for each in results.values() if each.error} == {"is-a-directory"}


@BOTH_WAYS
def test_byte_by_byte(tmp_path: Path, direction: str) -> None:
    two = Two(tmp_path)
    two.network.segment = 1
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "b/c": b"c"})
    two.move(direction)
    assert tree(target) == tree(source)


# -- threads and time ----------------------------------------------------------------------


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("steps", [1, 5, 40])
@BOTH_WAYS
def test_news_from_threads_may_be_late(two: Two, direction: str, who: str, steps: int) -> None:
    """What the other side says meanwhile is done all the same."""
    if who == "server":
        two.serve_with(late(two.network, steps))
    else:
        two.client = two.connect(runtime=late(two.network, steps))
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "f/b": b"b", "f/g/c": b"c", "f/large": bytes(LARGE)})
    for folder in ("f/g", "f"):
        os.utime(source / folder, ns=(1, 1_234_567_890))
        (target / folder).mkdir(parents=True, exist_ok=True)
    results = two.move(direction)
    assert with_status(results, "done") == ["a", "b", "c", "large"]
    assert tree(target) == tree(source)
    assert [(target / each).stat().st_mtime_ns for each in ("f", "f/g")] == [1_234_567_890] * 2


@pytest.mark.parametrize("who", ["client", "server"])
@BOTH_WAYS
def test_a_slow_disk_is_waited_for(two: Two, direction: str, who: str) -> None:
    disk = two.network.threads()
    if who == "server":
        two.serve_with(disk.runtime)
    else:
        two.client = two.connect(runtime=disk.runtime)
    source, target = two.ends(direction)
    grow(source, {f"{folder}/{name}": bytes(3000) for folder in "ab" for name in numbered(1500)})
    deliveries = two.begin(direction)
    two.take(deliveries, 1)
    disk.held = True
    rest = ensureDeferred(gathered(deliveries))
    two.network.advance(1000)
    assert not rest.called
    assert not two.client.closed
    disk.held = False
    assert len(two.network.run(rest)) == 3000 - 1
    assert tree(target) == tree(source)


# -- time ----------------------------------------------------------------------------------


def test_a_parcel_that_comes_slowly() -> None:
    """Who receives a message for longer than the sender's patience says so meanwhile."""
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore(), writable=True, runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    content = bytes(1000)
    item = Whole(b"slow", 0, 0o644, content, blake3(content).digest())
    message = encode(Parcel(1, 0, b"", (Part(b"", (item,)),)))
    for begin in range(0, len(message), 100):
        peer.send(message[begin : begin + 100])
        network.advance(DEFAULT_LIMITS.silence / 2)
    words = [type(each) for each in peer.messages if not isinstance(each, Welcome)]
    assert words.count(Working) > len(words) // 2
    assert words[-1] is Receipts
    network.advance(10 * DEFAULT_LIMITS.silence)
    assert [type(each) for each in peer.messages][-1] is Receipts
