"""Whose turn it is, and for how long: on a clock that stands still but for the test."""

from __future__ import annotations

import pytest
from blake3 import blake3
from msgspec.structs import replace

from tests.kit.staging import FILE, code_of, content_of, failure_of
from twisted_ft import Client, Delivery, FileTransferFactory, MemoryStore, Runtime, connect
from twisted_ft.errors import TimedOut
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.frames import encode
from twisted_ft.wire.messages import (
    Abort,
    Accept,
    Done,
    End,
    Entries,
    Get,
    List,
    Offer,
    Refuse,
    Working,
)

SERVER, CLIENT = 60, 30
"""Seconds of patience, unless another number is asked for."""
GREETING = 10
CONTENT = content_of(1 << 22)


def serve(
    store: MemoryStore | None = None, greet: bool = True, timeout: int = SERVER
) -> tuple[MemoryNetwork, ScriptedPeer]:
    network = MemoryNetwork()
    factory = FileTransferFactory(
        store or MemoryStore({b"a": CONTENT}),
        writable=True,
        runtime=network.runtime,
        timeout=timeout,
    )
    peer = network.scripted_client(factory)
    if greet:
        peer.hello()
        network.settle()
    return network, peer


def connected() -> tuple[MemoryNetwork, Client, ScriptedPeer]:
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    client = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome()
    return network, network.run(client), peer


def check_timed_out(peer: ScriptedPeer) -> None:
    last = peer.messages[-1]
    assert isinstance(last, Refuse)
    assert (last.exchange, last.code) == (0, "timeout")
    assert peer.lost is not None


@pytest.mark.parametrize("said", [b"", b"FT/1\r\n"])
def test_a_client_that_is_silent_before_it_greets(said: bytes) -> None:
    network, peer = serve(greet=False)
    peer.send(said)
    network.advance(GREETING - 1)
    assert peer.lost is None
    network.advance(1.5)
    check_timed_out(peer)


def test_a_short_patience_holds_before_the_greeting_too() -> None:
    network, peer = serve(greet=False, timeout=2)
    network.advance(2.5)
    check_timed_out(peer)


def test_a_server_that_is_silent_before_it_greets() -> None:
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    outcome = failure_of(connect(endpoint, runtime=network.runtime))
    network.advance(CLIENT)
    assert [code_of(each) for each in outcome] == ["timeout"]
    assert peer.lost is not None


def test_a_receiver_that_is_silent_at_its_turn() -> None:
    network, peer = serve()
    peer.say(Get(1, b"a"))
    network.advance(SERVER - 1)
    assert peer.lost is None
    network.advance(1.5)
    check_timed_out(peer)


def test_a_sender_that_is_silent_at_its_turn() -> None:
    store = MemoryStore()
    network, peer = serve(store)
    peer.say(Offer(1, FILE))
    network.settle()
    peer.data(b"he")
    network.advance(SERVER + 1)
    check_timed_out(peer)
    assert store.partials[b"a"].content == b"he"
    assert not store.receiving


def test_any_byte_starts_the_time_anew() -> None:
    network, peer = serve()
    peer.say(Offer(1, FILE))
    network.settle()
    network.advance(SERVER - 1)
    peer.data(b"hell")
    network.advance(SERVER - 1)
    peer.data(b"o")
    peer.say(Done(1, blake3(b"hello").digest()))
    network.settle()
    assert type(peer.messages[-1]).__name__ == "Receipt"


def test_a_server_that_is_silent_at_its_turn() -> None:
    network, client, peer = connected()
    outcome = failure_of(client.fetch("a", MemoryStore(), "a"))
    network.advance(CLIENT - 1)
    assert outcome == []
    network.advance(1.5)
    assert [code_of(each) for each in outcome] == ["timeout"]
    check_timed_out(peer)
    with pytest.raises(TimedOut):
        network.run(client.list())


def test_a_server_that_is_working_is_waited_for() -> None:
    network, client, peer = connected()
    outcome = failure_of(client.list())
    for _ in range(10):
        network.advance(CLIENT - 1)
        peer.say(Working())
    peer.say(Entries(1, ()), End(1, 0))
    network.settle()
    assert outcome == [[]]


