"""Stores that can't: the peer hears why, nothing broken is left, and the connection goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, capturedLogs

from tests.kit.staging import WatchedStore, code_of, content_of, failure_of, watched
from twisted_ft import Delivery, FileTransferFactory, MemoryStore
from twisted_ft.errors import NoSpace, SourceChanged, StorageFailed
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.bodies.inflow import HIGH_WATER
from twisted_ft.transfer.bodies.outflow import PIECE

CONTENT = content_of(2 * HIGH_WATER)


@pytest.fixture
def log() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as events:
        yield events


class Pair:
    """A server and a client, of which one has a store that fails."""

    def __init__(self, direction: str, failing: str) -> None:
        self.network = MemoryNetwork()
        self.origin, self.target = MemoryStore({b"a": CONTENT}), MemoryStore({b"b": b"old"})
        watched_one = self.origin if (direction == "get") == (failing == "server") else self.target
        self.store = WatchedStore(watched_one)
        served = self.origin if direction == "get" else self.target
        factory = FileTransferFactory(
            self.store if failing == "server" else served,
            writable=True,
            runtime=self.network.runtime,
        )
        self.client = self.network.client(factory)
        local = self.target if direction == "get" else self.origin
        self.local = self.store if failing == "client" else local
        self.direction = direction

    def move(self) -> Deferred[Delivery]:
        if self.direction == "get":
            return self.client.fetch("a", self.local, "b")
        return self.client.send(self.local, "a", "b")

    def check_goes_on(self) -> None:
        """Nothing is under the name, nothing is open; the same transfer is done when it can be."""
        assert self.target.files[b"b"].content == b"old"
        assert not self.target.receiving
        self.store.faults.clear()
        assert self.network.run(self.move()).status == "done"
        assert self.target.files[b"b"].content == CONTENT
        assert not self.client.closed


SINK_STEPS = ["sink", "write", "publish"]


@pytest.mark.parametrize("step", SINK_STEPS)
@pytest.mark.parametrize("direction", ["get", "put"])
def test_the_receivers_disk_is_full(direction: str, step: str) -> None:
    pair = Pair(direction, "client" if direction == "get" else "server")
    pair.store.faults[step] = NoSpace("b: no space is left")
    outcome = failure_of(pair.move())
    pair.network.settle()
    assert [code_of(each) for each in outcome] == ["no-space"]
    assert outcome[0].reason.startswith("no space is left")
    pair.check_goes_on()


@pytest.mark.parametrize("direction", ["get", "put"])
def test_the_disk_is_full_in_the_middle(direction: str) -> None:
    pair = Pair(direction, "client" if direction == "get" else "server")
    pair.store.faults["write"] = NoSpace("b: no space is left")
    pair.store.after = 1
    outcome = failure_of(pair.move())
    pair.network.settle()
    assert [code_of(each) for each in outcome] == ["no-space"]
    pair.check_goes_on()


@pytest.mark.parametrize("step", ["source", "read", "check"])
@pytest.mark.parametrize("direction", ["get", "put"])
def test_the_source_cant_be_read(direction: str, step: str) -> None:
    pair = Pair(direction, "server" if direction == "get" else "client")
    pair.store.faults[step] = StorageFailed("a: input/output error")
    outcome = failure_of(pair.move())
    pair.network.settle()
    assert [code_of(each) for each in outcome] == ["storage"]
    pair.check_goes_on()


@pytest.mark.parametrize("direction", ["get", "put"])
def test_the_source_fails_in_the_middle(direction: str) -> None:
    pair = Pair(direction, "server" if direction == "get" else "client")
    pair.store.faults["read"] = StorageFailed("a: input/output error")
    pair.store.after = 2
    outcome = failure_of(pair.move())
    pair.network.settle()
    assert [code_of(each) for each in outcome] == ["storage"]
    pair.check_goes_on()


@pytest.mark.parametrize("direction", ["get", "put"])
def test_the_source_changes_while_it_is_sent(direction: str) -> None:
    pair = Pair(direction, "server" if direction == "get" else "client")
    pair.store.faults["check"] = SourceChanged("a: the file changed")
    outcome = failure_of(pair.move())
    pair.network.settle()
    assert [code_of(each) for each in outcome] == ["changed"]
    pair.check_goes_on()


@pytest.mark.parametrize("direction", ["get", "put"])
def test_the_source_becomes_shorter(direction: str) -> None:
    pair = Pair(direction, "server" if direction == "get" else "client")
    outcome = failure_of(pair.move())
    while pair.store.read < PIECE:
        assert pair.network.step()
    source = pair.origin.files[b"a"]
    object.__setattr__(source, "content", CONTENT[: PIECE + 5])
    pair.network.settle()
    assert [code_of(each) for each in outcome] == ["changed"]
    object.__setattr__(source, "content", CONTENT)
    pair.check_goes_on()


@pytest.mark.parametrize("step", [*SINK_STEPS, "keep"])
@pytest.mark.parametrize("failing", ["server", "client"])
def test_a_receiving_store_that_fails_in_an_unforeseen_way(
    failing: str, step: str, log: Sequence[LogEvent]
) -> None:
    check_unforeseen("put" if failing == "server" else "get", failing, step, log)


@pytest.mark.parametrize("step", ["source", "read", "check"])
@pytest.mark.parametrize("failing", ["server", "client"])
def test_a_sending_store_that_fails_in_an_unforeseen_way(
    failing: str, step: str, log: Sequence[LogEvent]
) -> None:
    check_unforeseen("get" if failing == "server" else "put", failing, step, log)


def check_unforeseen(direction: str, failing: str, step: str, log: Sequence[LogEvent]) -> None:
    pair = Pair(direction, failing)
    if step == "keep":
        pair.store.faults["write"] = NoSpace("b: no space is left")
    pair.store.faults[step] = RuntimeError("a bug")
    outcome = failure_of(pair.move())
    pair.network.settle()
    assert [code_of(each) for each in outcome] == ["no-space" if step == "keep" else "storage"]
    logged = [event for event in log if "log_failure" in event]
    assert logged
    assert all(event["log_failure"].check(RuntimeError) for event in logged)
    assert "in step" in logged[0]["log_failure"].getTraceback()
    if step != "keep":
        pair.check_goes_on()


def test_a_source_that_cant_be_closed(log: Sequence[LogEvent]) -> None:
    pair = Pair("get", "server")
    pair.store.faults["close"] = RuntimeError("a bug")
    assert pair.network.run(pair.move()).status == "done"
    logged = [event for event in log if "log_failure" in event]
    assert [event["log_failure"].type for event in logged] == [RuntimeError]


@pytest.mark.parametrize("step", ["entries", "entry"])
def test_a_listing_that_fails(step: str, log: Sequence[LogEvent]) -> None:
    store = WatchedStore(MemoryStore({b"a": b"1", b"b": b"2"}))
    network, client = watched(store)
    store.faults[step] = NoSpace("no space")
    outcome = failure_of(client.list())
    network.settle()
    assert [code_of(each) for each in outcome] == ["no-space"]
    store.faults[step] = RuntimeError("a bug")
    outcome = failure_of(client.list())
    network.settle()
    assert [code_of(each) for each in outcome] == ["storage"]
    assert [event["log_failure"].type for event in log if "log_failure" in event] == [RuntimeError]
    store.faults.clear()
    assert len(network.run(client.list())) == 2
