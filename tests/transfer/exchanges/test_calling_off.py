"""Calls that are cancelled, at whatever moment, and clients that are closed."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from tests.kit.insides import connection_of
from tests.kit.staging import code_of, content_of, failure_of
from twisted_ft import Client, Delivery, FileTransferFactory, MemoryStore
from twisted_ft.errors import ConnectionFailed
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.bodies.outflow import PIECE
from twisted_ft.transfer.bodies.tracker import TransferProgress

CONTENT = content_of(2 * PIECE + 5)


class Pair:
    """A server and a client, which get or put ``a`` as ``b``, or list."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.network = MemoryNetwork()
        self.origin, self.target = MemoryStore({b"a": CONTENT}), MemoryStore()
        served = self.target if what == "put" else self.origin
        factory = FileTransferFactory(served, writable=True, runtime=self.network.runtime)
        self.client: Client = self.network.client(factory)

    def call(self, **options: Any) -> Deferred[Any]:
        if self.what == "get":
            return self.client.fetch("a", self.target, "b", **options)
        if self.what == "put":
            return self.client.send(self.origin, "a", "b", **options)
        return self.client.list()

    def check_goes_on(self) -> None:
        """Nothing is left open, and the same can be done again."""
        self.network.settle()
        assert connection_of(self.client).protocol.conversation.idle
        assert not self.target.receiving
        assert not self.client.closed
        again = self.network.run(self.call())
        if self.what == "list":
            assert [entry.path for entry in again] == [b"a"]
        else:
            assert again.status in ("done", "skipped")
            assert self.target.files[b"b"].content == CONTENT


@pytest.mark.parametrize("what", ["get", "put", "list"])
def test_at_every_moment(what: str) -> None:
    """A step more each time, until the call is done before it is cancelled."""
    steps = 0
    while True:
        pair = Pair(what)
        call = pair.call()
        outcome = failure_of(call)
        for _ in range(steps):
            pair.network.step()
        if outcome:
            break
        call.cancel()
        assert [type(each) for each in outcome] == [CancelledError]
        pair.check_goes_on()
        steps += 1
    assert steps > 2


@pytest.mark.parametrize("what", ["get", "put"])
def test_by_whoever_watches_the_progress(what: str) -> None:
    pair = Pair(what)
    calls: list[Deferred[Delivery]] = []

    def watch(now: TransferProgress) -> None:
        if now.sent:
            calls[0].cancel()

    calls.append(pair.call(progress=watch))
    outcome = failure_of(calls[0])
    pair.network.settle()
    assert [type(each) for each in outcome] == [CancelledError]
    pair.check_goes_on()


def test_while_it_looks_for_a_place_on_this_machine(tmp_path: Any) -> None:
    pair = Pair("get")
    call = pair.client.get("a", tmp_path / "b")
    outcome = failure_of(call)
    call.cancel()
    pair.network.settle()
    assert [type(each) for each in outcome] == [CancelledError]
    assert list(tmp_path.iterdir()) == []
    up = pair.client.put(tmp_path / "nothing")
    outcome = failure_of(up)
    up.cancel()
    pair.network.settle()
    assert [type(each) for each in outcome] == [CancelledError]
    pair.check_goes_on()


@pytest.mark.parametrize("what", ["get", "put"])
def test_a_client_that_is_closed_while_it_transfers(what: str) -> None:
    pair = Pair(what)
    told: list[int] = []
    outcome = failure_of(pair.call(progress=lambda now: told.append(now.sent)))
    while not told or not told[-1]:
        assert pair.network.step()
    pair.network.run(pair.client.close())
    assert [code_of(each) for each in outcome] == ["connection"]
    assert pair.client.closed
    assert not pair.target.receiving
    assert b"b" not in pair.target.files


def test_a_client_that_is_closed_waits_for_nothing() -> None:
    pair = Pair("get")
    pair.network.run(pair.client.close())
    pair.network.run(pair.client.close())
    for call in (pair.call(), pair.client.list(), pair.client.send(pair.origin, "a", "b")):
        with pytest.raises(ConnectionFailed):
            pair.network.run(call)


def test_a_client_in_a_with_block() -> None:
    pair = Pair("get")

    async def work() -> Delivery:
        async with pair.client as client:
            return await client.fetch("a", pair.target, "b")

    assert pair.network.run(work()).status == "done"
    assert pair.client.closed
