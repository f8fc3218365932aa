"""How much of a server its peers hold."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from tests.kit.staging import code_of, failure_of
from twisted_ft import FileTransferFactory, LocalStore, MemoryStore
from twisted_ft.errors import ConnectionFailed
from twisted_ft.server.budget import CONNECTION, COSTS, FREE, Budget, Cost, Holding, server_budget
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.messages import Abort, Fetch, Get, List, Offer, Parcel, Part, Refuse

SMALL = Cost(1, 0)


def held(budget: Budget, cost: Cost) -> list[object]:
    return failure_of(budget.hold(cost))


def test_who_finds_no_room_waits_in_line() -> None:
    budget = Budget(Cost(10, 2))
    first, second = held(budget, Cost(6, 1)), held(budget, Cost(6, 1))
    third = held(budget, SMALL)
    assert (len(first), second, third) == (1, [], [])
    first[0].release()  # type: ignore[attr-defined]
    assert (len(second), len(third)) == (1, 1)
    second[0].release()  # type: ignore[attr-defined]
    second[0].release()  # type: ignore[attr-defined]
    third[0].release()  # type: ignore[attr-defined]
    assert budget.held == FREE


def test_descriptors_count_as_well() -> None:
    budget = Budget(Cost(10, 1))
    assert held(budget, Cost(0, 1))
    assert not held(budget, Cost(0, 1))


def test_who_asks_for_more_than_there_is_has_it_alone() -> None:
    budget = Budget(Cost(10, 1))
    one = held(budget, SMALL)
    huge = held(budget, Cost(100, 100))
    assert huge == []
    one[0].release()  # type: ignore[attr-defined]
    assert len(huge) == 1
    assert held(budget, SMALL) == []


def test_connections_have_their_turns() -> None:
    """One that asks for a hundred things doesn't have the other wait for all of them."""
    server = Budget(Cost(1, 1))
    greedy, honest = Budget(Cost(9, 9), server), Budget(Cost(9, 9), server)
    order: list[str] = []
    now = held(greedy, SMALL)

    def has_its_turn(holding: Holding, who: str) -> None:
        order.append(who)
        holding.release()

    for _ in range(5):
        greedy.hold(SMALL).addCallback(has_its_turn, "greedy")
    honest.hold(SMALL).addCallback(has_its_turn, "honest")
    now[0].release()  # type: ignore[attr-defined]
    assert order.index("honest") < 2
    assert len(order) == 6
    assert server.held == FREE


def test_very_many_who_wait_and_give_back_at_once() -> None:
    server = Budget(Cost(1, 1))
    budget = Budget(CONNECTION, server)
    now = held(budget, SMALL)
    done: list[int] = []

    def give_back(holding: Holding, number: int) -> None:
        done.append(number)
        holding.release()

    for number in range(5000):
        budget.hold(SMALL).addCallback(give_back, number)
    now[0].release()  # type: ignore[attr-defined]
    assert done == [*range(5000)]
    assert server.held == FREE


def test_who_leaves_waits_no_more() -> None:
    server = Budget(Cost(1, 1))
    gone, other = Budget(CONNECTION, server), Budget(CONNECTION, server)
    now = held(other, SMALL)
    waiting, called_off = held(gone, SMALL), gone.hold(SMALL)
    called_off.cancel()
    assert isinstance(failure_of(called_off)[0], CancelledError)
    gone.close(ConnectionFailed("lost"))
    assert [code_of(each) for each in waiting] == ["connection"]
    assert [code_of(each) for each in held(gone, SMALL)] == ["connection"]
    now[0].release()  # type: ignore[attr-defined]
    assert server.held == FREE


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.booleans()), max_size=40))
def test_never_more_than_there_is_and_all_of_it_comes_back(
    steps: list[tuple[int, int, bool]],
) -> None:
    server = Budget(Cost(20, 20))
    children = [Budget(Cost(10, 10), server) for _ in range(3)]
    given_out: list[object] = []
    for who, size, releases in steps:
        children[who].hold(Cost(size, 1)).addCallback(given_out.append)
        if releases and given_out:
            given_out.pop(0).release()  # type: ignore[attr-defined]
        assert server.held.bytes <= 20 or len(given_out) == 1
        assert all(child.held.bytes <= 12 for child in children)
    while given_out:
        given_out.pop().release()  # type: ignore[attr-defined]
    assert server.held == FREE


