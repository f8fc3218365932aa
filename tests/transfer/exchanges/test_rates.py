"""A limit on bytes a second: it holds, and doesn't look like a dead peer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.staging import failure_of
from twisted_ft import FileTransferFactory, MemoryStore, connect
from twisted_ft.testing import MemoryNetwork


def move(direction: str, size: int, rate: float, timeout: int = 30) -> tuple[Any, float]:
    """The result of a transfer, and the seconds that it took."""
    network = MemoryNetwork()
    origin, target = MemoryStore({b"a": bytes(size)}), MemoryStore()
    served = origin if direction == "get" else target
    factory = FileTransferFactory(served, writable=True, runtime=network.runtime, timeout=timeout)
    client = network.client(factory, limit_rate=rate, timeout=timeout)
    began = network.clock.seconds()
    fetches = direction == "get"
    call = client.fetch("a", target, "a") if fetches else client.send(origin, "a", "a")
    delivery = network.run(call, seconds=3600)
    assert target.files[b"a"].content == bytes(size)
    return delivery, network.clock.seconds() - began


@pytest.mark.parametrize("direction", ["get", "put"])
@pytest.mark.parametrize("rate", [20_000, 100_000, 1_234_567])
def test_it_holds_over_a_minute(direction: str, rate: int) -> None:
    delivery, seconds = move(direction, 60 * rate, rate)
    assert seconds == pytest.approx(60, rel=0.03)
    assert delivery.seconds == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize("direction", ["get", "put"])
@pytest.mark.parametrize("timeout", [30, 3])
def test_a_low_rate_is_no_silence(direction: str, timeout: int) -> None:
    delivery, seconds = move(direction, 200_000, 1000, timeout)
    assert delivery.status == "done"
    assert seconds == pytest.approx(200, rel=0.05)


def test_two_transfers_share_the_rate() -> None:
    network = MemoryNetwork()
    store = MemoryStore({b"a": bytes(500_000), b"b": bytes(500_000)})
    client = network.client(FileTransferFactory(store, runtime=network.runtime), limit_rate=100_000)
    outcomes = [failure_of(client.fetch(name, MemoryStore(), name)) for name in "ab"]
    network.advance(9)
    assert outcomes[-1] == []
    network.advance(1.5)
    assert [outcome[0].status for outcome in outcomes] == ["done", "done"]


@pytest.mark.parametrize("direction", ["get", "put"])
def test_a_transfer_that_is_slow_on_purpose_can_be_cancelled(direction: str) -> None:
    network = MemoryNetwork()
    store = MemoryStore({b"a": bytes(500_000)})
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    client = network.client(factory, limit_rate=1000)
    call = (
        client.fetch("a", MemoryStore(), "a")
        if direction == "get"
        else client.send(store, "a", "b")
    )
    outcome = failure_of(call)
    network.advance(5)
    call.cancel()
    assert [type(each).__name__ for each in outcome] == ["CancelledError"]
    network.advance(70)
    assert not client.closed
    assert not store.receiving
    assert len(network.run(client.list())) >= 1


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_is_more_than_nothing(rate: float) -> None:
    network = MemoryNetwork()
    with pytest.raises(ValueError, match="rate"):
        connect(network.scripted_server()[0], runtime=network.runtime, limit_rate=rate)