def test_nobody_is_timed_out_while_nothing_is_wanted() -> None:
    network = MemoryNetwork()
    client = network.client(FileTransferFactory(MemoryStore(), runtime=network.runtime))
    network.advance(2000)
    assert not client.closed
    assert network.run(client.list()) == []


def test_a_client_that_stops_reading_is_given_up() -> None:
    network, peer = serve()
    peer.say(Get(1, b"a"), Accept(1, 0))
    peer.pause_reading()
    network.advance(SERVER - 1)
    assert peer.lost is None
    network.advance(10)
    assert peer.lost is not None


def test_a_server_that_stops_reading_is_given_up() -> None:
    network, client, peer = connected()
    outcome = failure_of(client.send(MemoryStore({b"a": CONTENT}), "a", "a"))
    network.settle()
    peer.say(Accept(1, 0))
    peer.pause_reading()
    network.advance(CLIENT + 10)
    assert [code_of(each) for each in outcome] == ["timeout"]
    assert peer.lost is not None


def test_a_client_that_reads_and_never_says_a_word_more() -> None:
    """It is the receiver's turn once everything is sent."""
    network, peer = serve()
    peer.say(Get(1, b"a"), Accept(1, 0))
    network.settle()
    assert peer.body == CONTENT
    network.advance(SERVER + 1)
    check_timed_out(peer)


def test_a_listing_that_is_not_read_is_given_up() -> None:
    files = {b"%05d" % number + b"n" * 200: b"" for number in range(3000)}
    network, peer = serve(MemoryStore(files))  # type: ignore[arg-type]
    peer.say(List(1, b"", False))
    peer.pause_reading()
    network.advance(SERVER + 10)
    assert peer.lost is not None


@pytest.mark.parametrize(("content", "seconds"), [(b"", 600), (CONTENT, CLIENT / 4)])
@pytest.mark.parametrize("direction", ["get", "put"])
@pytest.mark.parametrize("slow", ["server", "client"])
def test_a_disk_may_take_its_time(
    direction: str, slow: str, content: bytes, seconds: float
) -> None:
    """Ten minutes, at whatever step but amid a body: the other side hears that work goes on."""
    network = MemoryNetwork()
    threads = network.threads()
    runtimes: dict[str, Runtime] = {"server": network.runtime, "client": network.runtime}
    runtimes[slow] = threads.runtime
    here, there = MemoryStore({b"a": content}), MemoryStore({b"a": content})
    factory = FileTransferFactory(there, writable=True, runtime=runtimes["server"])
    client = network.client(factory, runtime=runtimes["client"])
    if direction == "get":
        outcome = failure_of(client.fetch("a", here, "b"))
    else:
        outcome = failure_of(client.send(here, "a", "b"))
    jobs = 0
    while not outcome:
        threads.held = True
        network.advance(seconds)
        assert not client.closed
        threads.held = False
        if threads.step():
            jobs += 1
    assert jobs >= 2
    assert isinstance(outcome[0], Delivery), outcome
    network.advance(600)
    assert not client.closed


# -- what is done for one thing says nothing of another ------------------------------------


def test_words_are_not_bytes_that_were_taken() -> None:
    """A peer that takes nothing is gone in its time, whatever it says."""
    network, peer = serve()
    peer.say(Get(1, b"a"), Accept(1, 0))
    peer.pause_reading()
    for _ in range(8):
        network.advance(SERVER / 8)
        if peer.lost is None:
            peer.say(Working(), Get(3, b"nothing"), Refuse(3, "cancelled", ""))
    network.advance(SERVER / 8 + 1)
    assert peer.lost is not None


def test_a_slow_reader_is_waited_for() -> None:
    """It takes some in each of its times, and far less than what waits."""
    network, peer = serve()
    peer.say(Get(1, b"a"), Accept(1, 0))
    peer.pause_reading()
    for _ in range(20):
        network.advance(SERVER - 10)
        peer.resume_reading()
        network.step()
        peer.pause_reading()
    assert peer.lost is None


