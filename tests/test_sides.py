"""Whose error it is, and of which path as who made the call would write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_ft import Client, FileTransferError, FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import (
    Busy,
    ConnectionFailed,
    Corrupt,
    Forbidden,
    NotFound,
    ProtocolError,
    SourceChanged,
    TimedOut,
    Unreachable,
    Untrusted,
)
from twisted_ft.sides import Sides
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.messages import Abort, Attributes, Offer, Refuse


def failure(network: MemoryNetwork, outcome: Deferred[Any]) -> FileTransferError:
    with pytest.raises(FileTransferError) as caught:
        network.run(outcome)
    return caught.value


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def client(network: MemoryNetwork) -> Client:
    store = MemoryStore({b"docs/a": b"1", b"docs/b": b"2"})
    return network.client(FileTransferFactory(store, runtime=network.runtime, writable=True))


def test_what_the_server_has_said(network: MemoryNetwork, client: Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    calls: dict[str, Deferred[Any]] = {
        "docs/none": client.get("docs/none", tmp_path / "x"),
        "none": client.list("none"),
        "docs/b": client.mkdir("docs/b"),
        "docs/y": client.rename("docs/y", "z"),
        "lost": client.remove("lost"),
        "docs": client.remove("docs"),
        "docs/a": client.fetch("docs/a/x", MemoryStore(), "x"),
    }
    for path, call in calls.items():
        error = failure(network, call)
        assert (error.side, error.path) == ("there", path)
        assert error.text == f"{path}: {error.reason}"
        assert f"{path}:" not in error.reason
        assert "on the server" in error.reason
        assert str(error) == error.text


def test_what_has_failed_here(network: MemoryNetwork, client: Client, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "folder" / "a").mkdir(parents=True)
    (tmp_path / "ring").symlink_to("ring")
    calls: list[tuple[str | Path, Deferred[Any]]] = [
        (tmp_path / "none", client.put(tmp_path / "none", "x")),
        (tmp_path / "sub", client.put(tmp_path / "sub", "x")),
        (tmp_path / "ring", client.put(tmp_path / "ring", "x")),
        (tmp_path / "folder" / "a", client.get("docs/a", tmp_path / "folder")),
        (tmp_path / "none" / "a", client.get("docs/a", tmp_path / "none" / "a")),
        ("none", client.send(MemoryStore(), "none", "x")),
        ("d", client.fetch("docs/a", MemoryStore({b"d/x": b""}), "d")),
    ]
    for path, call in calls:
        error = failure(network, call)
        assert (error.side, error.path) == ("here", str(path))
        assert f"{path}:" not in error.reason
        assert "server" not in error.reason


def test_a_link_that_leads_to_what_is_missing_is_named_as_it_was_given(
    network: MemoryNetwork, client: Client, tmp_path: Path
) -> None:
    """And not by where it leads."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    error = failure(network, client.put(tmp_path / "link", "x"))
    assert error.path == str(tmp_path / "link")


def test_the_other_side_is_told_no_more_than_before(tmp_path: Path) -> None:
    """It hears of what a name here is, and not in which folder that is."""
    (tmp_path / "a").mkdir()
    network = MemoryNetwork()
    endpoint, peer = network.scripted_server()
    connected = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome()
    outcome = network.run(connected).get("a", tmp_path)
    network.settle()
    peer.say(Offer(1, Attributes(b"a", 5, 0, 0o644, b"version")))
    network.settle()
    (told,) = (each for each in peer.messages if isinstance(each, Refuse))
    peer.say(Abort(1, "cancelled", ""))
    assert failure(network, outcome).path == str(tmp_path / "a")
    assert told.text.startswith("a: this is a folder")


def tree_of(place: Path) -> Path:
    (place / "t" / "sub").mkdir(parents=True)
    (place / "t" / "sub" / "a").write_bytes(b"1")
    return place / "t"


def test_a_tree_that_goes_up(network: MemoryNetwork, client: Client, tmp_path: Path) -> None:
    async def results(tree: Any) -> list[Any]:
        return [each async for each in tree]

    tree = tree_of(tmp_path)
    network.run(client.mkdir("up"))
    network.run(client.mkdir("up/sub"))
    network.run(client.mkdir("up/sub/a"))
    (result,) = [
        each for each in network.run(results(client.put_tree(tree, "up"))) if each.error is not None
    ]
    assert (result.error.side, result.error.path) == ("there", "up/sub/a")
    with pytest.raises(FileTransferError) as caught:
        network.run(results(client.put_tree(tmp_path / "none", "up")))
    assert (caught.value.side, caught.value.path) == ("here", str(tmp_path / "none"))
    with pytest.raises(FileTransferError) as caught:
        network.run(results(client.put_tree(tree, "none/up")))
    assert (caught.value.side, caught.value.path) == ("there", "none")


def test_a_tree_that_comes_down(network: MemoryNetwork, client: Client, tmp_path: Path) -> None:
    async def results(tree: Any) -> list[Any]:
        return [each async for each in tree]

    (tmp_path / "d" / "a").mkdir(parents=True)
    (result,) = [
        each
        for each in network.run(results(client.get_tree("docs", tmp_path / "d")))
        if each.error is not None
    ]
    assert (result.error.side, result.error.path) == ("here", str(tmp_path / "d" / "a"))
    with pytest.raises(FileTransferError) as caught:
        network.run(results(client.get_tree("none", tmp_path / "e")))
    assert (caught.value.side, caught.value.path) == ("there", "none")


def test_a_lost_connection_is_on_neither_side(network: MemoryNetwork, client: Client) -> None:
    outcome = client.get("docs/a", "never")
    network.cut()
    error = failure(network, outcome)
    assert isinstance(error, ConnectionFailed)
    assert (error.side, error.path) == (None, None)


def test_what_is_worth_trying_again() -> None:
    assert {each.retryable for each in (ConnectionFailed, Unreachable, TimedOut, Busy)} == {True}
    assert SourceChanged.retryable
    never = (NotFound, Forbidden, Corrupt, Untrusted, ProtocolError, FileTransferError)
    assert {each.retryable for each in never} == {False}


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("d/a: gone", "d/a", "gone"),
        ("d: gone", "d", "gone"),
        ("the root: gone", "/", "gone"),
        ("d/a/b: gone", "d/a/b", "gone"),
        ("e: gone", "d/a", "e: gone"),
        ("gone", "d/a", "gone"),
        ("d/ab: gone", "d/a", "d/ab: gone"),
    ],
)
def test_the_path_is_named_once(text: str, path: str, reason: str) -> None:
    error = Sides(b"d/a").located(Busy(text).at("there"))
    assert (error.path, error.reason) == (path, reason)


def test_a_failure_that_many_share_stays_as_it_is() -> None:
    shared = Busy("a: busy").at("there")
    located = Sides(b"a").located(shared)
    assert (shared.path, located.path) == (None, "a")
    assert Sides(b"b").located(located) is located
