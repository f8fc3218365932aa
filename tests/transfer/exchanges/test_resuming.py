"""Connections that are cut at any point, any number of times; and what was kept of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.staging import WatchedStore, content_of, failure_of, watched
from twisted_ft import (
    Attributes,
    Client,
    Delivery,
    FileTransferFactory,
    LocalStore,
    MemoryStore,
    Store,
    connect,
)
from twisted_ft.errors import Busy, ConnectionFailed
from twisted_ft.stores.conformance.samples import content_in, described, names_in, put
from twisted_ft.testing import MemoryNetwork, MemoryTransport
from twisted_ft.transfer.bodies.outflow import PIECE
from twisted_ft.transfer.bodies.tracker import TransferProgress

CONTENT = content_of(3 * PIECE + 12345)
UNDER_WAY = 2 * PIECE + 2 * MemoryTransport.bufferSize
"""Bytes that a sender may have sent, and a receiver not have seen."""


def begin(client: Client, store: Store, direction: str, moved: list[int]) -> Any:
    def watch(now: TransferProgress) -> None:
        moved[-1] = now.sent

    if direction == "get":
        return client.fetch("a", store, "b", watch)
    return client.send(store, "a", "b", watch)


@given(direction=st.sampled_from(["get", "put"]), cuts=st.lists(st.integers(0, 120), max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_file_gets_there_however_often_it_is_cut(direction: str, cuts: list[int]) -> None:
    check_cuts(direction, cuts, MemoryStore({b"a": CONTENT}), MemoryStore())


@pytest.mark.parametrize("direction", ["get", "put"])
def test_a_file_gets_into_a_folder_however_often_it_is_cut(direction: str, tmp_path: Path) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "target").mkdir()
    origin = LocalStore(tmp_path / "origin")
    put(origin, described(b"a", CONTENT), CONTENT)
    check_cuts(direction, [10, 60, 1, 40, 110], origin, LocalStore(tmp_path / "target"))
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["b"]


def check_cuts(direction: str, cuts: list[int], origin: Store, target: Store) -> None:
    network = MemoryNetwork()
    served, local = (origin, target) if direction == "get" else (target, origin)
    factory = FileTransferFactory(served, writable=True, runtime=network.runtime)
    moved = []
    for steps in cuts:
        client = network.client(factory)
        moved.append(0)
        outcome = failure_of(begin(client, local, direction, moved))
        for _ in range(steps):
            network.step()
        network.cut()
        network.settle()
        assert isinstance(outcome[0], (ConnectionFailed, Delivery))
        if isinstance(outcome[0], ConnectionFailed):
            assert outcome[0].code == "connection"
        assert content_in(target, b"b") == CONTENT if names_in(target) else True
    moved.append(0)
    last = network.run(begin(network.client(factory), local, direction, moved))
    assert content_in(target, b"b") == CONTENT
    assert last.sent == (0 if last.status == "skipped" else len(CONTENT) - last.resumed_from)
    assert sum(moved) <= len(CONTENT) + len(cuts) * UNDER_WAY


@pytest.mark.parametrize("direction", ["get", "put"])
def test_only_what_is_missing_is_sent(direction: str) -> None:
    origin, target = MemoryStore({b"a": CONTENT}), MemoryStore()
    keep(target, origin, CONTENT[:PIECE])
    last = carry_on(direction, origin, target)
    assert (last.resumed_from, last.sent) == (PIECE, len(CONTENT) - PIECE)


@pytest.mark.parametrize("direction", ["get", "put"])
def test_everything_was_kept_already(direction: str) -> None:
    origin, target = MemoryStore({b"a": CONTENT}), MemoryStore()
    keep(target, origin, CONTENT)
    last = carry_on(direction, origin, target)
    assert (last.resumed_from, last.sent) == (len(CONTENT), 0)


@pytest.mark.parametrize("direction", ["get", "put"])
def test_what_was_kept_of_another_version_is_dropped(direction: str) -> None:
    origin, target = MemoryStore({b"a": CONTENT}), MemoryStore()
    keep(target, origin, CONTENT[:PIECE])
    origin = MemoryStore({b"a": CONTENT[::-1]})
    last = carry_on(direction, origin, target)
    assert (last.resumed_from, last.sent) == (0, len(CONTENT))
    assert target.files[b"b"].content == CONTENT[::-1]


@pytest.mark.parametrize("direction", ["get", "put"])
def test_what_was_kept_and_damaged_starts_over_in_the_same_call(direction: str) -> None:
    origin, target = MemoryStore({b"a": CONTENT}), MemoryStore()
    keep(target, origin, b"?" * PIECE)
    last = carry_on(direction, origin, target)
    assert (last.status, last.resumed_from) == ("done", 0)
    assert last.sent == 2 * len(CONTENT) - PIECE
    assert last.blake3 == blake3(CONTENT).hexdigest()


def test_a_source_that_changes_between_the_attempts() -> None:
    """The second attempt has another size: it is told, and right."""
    store = WatchedStore(MemoryStore({b"a": CONTENT}))
    network, client = watched(store)
    target = MemoryStore()
    keep(target, store.inner, b"?" * PIECE)
    outcome = failure_of(client.fetch("a", target, "b"))
    while "check" not in store.calls:
        assert network.step()
    store.inner = MemoryStore({b"a": b"new"})
    network.settle()
    assert (outcome[0].size, outcome[0].sent) == (3, len(CONTENT) - PIECE + 3)
    assert target.files[b"b"].content == b"new"


def keep(target: Store, origin: Store, content: bytes) -> None:
    """What an earlier run has left at the target, as ``b``."""
    of = origin.source(b"a").attributes
    sink = target.sink(type(of)(b"b", of.size, of.mtime, of.mode, of.version), True)
    sink.write([content])
    sink.keep()


def carry_on(direction: str, origin: Store, target: MemoryStore) -> Delivery:
    network = MemoryNetwork()
    served, local = (origin, target) if direction == "get" else (target, origin)
    factory = FileTransferFactory(served, writable=True, runtime=network.runtime)
    last: Delivery = network.run(begin(network.client(factory), local, direction, [0]))
    assert list(target.files) == [b"b"]
    assert not target.partials
    return last


def test_a_connection_that_ends_while_what_is_kept_of_two_is_hashed() -> None:
    """Bodies go one after another; the second must not wait for a turn that never comes."""
    network = MemoryNetwork()
    target, origin = MemoryStore(), MemoryStore({b"a": CONTENT, b"c": CONTENT})
    for name in (b"a", b"c"):
        sink = target.sink(origin.source(name).attributes, True)
        sink.write([CONTENT[:1000]])
        sink.keep()
    threads = network.threads()
    factory = FileTransferFactory(target, writable=True, runtime=network.runtime)
    client = network.client(factory, runtime=threads.runtime)
    outcomes = [failure_of(client.send(origin, name, name)) for name in ("a", "c")]
    while threads.waiting < 2:  # both sources are opened, one after the other
        assert network.step()
    for _ in range(2):
        threads.step()
    threads.held = True
    network.settle()
    assert threads.waiting == 2  # both are accepted, and are to be hashed
    network.cut()
    threads.held = False
    network.settle()
    assert [type(each) for outcome in outcomes for each in outcome] == [ConnectionFailed] * 2


def test_a_file_that_is_busy_is_asked_for_again() -> None:
    """A server may still be at what a client was sending that is dead by now."""
    network = MemoryNetwork()
    target = MemoryStore()
    factory = FileTransferFactory(target, writable=True, runtime=network.runtime)
    told: list[tuple[str, int]] = []

    def when_busy(error: Busy, times: int) -> float | None:
        told.append((error.code, times))
        return 1 if times < 3 else None

    client = network.run(
        connect(network.endpoint(factory), runtime=network.runtime, when_busy=when_busy)
    )
    held = target.sink(Attributes(b"a", 5, 0, 0o644, b"v1"), True)
    again = client.send(MemoryStore({b"a": b"hello"}), "a", "a")
    network.advance(1.5)
    held.discard()
    assert network.run(again, seconds=2).status == "done"
    assert told == [("busy", 0), ("busy", 1)]
    held = target.sink(Attributes(b"b", 5, 0, 0o644, b"v1"), True)
    with pytest.raises(Busy):
        network.run(client.send(MemoryStore({b"b": b"hello"}), "b", "b"), seconds=10)
    assert told[2:] == [("busy", times) for times in range(4)]
    held.discard()
