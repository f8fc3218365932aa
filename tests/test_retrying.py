"""What is tried again, until it is done: on a network in memory, whose clock stands still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from tests.kit.staging import content_of
from twisted_ft import (
    Delivery,
    FileTransferError,
    FileTransferFactory,
    MemoryFile,
    MemoryStore,
    PersistentClient,
)
from twisted_ft.errors import Busy, ConnectionFailed, NotFound, Unreachable
from twisted_ft.retrying import growing
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.bodies.tracker import TransferProgress
from twisted_ft.trees import persisting

CONTENT = content_of(3_000_000)
Told = list[tuple[str, float, int]]


@implementer(IStreamClientEndpoint)
class Road:
    """The way to a server, which may be closed.

    :ivar closed: how many more connections come to nothing
    """

    def __init__(self, network: MemoryNetwork, factory: FileTransferFactory) -> None:
        self._open = network.endpoint(factory)
        self.closed = 0
        self.tries = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""
        self.tries += 1
        if self.closed:
            self.closed -= 1
            return fail(Unreachable("nobody is there"))
        return self._open.connect(protocolFactory)


class Journey:
    """A client that goes on, a server, and the road between them."""

    def __init__(self, store: MemoryStore, closed: int = 0, **options: Any) -> None:
        self.network = MemoryNetwork()
        self.store = store
        factory = FileTransferFactory(store, runtime=self.network.runtime, writable=True)
        self.road = Road(self.network, factory)
        self.road.closed = closed
        self.told: Told = []
        self.client = PersistentClient(
            self.road,
            runtime=self.network.runtime,
            on_retry=lambda error, pause, times: self.told.append((error.code, pause, times)),
            **options,
        )
        self.client.startService()

    @property
    def tellings(self) -> list[tuple[float, int]]:
        return [(pause, times) for _, pause, times in self.told]

    def cut_when(self, times: int = 1) -> Callable[[TransferProgress], None]:
        """Cuts the connection amid a file, so many times."""
        left = [times]

        def progress(moved: TransferProgress) -> None:
            if left[0] and moved.sent > 0:
                left[0] -= 1
                self.network.clock.callLater(0, self.network.cut)

        return progress


def test_the_pauses() -> None:
    assert [growing(times) for times in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert growing(10_000) == 30


def test_a_file_arrives_however_often_the_connection_is_lost(tmp_path: Path) -> None:
    """Each time some of it had come, so the count begins anew."""
    journey = Journey(MemoryStore({b"a": CONTENT}), tries=1)
    outcome = journey.client.get("a", tmp_path / "a", journey.cut_when(3))
    delivery = journey.network.run(outcome, seconds=60)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert journey.tellings == [(1, 1)] * 3
    assert delivery.status == "done"
    assert delivery.resumed_from == 0
    assert delivery.sent >= len(CONTENT)
    assert journey.road.tries == 4


def test_a_file_is_put_and_carried_on(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    journey = Journey(MemoryStore())
    journey.network.run(journey.client.put(tmp_path / "a", "b", journey.cut_when()), seconds=60)
    assert journey.network.run(journey.client.call(lambda client: client.list()))[0].path == b"b"
    assert journey.tellings == [(1, 1)]


def test_it_is_given_up_when_so_many_tries_in_a_row_have_brought_nothing() -> None:
    journey = Journey(MemoryStore({b"a": CONTENT}), closed=100, tries=3)
    outcome = journey.client.get("a", "x")
    with pytest.raises(Unreachable):
        journey.network.run(outcome, seconds=100)
    assert journey.tellings == [(1, 1), (2, 2), (4, 3)]


def test_what_is_not_worth_it_fails_at_once(tmp_path: Path) -> None:
    journey = Journey(MemoryStore())
    with pytest.raises(NotFound):
        journey.network.run(journey.client.get("none", tmp_path / "a"))
    assert journey.told == []


def test_a_server_that_comes_late_is_waited_for() -> None:
    journey = Journey(MemoryStore({b"a": b""}), closed=3)
    (entry,) = journey.network.run(journey.client.call(lambda client: client.list()), seconds=60)
    assert entry.path == b"a"


def test_a_call_that_is_cancelled_while_it_waits() -> None:
    journey = Journey(MemoryStore(), closed=100)
    outcome = journey.client.get("a", "x")
    journey.network.advance(2.5)
    outcome.cancel()
    with pytest.raises(CancelledError):
        journey.network.run(outcome)


def test_a_service_that_is_stopped_and_holds_nothing() -> None:
    journey = Journey(MemoryStore({b"a": b""}))
    journey.network.run(journey.client.call(lambda client: client.list()))
    stopped = journey.client.stopService()
    assert stopped is not None
    journey.network.run(stopped)
    journey.network.advance(60)
    assert journey.network.transports == []
    assert journey.network.clock.getDelayedCalls() == []
    with pytest.raises(CancelledError):
        journey.network.run(journey.client.get("a", "x"))


def test_a_file_that_another_transfer_is_at_is_waited_for() -> None:
    store = MemoryStore()
    journey = Journey(store)
    journey.network.run(journey.client.call(lambda client: client.list()))
    other = journey.client.call(lambda client: client.send(MemoryStore({b"a": CONTENT}), "a", "a"))
    outcome = journey.client.call(
        lambda client: client.send(MemoryStore({b"a": CONTENT[:9]}), "a", "a")
    )
    journey.network.run(outcome, seconds=60)
    journey.network.run(other)
    assert ("busy", 1, 1) in journey.told


# -- trees -----------------------------------------------------------------------------------


def grow(place: Path, folders: int = 4, files: int = 40) -> list[str]:
    names = []
    for folder in range(folders):
        (place / f"d{folder}").mkdir(parents=True)
        for file in range(files):
            path = place / f"d{folder}" / f"f{file}"
            path.write_bytes(content_of(9_000))
            names.append(f"d{folder}/f{file}")
    return names


async def results_of(tree: Any, after: Callable[[Delivery], None]) -> list[Delivery]:
    results = []
    async for each in tree:
        results.append(each)
        after(each)
    return results


@pytest.mark.parametrize("cuts", [(), (1,), (5, 60), (159,)])
def test_each_file_of_a_tree_is_told_once(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    names = grow(tmp_path / "t")
    journey = Journey(MemoryStore(), tries=2)
    count = [0]

    def after(_: Delivery) -> None:
        count[0] += 1
        if count[0] in cuts:
            journey.network.cut()

    tree = journey.client.put_tree(tmp_path / "t", "up")
    outcome = ensureDeferred(results_of(tree, after))
    results = journey.network.run(outcome, seconds=100)
    assert sorted(each.path for each in results) == sorted(f"up/{name}" for name in names)
    assert {each.status for each in results} <= {"done", "skipped"}
    assert len(journey.told) <= len(cuts)
    entries = journey.network.run(journey.client.call(lambda client: client.list("up/d0")))
    assert len(entries) == 40


def test_what_was_told_is_remembered_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may name files without end; of those beyond the bound some are told again."""
    monkeypatch.setattr(persisting, "MOST_TOLD", 10)
    names = grow(tmp_path / "t")
    journey = Journey(MemoryStore(), tries=2)
    count = [0]

    def after(_: Delivery) -> None:
        count[0] += 1
        if count[0] == len(names):
            journey.network.cut()

    tree = journey.client.put_tree(tmp_path / "t", "up")
    results = journey.network.run(ensureDeferred(results_of(tree, after)), seconds=100)
    assert {each.path for each in results} == {f"up/{name}" for name in names}
    assert len(results) > len(names)


