"""Many exchanges, and many connections, at once: each within its limits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, gatherResults

from tests.kit.staging import FILE, code_of, content_of, failure_of
from twisted_ft import Client, FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import Busy
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.frames import encode
from twisted_ft.wire.messages import (
    Abort,
    End,
    Entries,
    Get,
    List,
    More,
    Offer,
    Refuse,
    Working,
)

FILES = {b"%03d" % number: content_of(1000 * number) for number in range(100)}


@pytest.mark.parametrize("exchanges", [1, 3, 64, 1000])
def test_a_hundred_gets_on_one_connection(exchanges: int) -> None:
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore(FILES), runtime=network.runtime)  # type: ignore[arg-type]
    factory.limits = replace(factory.limits, exchanges=exchanges)
    client = network.client(factory)
    here = MemoryStore()
    deliveries = network.run(gatherResults([client.fetch(name, here, name) for name in FILES]))
    assert all(each.status == "done" for each in deliveries)
    assert {name: file.content for name, file in here.files.items()} == FILES


def test_a_hundred_puts_and_listings_on_one_connection() -> None:
    network = MemoryNetwork()
    there = MemoryStore()
    factory = FileTransferFactory(there, writable=True, runtime=network.runtime)
    factory.limits = replace(factory.limits, exchanges=5)
    client = network.client(factory)
    here = MemoryStore(FILES)  # type: ignore[arg-type]
    calls = [client.send(here, name, name) for name in FILES]
    listings = [client.list() for _ in range(20)]
    network.run(gatherResults(calls))
    assert {name: file.content for name, file in there.files.items()} == FILES
    assert len(network.run(gatherResults(listings))[-1]) == 100


def test_a_hundred_gets_on_as_many_connections() -> None:
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore(FILES), runtime=network.runtime)  # type: ignore[arg-type]
    clients = [network.client(factory) for _ in FILES]
    here = MemoryStore()
    calls = [client.fetch(name, here, name) for client, name in zip(clients, FILES, strict=True)]
    network.run(gatherResults(calls))
    assert {name: file.content for name, file in here.files.items()} == FILES


def test_two_gets_to_one_name_dont_mix() -> None:
    network = MemoryNetwork()
    there = MemoryStore({b"a": content_of(1 << 20), b"b": content_of(1 << 20)[::-1]})
    client = network.client(FileTransferFactory(there, runtime=network.runtime))
    here = MemoryStore()
    outcomes = [failure_of(client.fetch(name, here, "same")) for name in "ab"]
    network.settle()
    assert [code_of(outcome[0]) for outcome in outcomes] == ["Delivery", "busy"]
    assert here.files[b"same"].content == content_of(1 << 20)


class TwoPlaces:
    """A real client, and a scripted server that keeps two exchanges at once."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        endpoint, self.peer = self.network.scripted_server()
        connected = connect(endpoint, runtime=self.network.runtime)
        self.network.settle()
        self.peer.welcome(replace(DEFAULT_LIMITS, exchanges=2))
        self.client: Client = self.network.run(connected)
        self.store = MemoryStore()

    def asked(self) -> list[bytes]:
        """The paths that were asked for so far."""
        self.network.settle()
        return [each.path for each in self.peer.messages if isinstance(each, (Get, List))]


def test_calls_wait_in_line_for_a_place() -> None:
    two = TwoPlaces()
    outcomes = [failure_of(two.client.fetch(name, two.store, name)) for name in "abc"]
    listing = failure_of(two.client.list("d"))
    assert two.asked() == [b"a", b"b"]
    two.peer.say(Abort(3, "not-found", ""))
    assert two.asked() == [b"a", b"b", b"c"]
    two.peer.say(Abort(1, "not-found", ""))
    assert two.asked() == [b"a", b"b", b"c", b"d"]
    two.peer.say(Abort(5, "not-found", ""), End(7, 0))
    two.network.settle()
    assert [code_of(outcome[0]) for outcome in outcomes] == ["not-found"] * 3
    assert listing == [[]]


def test_a_call_that_waits_in_line_can_be_cancelled() -> None:
    two = TwoPlaces()
    calls = [two.client.fetch(name, two.store, name) for name in "abcd"]
    outcomes = [failure_of(call) for call in calls]
    two.network.settle()
    calls[2].cancel()
    assert [type(each) for each in outcomes[2]] == [CancelledError]
    two.peer.say(Abort(1, "not-found", ""))
    assert two.asked() == [b"a", b"b", b"d"]