def test_a_server_has_no_more_descriptors_than_its_process() -> None:
    assert CONNECTION.descriptors <= server_budget().descriptors


# -- peers who read nothing ------------------------------------------------------------------


def crowd(root: Path, count: int) -> tuple[MemoryNetwork, list[ScriptedPeer]]:
    network = MemoryNetwork()
    factory = FileTransferFactory(LocalStore(root), runtime=network.runtime)
    peers = []
    for _ in range(count):
        peers.append(network.scripted_client(factory))
        peers[-1].hello()
    network.settle()
    return network, peers


def test_requests_of_peers_who_read_nothing_hold_few_descriptors(tmp_path: Path) -> None:
    """And give them back when they end; not when garbage is collected."""
    for number in range(64):
        (tmp_path / f"{number}").write_bytes(bytes(1 << 17))
    before = len(os.listdir("/proc/self/fd"))
    network, peers = crowd(tmp_path, 2)
    gc.disable()
    try:
        for peer in peers:
            peer.pause_reading()
            for n in range(1, 128, 8):
                peer.say(Get(n, b"%d" % (n // 2)), List(n + 2, b"", True))
                peer.say(Fetch(n + 4, b"", 1 << 20, False, False, False), Get(n + 6, b"nothing"))
        network.settle()
        most = len(peers) * CONNECTION.descriptors
        assert len(os.listdir("/proc/self/fd")) - before <= most
        for peer in peers:
            peer.abort()
        network.settle()
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_what_isnt_begun_is_worked_on_and_can_be_called_off(tmp_path: Path) -> None:
    network, (peer,) = crowd(tmp_path, 1)
    (tmp_path / "f").mkdir()
    (tmp_path / "f/large").write_bytes(bytes(100))
    cost = COSTS[Fetch]
    most = min(CONNECTION.bytes // cost.bytes, CONNECTION.descriptors // cost.descriptors)
    fetches = [Fetch(2 * n + 1, b"f", 0, False, False, False) for n in range(most + 1)]
    peer.say(*fetches)
    network.settle()
    parcels = [each for each in peer.messages if isinstance(each, Parcel)]
    assert len(parcels) == most
    peer.say(Refuse(fetches[-1].exchange, "cancelled", "no more of it is wanted"))
    peer.say(Refuse(fetches[0].exchange, "cancelled", "no more of it is wanted"))
    network.settle()
    assert peer.lost is None
    peer.say(Fetch(1001, b"f", 0, False, False, False))
    network.settle()
    assert len([each for each in peer.messages if isinstance(each, Parcel)]) == most + 1


def test_as_many_uploads_and_parcels_as_a_client_has_at_once_wait_for_nothing() -> None:
    """What has to be read before there is room is read on."""
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore(), writable=True, runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    from msgspec.structs import replace

    from tests.kit.saying import ROOT, whole
    from tests.kit.staging import FILE

    offers = [Offer(2 * n + 1, replace(FILE, path=b"%d" % n)) for n in range(56)]
    peer.say(*offers)
    network.settle()
    for n in range(56, 60):
        peer.say(Parcel(2 * n + 1, 0, b"", (Part(b"", (ROOT, whole(b"w%d" % n))),)))
    network.settle()
    for offer in offers:
        peer.data(b"hello")
        peer.say(Abort(offer.exchange, "cancelled", "no more"))
    network.settle()
    answered = [each for each in peer.messages if type(each).__name__ == "Receipts"]
    assert len(answered) == 4


@pytest.mark.parametrize("word", COSTS)
def test_each_thing_alone_has_room(word: type) -> None:
    assert COSTS[word].fits(CONNECTION)
    assert isinstance(Budget(CONNECTION).hold(COSTS[word]), Deferred)
