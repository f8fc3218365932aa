"""Whoever is slow slows the other side down; nobody holds more than a little."""

from __future__ import annotations

import pytest
from twisted.internet.task import deferLater

from tests.kit.insides import connection_of
from tests.kit.staging import FILE, WatchedStore, failure_of
from twisted_ft import FileTransferFactory, MemoryStore, connect
from twisted_ft.testing import MemoryNetwork, MemoryTransport
from twisted_ft.transfer.bodies.inflow import HIGH_WATER
from twisted_ft.transfer.bodies.outflow import PIECE
from twisted_ft.wire.frames import DATA, encode, header
from twisted_ft.wire.messages import Accept, Attributes, End, Entries, Get, List, More, Offer

CONTENT = bytes(3 * (PIECE + HIGH_WATER))
BUFFERED = MemoryTransport.bufferSize + PIECE + 1000
"""Bytes that a sender has on a transport at most."""


def test_a_server_reads_no_further_than_the_client_takes() -> None:
    network = MemoryNetwork()
    store = WatchedStore(MemoryStore({b"a": CONTENT}))
    peer = network.scripted_client(FileTransferFactory(store, runtime=network.runtime))
    peer.hello()
    peer.say(Get(1, b"a"), Accept(1, 0))
    while not peer.body:
        assert network.step()
    peer.pause_reading()
    network.settle()
    ((_client, server),) = network.transports
    assert server.buffered <= BUFFERED
    assert store.read <= len(peer.body) + server.buffered + 2 * PIECE
    peer.resume_reading()
    network.settle()
    assert len(peer.body) == len(CONTENT)


def test_a_client_reads_no_further_than_the_server_takes() -> None:
    network = MemoryNetwork()
    store = WatchedStore(MemoryStore({b"a": CONTENT}))
    endpoint, peer = network.scripted_server()
    connected = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome()
    client = network.run(connected)
    client.send(store, "a", "a")
    network.settle()
    peer.say(Accept(1, 0))
    while not peer.body:
        assert network.step()
    peer.pause_reading()
    network.settle()
    ((end, _server),) = network.transports
    assert end.buffered <= BUFFERED
    assert store.read <= len(peer.body) + end.buffered + 2 * PIECE
    peer.resume_reading()
    network.settle()
    assert len(peer.body) == len(CONTENT)


@pytest.mark.parametrize("direction", ["get", "put"])
def test_a_slow_disk_stops_the_sender(direction: str) -> None:
    network = MemoryNetwork()
    threads = network.threads()
    origin, target = WatchedStore(MemoryStore({b"a": CONTENT})), WatchedStore(MemoryStore())
    if direction == "get":
        factory = FileTransferFactory(origin, runtime=network.runtime)
        client = network.client(factory, runtime=threads.runtime)
        outcome = failure_of(client.fetch("a", target, "a"))
    else:
        factory = FileTransferFactory(target, writable=True, runtime=threads.runtime)
        client = network.client(factory)
        outcome = failure_of(client.send(origin, "a", "a"))
    while not target.written:
        assert network.step()
    threads.held = True
    network.settle()
    ((here, there),) = network.transports
    receiver = here if direction == "get" else there
    assert not receiver.reading
    assert origin.read <= target.written + 2 * HIGH_WATER + BUFFERED + 2 * PIECE
    for _ in range(5):
        threads.held = False
        threads.step()
        threads.held = True
        network.settle()
        assert origin.read <= target.written + 2 * HIGH_WATER + BUFFERED + 2 * PIECE
    threads.held = False
    network.settle()
    assert receiver.reading
    assert outcome[0].sent == len(CONTENT)


def test_a_receiver_holds_few_pieces_however_small_they_are() -> None:
    """A piece is an object of its own, so pieces of one byte cost more than a byte."""
    network = MemoryNetwork()
    threads = network.threads()
    factory = FileTransferFactory(MemoryStore(), writable=True, runtime=threads.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    peer.say(Offer(1, Attributes(b"a", 1 << 30, 0, 0o644, b"v1")))
    network.settle()
    threads.held = True
    frames = 1 << 16
    peer.send((header(DATA, 1) + b"x") * frames)
    network.settle()
    ((here, there),) = network.transports
    assert not there.reading
    assert here.buffered > 5 * frames / 2
    threads.held = False
    network.settle()
    assert there.reading
    assert not here.buffered
    network.cut()
    network.settle()


def test_a_listing_waits_for_who_reads_it() -> None:
    network = MemoryNetwork()
    store = WatchedStore(MemoryStore({b"%06d" % n + b"n" * 200: b"" for n in range(5000)}))
    peer = network.scripted_client(FileTransferFactory(store, runtime=network.runtime))
    peer.hello()
    network.settle()
    peer.say(List(1, b"", False))
    network.settle()
    assert store.calls.count("entry") < 1000
    taken = 0
    while not isinstance(peer.messages[-1], End):
        (entries,) = (each for each in peer.messages[taken:] if isinstance(each, Entries))
        assert len(encode(entries)) < 1 << 17
        taken = len(peer.messages)
        peer.say(More(1))
        network.settle()
    assert store.calls.count("entry") == 5000


def test_a_walk_is_held_back_by_who_takes_its_entries() -> None:
    network = MemoryNetwork()
    inner = MemoryStore({b"d/%06d" % n + b"n" * 200: b"" for n in range(5000)})
    store = WatchedStore(inner)
    client = network.client(FileTransferFactory(store, runtime=network.runtime))

    async def first_of_many() -> None:
        walk = client.walk("d")
        assert (await walk.__anext__()).path == min(inner.files)
        await deferLater(network.clock, 1)
        assert 0 < store.calls.count("entry") < 2000
        await walk.close()
        await walk.close()
        with pytest.raises(StopAsyncIteration):
            await walk.__anext__()

    network.run(first_of_many(), seconds=2)
    assert connection_of(client).protocol.conversation.idle
    assert len(network.run(client.list("d"))) == 5000


def test_a_transport_that_is_lost_while_it_is_not_read() -> None:
    network = MemoryNetwork()
    threads = network.threads()
    store = MemoryStore()
    target = WatchedStore(store)
    factory = FileTransferFactory(target, writable=True, runtime=threads.runtime)
    client = network.client(factory)
    outcome = failure_of(client.send(MemoryStore({b"a": CONTENT}), "a", "a"))
    while not target.written:
        assert network.step()
    threads.held = True
    network.settle()
    assert not network.transports[0][1].reading
    network.cut()
    threads.held = False
    network.settle()
    assert outcome[0].code == "connection"
    assert not store.receiving
    assert FILE.path in store.partials