@pytest.mark.parametrize("words", [True, False])
def test_a_body_asks_for_bytes(words: bool) -> None:
    """Neither words of life nor a byte now and then keep a name for ever; what came is kept."""
    store = MemoryStore()
    network, peer = serve(store)
    peer.say(Offer(1, replace(FILE, size=10**6)))
    network.settle()
    peer.data(b"he")
    for _ in range(2 * SERVER // 2 + 1):
        network.advance(2)
        if peer.lost is None:
            peer.say(Working()) if words else peer.data(b".")
    check_timed_out(peer)
    assert store.partials[b"a"].content.startswith(b"he")
    assert not store.receiving


def test_a_server_that_only_says_that_it_works_amid_a_body() -> None:
    network, client, peer = connected()
    outcome = failure_of(client.fetch("a", MemoryStore(), "a"))
    network.settle()
    peer.say(Offer(1, replace(FILE, size=10**6)))
    network.settle()
    for _ in range(2 * CLIENT // 2 + 1):
        network.advance(2)
        if peer.lost is None:
            peer.say(Working())
    assert [code_of(each) for each in outcome] == ["timeout"]


def test_a_body_at_the_least_rate() -> None:
    """A hundred bytes a second are enough, for as long as it takes."""
    store = MemoryStore()
    network, peer = serve(store)
    peer.say(Offer(1, replace(FILE, size=10**6)))
    network.settle()
    for _ in range(60):
        peer.data(bytes(1010))
        network.advance(10)
    assert peer.lost is None


def test_time_in_which_nothing_is_heard_is_not_held_against_a_sender() -> None:
    """Its bytes wait for our disk, for longer than they may take."""
    network = MemoryNetwork()
    disk = network.threads()
    store = MemoryStore()
    factory = FileTransferFactory(store, writable=True, runtime=disk.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    peer.say(Offer(1, replace(FILE, size=6 << 20)))
    network.settle()
    disk.held = True
    for _ in range(5):
        peer.data(bytes(1 << 20))
    network.settle()
    network.advance(10 * SERVER)
    assert peer.lost is None
    disk.held = False
    network.advance(SERVER - 1)
    assert peer.lost is None
    network.advance(2)
    assert peer.lost is not None


def test_the_greeting_has_a_time_of_its_own() -> None:
    """However it dribbles."""
    network, peer = serve(greet=False)
    for byte in b"FT/1\r\n":
        peer.send(bytes([byte]))
        network.advance(2)
    assert peer.lost is not None


def test_many_messages_in_one_piece_leave_others_their_turn() -> None:
    """Forty thousand of them: others are served in between."""
    network = MemoryNetwork(segment=1 << 20)
    factory = FileTransferFactory(MemoryStore({b"a": b"hello"}), runtime=network.runtime)
    client = network.client(factory)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    peer.send(encode(Working()) * 40_000)
    here = MemoryStore()
    call = failure_of(client.fetch("a", here, "a"))
    steps = 0
    while not call:
        assert network.step()
        steps += 1
    assert isinstance(call[0], Delivery)
    assert steps < 40
    network.settle()
    assert peer.lost is None
    peer.say(Get(1, b"nothing"))
    network.settle()
    assert isinstance(peer.messages[-1], Abort)


def test_what_was_kept_may_take_its_time_to_be_read_again() -> None:
    network = MemoryNetwork()
    threads = network.threads()
    there = MemoryStore({b"a": CONTENT})
    factory = FileTransferFactory(there, runtime=threads.runtime)
    here = MemoryStore()
    sink = here.sink(there.source(b"a").attributes, True)
    sink.write([CONTENT[:-1]])
    sink.keep()
    client = network.client(factory)
    outcome = failure_of(client.fetch("a", here, "a"))
    network.settle()
    threads.held = True
    network.advance(600)
    threads.held = False
    network.settle()
    assert isinstance(outcome[0], Delivery)


@pytest.mark.parametrize("timeout", [0, -1, 1.5, "30", None])
def test_a_timeout_is_a_whole_number_of_seconds(timeout: object) -> None:
    network = MemoryNetwork()
    with pytest.raises(ValueError, match="timeout"):
        FileTransferFactory(MemoryStore(), timeout=timeout)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        connect(
            network.scripted_server()[0],
            runtime=network.runtime,
            timeout=timeout,  # type: ignore[arg-type]
        )
