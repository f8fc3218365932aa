"""How a tree ends that ends early: called off, or with its connection."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.defer import ensureDeferred

from tests.kit.insides import connection_of
from tests.kit.planting import (
    BOTH_WAYS,
    LARGE,
    Two,
    gathered,
    grow,
    numbered,
    statuses,
    tree,
    with_status,
)
from tests.kit.staging import code_of, failure_of
from twisted_ft import Delivery
from twisted_ft.errors import ConnectionFailed
from twisted_ft.trees.deliveries import LARGE_AT_ONCE, Deliveries

NAMES = numbered(1000)
SOME = {f"{folder}/{name}": bytes(4000) for folder in "abcd" for name in NAMES}
"""16 MB; more than may be under way."""


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


async def rest_of(deliveries: Deliveries, seen: list[Delivery]) -> None:
    async for each in deliveries:
        seen.append(each)


def check_goes_on(two: Two) -> None:
    """The connection has nothing under way, and room for as much as ever."""
    two.network.advance(1)
    connection = connection_of(two.client)
    assert connection.protocol.conversation.idle
    assert connection.places.tokens == connection.protocol.conversation.peer_limits.exchanges
    assert two.network.run(two.client.list()) is not None


@pytest.mark.parametrize("taken", [0, 1, 1500])
@BOTH_WAYS
def test_called_off(two: Two, direction: str, taken: int) -> None:
    source, target = two.ends(direction)
    grow(source, SOME)
    for _ in range(2):
        deliveries = two.begin(direction)
        two.take(deliveries, taken)
        two.network.run(deliveries.close())
        two.network.run(deliveries.close())
        seen: list[Delivery] = []
        two.network.run(rest_of(deliveries, seen))
        assert "failed" not in {each.status for each in seen}
        check_goes_on(two)
    assert len(with_status(two.get(), "done")) > 0 if direction == "get" else True
    assert not [*target.rglob(".ft-*")]
    assert statuses(two.move(direction)) <= {"done", "skipped"}
    assert tree(target) == tree(source)


@BOTH_WAYS
def test_called_off_with_all_that_may_be_under_way(two: Two, direction: str) -> None:
    disk = two.network.threads()
    two.serve_with(disk.runtime)
    source, target = two.ends(direction)
    grow(source, SOME)
    deliveries = two.begin(direction)
    two.take(deliveries, 1)
    disk.held = True
    two.network.settle()
    two.network.run(deliveries.close())
    disk.held = False
    check_goes_on(two)
    assert len([*target.rglob("*")]) < len(SOME)


@BOTH_WAYS
def test_called_off_while_nobody_takes_the_results(two: Two, direction: str) -> None:
    source, _ = two.ends(direction)
    grow(
        source,
        {f"{folder}/{name}": b"" for folder in "abcdefghi" for name in NAMES},
    )
    deliveries = two.begin(direction)
    two.take(deliveries, 1)
    two.network.settle()
    two.network.run(deliveries.close())
    check_goes_on(two)


@BOTH_WAYS
def test_large_files_are_called_off_as_well(two: Two, direction: str) -> None:
    """Those that wait for their turn aren't begun; what has arrived of the others is kept."""
    source, target = two.ends(direction)
    large = {f"{number:02}": bytes(2_000_000) for number in range(LARGE_AT_ONCE + 10)}
    grow(source, {"a": b"a", **large})
    deliveries = two.begin(direction)
    two.take(deliveries, 1)
    two.until(lambda: sum(_size(each) for each in target.glob(".ft-*.part")) > LARGE)
    two.network.run(deliveries.close())
    check_goes_on(two)
    assert len(os.listdir(target)) <= 1 + 2 * LARGE_AT_ONCE
    done = [each for each in os.listdir(target) if not each.startswith(".ft-")]
    assert len(done) < LARGE_AT_ONCE
    two.move(direction)
    assert tree(target) == tree(source)


@pytest.mark.parametrize("held", [False, True])
@BOTH_WAYS
def test_a_connection_that_is_lost_is_carried_on(two: Two, direction: str, held: bool) -> None:
    """Also where all is under way that may be."""
    disk = two.network.threads()
    two.serve_with(disk.runtime)
    source, target = two.ends(direction)
    grow(source, SOME)
    deliveries = two.begin(direction)
    seen = two.take(deliveries, 1500)
    outcome = failure_of(ensureDeferred(rest_of(deliveries, seen)))
    if held:
        disk.held = True
        two.network.settle()
    two.network.cut()
    two.network.settle()
    assert [type(each) for each in outcome] == [ConnectionFailed]
    disk.held = False
    two.network.settle()
    assert {each.status for each in seen} == {"done"}
    two.client = two.connect()
    results = two.move(direction)
    assert len(with_status(results, "skipped")) >= len(seen)
    assert tree(target) == tree(source)


@BOTH_WAYS
def test_a_connection_that_is_lost_at_a_large_file(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"a": b"a", "large": os.urandom(5_000_000)})
    outcome = failure_of(ensureDeferred(gathered(two.begin(direction))))
    two.until(lambda: any(_size(each) > 1_000_000 for each in target.glob(".ft-*.part")))
    two.network.cut()
    two.network.settle()
    assert [code_of(each) for each in outcome] == ["connection"]
    two.client = two.connect()
    results = two.move(direction)
    (large,) = (each for each in results.values() if each.size > LARGE)
    assert large.resumed_from >= 1_000_000
    assert tree(target) == tree(source)


def _size(path: Path) -> int:
    return path.stat().st_size


def test_two_clients_that_send_the_same_tree(two: Two) -> None:
    grow(two.here, {"x": b"x", **{f"new/{name}": b"" for name in NAMES}})
    clients = (two.client, two.connect())
    calls = [ensureDeferred(gathered(each.put_tree(two.here, "t"))) for each in clients]
    for call in calls:
        assert statuses(two.network.run(call)) <= {"done", "skipped"}
    assert tree(two.served / "t") == tree(two.here)