def test_a_place_is_free_when_the_other_side_has_had_its_last_word() -> None:
    """A get that is cancelled in the middle of its body isn't over for the server."""
    two = TwoPlaces()
    calls = [two.client.fetch(name, two.store, name) for name in "abc"]
    outcomes = [failure_of(call) for call in calls]
    two.network.settle()
    two.peer.say(Offer(1, FILE))
    two.network.settle()
    two.peer.data(b"he")
    two.network.settle()
    calls[0].cancel()
    two.network.settle()
    assert isinstance(two.peer.messages[-1], Refuse)
    assert [type(each) for each in outcomes[0]] == [CancelledError]
    assert two.asked() == [b"a", b"b"]
    two.peer.say(Abort(1, "cancelled", ""))
    assert two.asked() == [b"a", b"b", b"c"]
    assert two.peer.lost is None


def test_a_listing_that_was_cancelled_keeps_its_place_until_its_end() -> None:
    two = TwoPlaces()
    calls = [two.client.list(name) for name in "abc"]
    outcomes = [failure_of(call) for call in calls]
    two.network.settle()
    calls[0].cancel()
    assert [type(each) for each in outcomes[0]] == [CancelledError]
    two.peer.say(Working())
    assert two.asked() == [b"a", b"b"]
    two.peer.say(Entries(1, ()))
    assert two.asked() == [b"a", b"b", b"c"]
    assert Refuse(1, "cancelled", "no more of it is wanted") in two.peer.messages
    two.peer.say(End(1, 0))
    assert two.peer.lost is None


def test_who_waits_in_line_hears_of_the_end_of_the_connection() -> None:
    two = TwoPlaces()
    outcomes = [failure_of(two.client.list(name)) for name in "abcde"]
    two.network.settle()
    two.network.cut()
    two.network.settle()
    assert [code_of(outcome[0]) for outcome in outcomes] == ["connection"] * 5


def test_more_connections_than_a_server_takes() -> None:
    network = MemoryNetwork()
    factory = FileTransferFactory(
        MemoryStore(), writable=True, runtime=network.runtime, max_connections=2
    )
    clients = [network.client(factory), network.client(factory)]
    here = MemoryStore({b"a": content_of(1 << 22)})
    uploads = [
        client.send(here, "a", client_name)
        for client, client_name in zip(clients, "bc", strict=True)
    ]
    network.step()
    with pytest.raises(Busy, match="already has its maximum of"):
        network.client(factory)
    for upload in uploads:
        assert network.run(upload).status == "done"
    assert len(network.run(network.client(factory).list())) == 2


def test_who_is_idle_makes_room() -> None:
    """Who has been so for longest first; an exchange that stands still counts less than none."""
    network = MemoryNetwork()
    factory = FileTransferFactory(
        MemoryStore({b"a": content_of(1 << 20)}), runtime=network.runtime, max_connections=3
    )
    idle = [network.client(factory)]
    stalled = network.scripted_client(factory)
    stalled.hello()
    network.settle()
    stalled.say(Get(1, b"a"))
    network.advance(10)
    idle.append(network.client(factory))
    network.advance(10)
    network.run(idle[0].list())
    for left in ([False, True], [True, True]):
        assert network.run(network.client(factory).list())
        assert [client.closed for client in idle] == left
    assert stalled.lost is None
    for _ in range(3):
        assert network.run(network.client(factory).list())
    assert stalled.lost is None
    assert isinstance(stalled.messages[-1], Offer)


def test_a_server_that_is_stopped() -> None:
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore(), runtime=network.runtime)
    clients = [network.client(factory) for _ in range(3)]
    factory.disconnect()
    network.settle()
    assert all(client.closed for client in clients)
    assert not factory.connections


def lister(files: list[bytes], message: int) -> ScriptedPeer:
    network = MemoryNetwork()
    store = MemoryStore(dict.fromkeys(files, b""))
    peer = network.scripted_client(FileTransferFactory(store, runtime=network.runtime))
    peer.hello(replace(DEFAULT_LIMITS, message=message))
    network.settle()
    folder = files[0].rpartition(b"/")[0]
    peer.say(List(1, folder, False))
    network.settle()
    while not isinstance(peer.messages[-1], End):
        before = len(peer.messages)
        peer.say(More(1))
        network.settle()
        assert len(peer.messages) > before
    return peer


@pytest.mark.parametrize("message", [1 << 14, (1 << 14) + 1, 1 << 16, 1 << 20])
@pytest.mark.parametrize("folders", [0, 15])
def test_a_long_listing_comes_in_messages_that_the_client_takes(message: int, folders: int) -> None:
    before = b"".join(b"f" * 254 + b"/" for _ in range(folders))
    files = [before + b"%04d" % number + b"n" * 200 for number in range(300)]
    peer = lister(files, message)
    listed = [each for each in peer.messages if isinstance(each, Entries)]
    assert all(len(encode(each)) <= message + 4 for each in listed)
    assert [entry.path for each in listed for entry in each.entries] == files
    assert peer.messages[-1] == End(1, 300)


def test_a_listing_of_a_folder_that_holds_nothing() -> None:
    network = MemoryNetwork()
    client = network.client(FileTransferFactory(MemoryStore(), runtime=network.runtime))
    assert network.run(client.list()) == network.run(client.list("/")) == []
