"""A server that is far away: what the delay of a line costs, and what it doesn't."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import gatherResults
from twisted.internet.endpoints import clientFromString, serverFromString

from twisted_ft import Client, FileTransferFactory, LocalStore, MemoryStore, connect
from twisted_ft.errors import ConnectionFailed
from twisted_ft.testing import DistantServer, MemoryNetwork, distance

reactor: Any = installed
ROUND_TRIP = 0.1


def far_away(factory: FileTransferFactory, network: MemoryNetwork) -> Client:
    line = DistantServer(network.endpoint(factory), ROUND_TRIP, network.clock)
    connected = connect(network.endpoint(line), runtime=network.runtime)
    client: Client = network.run(connected, seconds=10)
    return client


def served(network: MemoryNetwork, files: dict[bytes, Any]) -> FileTransferFactory:
    return FileTransferFactory(MemoryStore(files), writable=True, runtime=network.runtime)


def trips_of(network: MemoryNetwork, work: Any) -> float:
    """How many round trips a piece of work takes."""
    before = network.clock.seconds()
    network.run(work, seconds=1000)
    return float((network.clock.seconds() - before) / ROUND_TRIP)


def test_a_greeting_and_a_file_cost_their_round_trips() -> None:
    network = MemoryNetwork()
    client = far_away(served(network, {b"a": b"content"}), network)
    assert network.clock.seconds() == pytest.approx(ROUND_TRIP)
    here = MemoryStore()
    assert trips_of(network, client.fetch("a", here, "a")) == pytest.approx(2)
    assert here.files[b"a"].content == b"content"
    assert trips_of(network, client.list()) == pytest.approx(1)
    assert trips_of(network, client.send(here, "a", "b")) == pytest.approx(2)


def test_files_side_by_side_cost_no_more_than_one() -> None:
    network = MemoryNetwork()
    files: dict[bytes, Any] = {b"%d" % number: b"content" for number in range(60)}
    client = far_away(served(network, files), network)
    here = MemoryStore()
    calls = [client.fetch(name, here, name) for name in files]
    assert trips_of(network, gatherResults(calls)) == pytest.approx(2)
    assert {name: file.content for name, file in here.files.items()} == files


def test_a_long_listing_costs_a_round_trip_for_each_two_messages_at_most() -> None:
    network = MemoryNetwork()
    files: dict[bytes, Any] = {b"%06d" % number + b"n" * 200: b"" for number in range(5000)}
    client = far_away(served(network, files), network)
    messages = 5000 * 250 / (1 << 16)
    assert trips_of(network, client.list()) < messages + 5


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("direction", ["get", "put"])
def test_a_thousand_small_files_cost_no_more_than_a_second(
    tmp_path: Path, direction: str, known: bool
) -> None:
    """Whether the receiver has their folders or not: files don't wait for each other."""
    network = MemoryNetwork()
    names = [f"{folder}/{number:03}" for folder in "abcdefghij" for number in range(100)]
    for name in names:
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(name.encode())
    store = MemoryStore({f"t/{name}".encode(): name.encode() for name in names})
    if direction == "put":
        store = MemoryStore(folders=[f"t/{folder}".encode() for folder in "abcdefghij" if known])
    client = far_away(FileTransferFactory(store, writable=True, runtime=network.runtime), network)
    target = tmp_path / ("new" if direction == "get" else "here")
    for folder in "abcdefghij" if known else "":
        (target / folder).mkdir(parents=True, exist_ok=True)

    async def moved() -> int:
        move = client.get_tree if direction == "get" else None
        deliveries = move("t", target) if move else client.put_tree(target, "t")
        return len([each async for each in deliveries if each.status == "done"])

    before = network.clock.seconds()
    assert network.run(moved(), seconds=1000) == len(names)
    assert network.clock.seconds() - before < 1
    if direction == "get":
        assert all((target / name).read_text() == name for name in names)
    else:
        assert len(store.files) == len(names)


@pytest.mark.parametrize("side", ["client", "server"])
def test_who_hangs_up_is_heard_at_the_other_end(side: str) -> None:
    network = MemoryNetwork()
    factory = served(network, {})
    client = far_away(factory, network)
    if side == "client":
        network.run(client.close(), seconds=1)
        network.advance(ROUND_TRIP)
        assert not factory.connections
    else:
        factory.disconnect()
        network.advance(ROUND_TRIP)
        assert client.closed


def test_a_server_that_isnt_there() -> None:
    network = MemoryNetwork()

    class Nowhere:
        def connect(self, factory: Any) -> Any:
            from twisted.internet import error
            from twisted.internet.defer import fail

            return fail(error.ConnectionRefusedError())

    line: Any = DistantServer(Nowhere(), ROUND_TRIP, network.clock)
    with pytest.raises(ConnectionFailed):
        network.run(connect(network.endpoint(line), runtime=network.runtime), seconds=1)


def test_what_is_on_its_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance, "ON_ITS_WAY", 1 << 20)
    network = MemoryNetwork()
    content = os.urandom(1 << 20) * 10
    client = far_away(served(network, {b"a": content}), network)
    here = MemoryStore()
    assert trips_of(network, client.fetch("a", here, "a")) > 5
    assert here.files[b"a"].content == content


@pytest_twisted.ensureDeferred
async def test_on_real_sockets(tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 5
    (tmp_path / "file").write_bytes(content)
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(
        FileTransferFactory(LocalStore(tmp_path))
    )
    place = clientFromString(reactor, f"tcp:127.0.0.1:{port.getHost().port}")
    line = DistantServer(place, 0.02, reactor)
    near = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(line)
    before = reactor.seconds()
    client = await connect(f"ft://127.0.0.1:{near.getHost().port}", reactor=reactor)
    await client.get("file", tmp_path / "got")
    assert reactor.seconds() - before >= 3 * 0.02
    assert (tmp_path / "got").read_bytes() == content
    await client.close()
    await near.stopListening()
    await port.stopListening()
