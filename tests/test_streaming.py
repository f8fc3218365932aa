"""A file read, or written, as it comes: through consumers, producers and asynchronous iterators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from typing import Any

import pytest
from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from tests.kit.staging import FILE, content_of, failure_of
from twisted_ft import Client, Delivery, FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import (
    AlreadyExists,
    Busy,
    Cancelled,
    Corrupt,
    NotFound,
    StorageFailed,
    Unsupported,
)
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.transfer.bodies.inflow import HIGH_WATER
from twisted_ft.transfer.bodies.streams import WRITTEN
from twisted_ft.wire.messages import Attributes, Done, Offer, Refuse, Working

CONTENT = content_of(12_000_000)


def serve(store: MemoryStore, **options: Any) -> tuple[MemoryNetwork, Client]:
    network = MemoryNetwork()
    options.setdefault("writable", True)
    factory = FileTransferFactory(store, runtime=network.runtime, **options)
    return network, network.client(factory)


def scripted() -> tuple[MemoryNetwork, Client, ScriptedPeer]:
    """A client of a server that says what a test has it say."""
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    client = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome(features=("streams",))
    return network, network.run(client), peer


@implementer(IConsumer)
class Taker:
    """A consumer that has enough after so many bytes, until it is told to go on."""

    def __init__(self, enough: int = 1 << 62) -> None:
        self.taken = b""
        self.enough = enough
        self.producer: IPushProducer | None = None
        self.unregistered = False

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        assert streaming
        assert self.producer is None
        self.producer = IPushProducer(producer)

    def unregisterProducer(self) -> None:
        self.unregistered = True

    def write(self, data: bytes) -> None:
        assert not self.unregistered
        self.taken += data
        if len(self.taken) >= self.enough:
            assert self.producer is not None
            self.producer.pauseProducing()

    def go_on(self) -> None:
        self.enough = 1 << 62
        assert self.producer is not None
        self.producer.resumeProducing()


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100_000, len(CONTENT)])
def test_a_consumer_is_given_a_file(size: int) -> None:
    network, client = serve(MemoryStore({b"a": CONTENT[:size]}))
    taker = Taker()
    delivery = network.run(client.read("a", taker))
    assert taker.taken == CONTENT[:size]
    assert taker.unregistered
    assert delivery.blake3 == blake3(CONTENT[:size]).hexdigest()
    assert (delivery.path, delivery.size, delivery.sent) == ("a", size, size)


def test_a_consumer_that_has_enough_is_waited_for() -> None:
    """As long as it likes; the server is told, and what has come meanwhile is bounded."""
    network, client = serve(MemoryStore({b"a": CONTENT}))
    taker = Taker(enough=100_000)
    call = client.read("a", taker)
    network.settle()
    first = len(taker.taken)
    assert 100_000 <= first < HIGH_WATER
    network.advance(50)
    assert len(taker.taken) == first
    assert not call.called
    taker.go_on()
    assert network.run(call).status == "done"
    assert taker.taken == CONTENT


def test_a_consumer_that_stops() -> None:
    network, client = serve(MemoryStore({b"a": CONTENT}))
    taker = Taker(enough=1)
    outcome = failure_of(client.read("a", taker))
    network.settle()
    assert taker.producer is not None
    taker.producer.stopProducing()
    network.settle()
    assert [type(each) for each in outcome] == [Cancelled]
    assert taker.unregistered
    assert network.run(client.read("a", Taker())).size == len(CONTENT)


def test_reading_is_cancelled_while_the_consumer_has_enough() -> None:
    network, client = serve(MemoryStore({b"a": CONTENT}))
    taker = Taker(enough=1)
    call = client.read("a", taker)
    outcome = failure_of(call)
    network.settle()
    call.cancel()
    network.settle()
    assert [type(each) for each in outcome] == [CancelledError]
    assert taker.unregistered
    assert network.run(client.read("a", Taker())).size == len(CONTENT)


def test_a_consumer_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Taker):
        def write(self, data: bytes) -> None:
            raise RuntimeError("broken")

    network, client = serve(MemoryStore({b"a": CONTENT}))
    outcome = failure_of(client.read("a", Broken()))
    network.settle()
    assert [type(each) for each in outcome] == [StorageFailed]
    assert network.run(client.read("a", Taker())).size == len(CONTENT)


def test_what_may_block_is_called_in_threads() -> None:
    class Output:
        taken = b""

        def write(self, pieces: Sequence[bytes | memoryview]) -> None:
            self.taken += b"".join(pieces)

    network, client = serve(MemoryStore({b"a": CONTENT}))
    output = Output()
    assert network.run(client.read("a", output)).size == len(CONTENT)
    assert output.taken == CONTENT


def test_what_was_damaged_is_an_error_at_the_end() -> None:
    network, client, peer = scripted()
    taker = Taker()
    outcome = failure_of(client.read("a", taker))
    network.settle()
    peer.say(Offer(1, FILE))
    network.settle()
    peer.data(b"hellO")
    peer.say(Done(1, blake3(b"hello").digest(), 5))
    network.settle()
    assert taker.taken == b"hellO"
    assert [type(each) for each in outcome] == [Corrupt]
    assert "don't use what has been passed on" in str(outcome[0])


def test_what_is_not_there() -> None:
    network, client = serve(MemoryStore())
    taker = Taker()
    with pytest.raises(NotFound):
        network.run(client.read("a", taker))
    assert taker.producer is None


async def gathered(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("size", [0, 1, len(CONTENT)])
def test_chunks(size: int) -> None:
    network, client = serve(MemoryStore({b"a": CONTENT[:size]}))
    assert network.run(ensureDeferred(gathered(client.chunks("a")))) == CONTENT[:size]


def test_no_more_chunks_come_than_are_taken() -> None:
    store = MemoryStore({b"a": CONTENT})
    network, client = serve(store)
    chunks = client.chunks("a")
    first = network.run(ensureDeferred(anext(chunks)))
    network.advance(50)
    assert 0 < len(first) < HIGH_WATER
    network.run(ensureDeferred(chunks.close()))
    with pytest.raises(StopAsyncIteration):
        network.run(ensureDeferred(anext(chunks)))
    assert network.run(client.read("a", Taker())).size == len(CONTENT)


def test_chunks_of_what_is_not_there() -> None:
    network, client = serve(MemoryStore())
    with pytest.raises(NotFound):
        network.run(ensureDeferred(gathered(client.chunks("a"))))


# -- writing -------------------------------------------------------------------------------------


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    yield b""
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


@pytest.mark.parametrize(("size", "piece"), [(0, 1), (1, 1), (3000, 7), (len(CONTENT), 3_000_000)])
def test_an_iterator_is_written(size: int, piece: int) -> None:
    store = MemoryStore()
    network, client = serve(store)
    seen: list[int] = []
    delivery: Delivery = network.run(
        client.write(
            "a",
            pieces(CONTENT[:size], piece),
            lambda now: seen.append(now.position),
            mtime=7,
            mode=0o600,
        )
    )
    assert store.files[b"a"].content == CONTENT[:size]
    assert (store.files[b"a"].mtime, store.files[b"a"].mode) == (7, 0o600)
    assert delivery.blake3 == blake3(CONTENT[:size]).hexdigest()
    assert (delivery.path, delivery.size, delivery.sent) == ("a", size, size)
    assert seen == sorted(seen)
    assert seen[-1] == size


def test_a_limit_on_the_rate_holds() -> None:
    """Evenly, and not a large piece at a time."""
    store, network = MemoryStore(), MemoryNetwork()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    connecting = connect(network.endpoint(factory), runtime=network.runtime, limit_rate=10_000)
    seen: list[tuple[float, int]] = []
    call = network.run(connecting).write(
        "a",
        pieces(CONTENT[:100_000], 100_000),
        lambda now: seen.append((network.clock.seconds(), now.sent)),
    )
    for _ in range(120):
        network.advance(0.1)
    assert network.run(call).size == 100_000
    assert len(seen) > 50
    assert 9 <= seen[-1][0] - seen[0][0] <= 11


def test_an_iterator_that_fails_leaves_nothing() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield CONTENT
        raise AlreadyExists("of its own")

    store = MemoryStore({b"a": b"before"})
    network, client = serve(store)
    with pytest.raises(AlreadyExists, match="of its own"):
        network.run(client.write("a", failing()))
    network.settle()
    assert store.files[b"a"].content == b"before"
    assert not store.partials
    assert not store.receiving


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_an_iterator_that_nobody_wants_any_more(how: str) -> None:
    ended: list[str] = []

    async def waiting() -> AsyncIterator[bytes]:
        try:
            yield CONTENT
            await Deferred()
        finally:
            ended.append("ended")

    store = MemoryStore()
    network, client = serve(store)
    call = client.write("a", waiting())
    outcome = failure_of(call)
    network.settle()
    assert not outcome
    if how == "cancelled":
        call.cancel()
    else:
        client.close()
    network.settle()
    assert len(outcome) == 1
    assert ended == ["ended"]
    assert not store.files
    assert not store.partials
    assert not store.receiving


def test_a_stream_may_pause() -> None:
    """For an hour: longer than any patience for silence, and than a body of known size may."""
    more: Deferred[None] = Deferred()

    async def pausing() -> AsyncIterator[bytes]:
        yield b"hel"
        await more
        yield b"lo"

    store = MemoryStore()
    network, client = serve(store)
    call = client.write("a", pausing())
    for _ in range(350):
        network.advance(10)
    assert not call.called
    more.callback(None)
    assert network.run(call).size == 5
    assert store.files[b"a"].content == b"hello"


def test_a_stream_may_not_pause_for_ever() -> None:
    async def pausing() -> AsyncIterator[bytes]:
        yield b"hel"
        await Deferred()

    store = MemoryStore()
    network, client = serve(store)
    outcome = failure_of(client.write("a", pausing()))
    for _ in range(730):
        network.advance(10)
    assert "0 bytes of a file in 3600 seconds; run again" in str(outcome[0])
    assert not store.receiving


def test_a_silent_sender_of_a_stream_is_given_up() -> None:
    """As any: without Working it is dead."""
    network = MemoryNetwork()
    store = MemoryStore()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    peer.say(Offer(1, Attributes(b"a", None, 0, 0o644, b"")))
    for _ in range(10):
        network.advance(30)
        peer.say(Working())
    assert peer.lost is None
    network.advance(65)
    assert isinstance(peer.messages[-1], Refuse)
    assert not store.receiving


def test_another_upload_does_not_take_a_stream_over() -> None:
    """Though it pauses: nothing of it could be carried on."""

    async def pausing() -> AsyncIterator[bytes]:
        yield b"hel"
        await Deferred()

    store = MemoryStore()
    network = MemoryNetwork()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    outcome = failure_of(network.client(factory).write("a", pausing()))
    network.advance(5)
    with pytest.raises(Busy):
        network.run(network.client(factory).write("a", pieces(b"other", 5)))
    assert not outcome


def test_a_pull_producer_is_asked() -> None:
    store = MemoryStore()
    network, client = serve(store)
    writer = client.writer("a")
    sent = FileSender().beginFileTransfer(BytesIO(CONTENT), writer)
    network.settle()
    assert sent.called
    assert not store.files
    assert network.run(writer.finish()).size == len(CONTENT)
    assert store.files[b"a"].content == CONTENT


@implementer(IPushProducer)
class Pushing:
    """A producer that writes without being asked, and stops when it is told to."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def test_a_push_producer_is_paused() -> None:
    store = MemoryStore()
    network, client = serve(store)
    writer, producer = client.writer("a"), Pushing()
    writer.registerProducer(producer, True)
    for begin in range(0, 2 * WRITTEN, 1000):
        writer.write(CONTENT[begin : begin + 1000])
        if producer.told:
            break
    assert producer.told == ["pause"]
    network.settle()
    assert producer.told == ["pause", "resume"]
    writer.unregisterProducer()
    writer.write(b"end")
    assert network.run(writer.finish()).size == begin + 1000 + 3


def test_a_producer_is_stopped_where_the_transfer_fails() -> None:
    network, client = serve(MemoryStore({b"a": b"before"}), overwrite=False)
    writer, producer = client.writer("a"), Pushing()
    writer.registerProducer(producer, True)
    network.settle()
    assert producer.told == ["stop"]
    writer.write(b"goes nowhere")
    with pytest.raises(AlreadyExists):
        network.run(writer.finish())


def test_what_is_abandoned_leaves_nothing() -> None:
    store = MemoryStore()
    network, client = serve(store)
    writer = client.writer("a")
    writer.write(CONTENT)
    network.settle()
    writer.abandon()
    network.settle()
    assert not store.files
    assert not store.partials
    assert not store.receiving


def test_a_server_of_an_earlier_version_is_offered_none() -> None:
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    connecting = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome()
    client = network.run(connecting)
    with pytest.raises(Unsupported, match=r"a: its size isn't known .* of an older version"):
        network.run(client.write("a", pieces(b"hello", 5)))