def test_a_tree_that_comes_down_is_told_once_too(tmp_path: Path) -> None:
    files: dict[bytes, MemoryFile | bytes] = {
        f"t/d{n % 3}/f{n}".encode(): content_of(9_000) for n in range(90)
    }
    journey = Journey(MemoryStore(files))

    def after(each: Delivery) -> None:
        if each.path.endswith(("f5", "f50")):
            journey.network.cut()

    tree = journey.client.get_tree("t", tmp_path / "t")
    outcome = ensureDeferred(results_of(tree, after))
    results = journey.network.run(outcome, seconds=100)
    assert len(results) == len({each.path for each in results}) == 90
    again = journey.client.get_tree("t", tmp_path / "t")
    results = journey.network.run(ensureDeferred(results_of(again, lambda _: None)), seconds=9)
    assert {each.status for each in results} == {"skipped"}
    assert len(results) == 90


def test_a_tree_that_can_not_be_had_fails_with_its_reason(tmp_path: Path) -> None:
    journey = Journey(MemoryStore({b"a": b""}))
    outcome = ensureDeferred(results_of(journey.client.get_tree("none", tmp_path), lambda _: None))
    with pytest.raises(NotFound):
        journey.network.run(outcome)
    assert journey.told == []


def test_errors_are_those_of_the_last_try() -> None:
    journey = Journey(MemoryStore({b"a": CONTENT}), tries=1)
    outcome = journey.client.get("a", "never")
    journey.road.closed = 100
    journey.network.cut()
    with pytest.raises(FileTransferError) as caught:
        journey.network.run(outcome, seconds=60)
    assert isinstance(caught.value, (Unreachable, ConnectionFailed))
    assert not isinstance(caught.value, Busy)


def test_how_a_file_is_compared_is_asked_of_each_try(tmp_path: Path) -> None:
    journey = Journey(MemoryStore({b"a": MemoryFile(b"hello", 5)}))
    (tmp_path / "a").write_bytes(b"hello")
    got = journey.network.run(journey.client.get("a", tmp_path / "a", checksum=True))
    assert got.status == "skipped"
    got = journey.network.run(journey.client.get("a", tmp_path / "a", force=True))
    assert got.status == "done"
