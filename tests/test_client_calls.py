"""What a caller may give to a client, and is told by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, capturedLogs

from tests.kit.staging import content_of
from twisted_ft import Client, FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import (
    BadName,
    ConnectionFailed,
    FileTransferError,
    Forbidden,
    IsADirectory,
    NotFound,
    ReadOnly,
)
from twisted_ft.server import Session
from twisted_ft.testing import MemoryNetwork, Stuck
from twisted_ft.transfer.bodies.outflow import PIECE
from twisted_ft.transfer.bodies.tracker import TransferProgress
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.messages import Changed, Entries, Entry, List, Message, Refuse

CONTENT = content_of(2 * PIECE + 5)
TOO_LONG = b"/".join([b"n" * 250] * 17)


def serve(store: MemoryStore, **options: Any) -> tuple[MemoryNetwork, Client]:
    network = MemoryNetwork()
    options.setdefault("writable", True)
    factory = FileTransferFactory(store, runtime=network.runtime, **options)
    return network, network.client(factory)


@pytest.mark.parametrize("what", ["get", "fetch", "fetch to", "put", "send", "send from", "list"])
@pytest.mark.parametrize("path", [TOO_LONG, TOO_LONG.decode(), "\ud800"])
def test_a_path_that_cant_be_said(what: str, path: str | bytes, tmp_path: Path) -> None:
    store = MemoryStore({b"a": CONTENT})
    network, client = serve(store)
    (tmp_path / "a").write_bytes(CONTENT)
    calls: dict[str, Deferred[Any]] = {
        "get": client.get(path, tmp_path / "b"),
        "fetch": client.fetch(path, store, "b"),
        "fetch to": client.fetch("a", store, path),
        "put": client.put(tmp_path / "a", path),
        "send": client.send(store, "a", path),
        "send from": client.send(store, path, "b"),
        "list": client.list(path),
    }
    for name, call in calls.items():
        if name == what:
            with pytest.raises(BadName):
                network.run(call)
        else:
            call.addErrback(lambda reason: reason.trap(FileTransferError))
    network.settle()
    assert not client.closed


def test_a_folder_in_whose_name_no_room_is_left(tmp_path: Path) -> None:
    network, client = serve(MemoryStore())
    (tmp_path / ("n" * 255)).write_bytes(b"")
    with pytest.raises(BadName, match="4096"):
        network.run(client.put(tmp_path / ("n" * 255), b"/".join([b"f" * 250] * 16) + b"/"))
    assert network.run(client.list()) == []


@pytest.mark.parametrize("name", ["..", "../up", "/etc/passwd", "a//b", "a\0b", "./a", ""])
def test_a_name_that_no_server_takes(name: str) -> None:
    network, client = serve(MemoryStore({b"a": b""}))
    with pytest.raises(BadName):
        network.run(client.fetch(name, MemoryStore(), "b"))
    with pytest.raises(BadName):
        network.run(client.send(MemoryStore({b"a": b""}), "a", name))
    assert len(network.run(client.list())) == 1


def test_what_is_not_there() -> None:
    network, client = serve(MemoryStore({b"folder/a": b""}))
    here = MemoryStore()
    with pytest.raises(NotFound):
        network.run(client.fetch("nothing", here, "b"))
    with pytest.raises(NotFound):
        network.run(client.send(here, "nothing", "b"))
    with pytest.raises(NotFound):
        network.run(client.list("nothing"))
    with pytest.raises(IsADirectory):
        network.run(client.fetch("folder", here, "b"))
    assert [entry.kind for entry in network.run(client.list())] == ["directory"]


def test_a_server_that_is_only_read() -> None:
    network, client = serve(MemoryStore(), writable=False)
    with pytest.raises(ReadOnly):
        network.run(client.send(MemoryStore({b"a": CONTENT}), "a", "a"))
    assert network.run(client.list()) == []


def test_a_server_that_replaces_nothing() -> None:
    there = MemoryStore({b"a": b"old"})
    network, client = serve(there, overwrite=False)
    with pytest.raises(FileTransferError) as caught:
        network.run(client.send(MemoryStore({b"a": CONTENT}), "a", "a"))
    assert caught.value.code == "exists"
    assert there.files[b"a"].content == b"old"
    assert network.run(client.send(MemoryStore({b"a": CONTENT}), "a", "b")).status == "done"


@pytest.mark.parametrize("kept", [0, PIECE])
@pytest.mark.parametrize("direction", ["get", "put"])
def test_progress_rises_and_ends_at_the_size(direction: str, kept: int) -> None:
    origin, target = MemoryStore({b"a": CONTENT}), MemoryStore()
    if kept:
        sink = target.sink(origin.source(b"a").attributes, True)
        sink.write([CONTENT[:kept]])
        sink.keep()
    network, client = serve(origin if direction == "get" else target)
    told: list[tuple[int, int, int]] = []

    def watch(now: TransferProgress) -> None:
        told.append((now.position, now.sent, now.size))

    if direction == "get":
        network.run(client.fetch("a", target, "a", watch))
    else:
        network.run(client.send(origin, "a", "a", watch))
    positions = [position for position, _sent, _size in told]
    assert positions == sorted(positions)
    assert told[0] == (kept, 0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT) - kept, len(CONTENT))


@pytest.mark.parametrize("direction", ["get", "put"])
def test_progress_that_fails_is_no_part_of_the_transfer(direction: str) -> None:
    origin, target = MemoryStore({b"a": CONTENT}), MemoryStore()
    network, client = serve(origin if direction == "get" else target)
    calls = 0

    def watch(now: TransferProgress) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("a bug of the caller's")

    with capturedLogs() as log:
        if direction == "get":
            network.run(client.fetch("a", target, "a", watch))
        else:
            network.run(client.send(origin, "a", "a", watch))
    failures: list[LogEvent] = [event for event in log if "log_failure" in event]
    assert [event["log_failure"].type for event in failures] == [RuntimeError]
    assert calls == 1
    assert target.files[b"a"].content == CONTENT


def test_a_call_whose_result_never_comes() -> None:
    network = MemoryNetwork()
    with pytest.raises(Stuck):
        network.run(Deferred(), seconds=5)
    assert network.clock.seconds() == pytest.approx(5)


def test_who_waits_for_room_when_the_connection_is_lost() -> None:
    """The one place that the server has is held by a listing that nobody goes on with."""
    network = MemoryNetwork()
    endpoint, server = network.scripted_server()
    connecting = connect(endpoint, runtime=network.runtime)
    network.settle()
    server.welcome(replace(DEFAULT_LIMITS, exchanges=1))
    client = network.run(connecting)
    walk = client.walk()
    first = Deferred.fromCoroutine(walk.__anext__())
    network.settle()
    server.say(Entries(1, (Entry(b"a", "file", 0, 0, 0o644),)))
    network.settle()
    assert network.run(first).path == b"a"
    waiting = client.list()
    network.cut()
    for call in (waiting, client.list()):
        with pytest.raises(ConnectionFailed):
            network.run(call)


def test_what_is_at_a_path() -> None:
    network, client = serve(MemoryStore({b"a": CONTENT, b"d/b": b"b", b"d/e/f": b"", b"z": b""}))
    listed = {
        entry.path: entry for entry in network.run(client.list()) + network.run(client.list("d"))
    }
    for path in ("a", "d", "d/", "d/b", b"d/e", "z"):
        found = network.run(client.stat(path))
        assert found == listed[found.path]
    assert network.run(client.stat("")).kind == "directory"
    for missing in ("x", "d/x", "x/y"):
        with pytest.raises(NotFound):
            network.run(client.stat(missing))
    with pytest.raises(FileTransferError):
        network.run(client.stat("a/b"))
    with pytest.raises(BadName):
        network.run(client.stat(TOO_LONG))
    assert not client.closed


def test_what_is_at_a_path_in_a_folder_that_may_not_be_listed() -> None:
    """The kind of it is known; a folder above it isn't needed for a file."""

    def authorize(session: Session, asked: object) -> None:
        if isinstance(asked, List) and asked.path == b"d":
            raise Forbidden("d: not yours")

    store = MemoryStore({b"d/b": b"b", b"d/e/f": b""})
    network, client = serve(store, authorize=authorize)
    assert network.run(client.stat("d/e")) == Entry(b"d/e", "directory", 0, 0, 0)
    assert network.run(client.stat("d/b")).size == 1


def test_folders_deeper_than_there_are_frames() -> None:
    store = MemoryStore()
    network, client = serve(store)
    path = "/".join(["d"] * 1500)
    network.run(client.mkdir(path, parents=True))
    assert network.run(client.stat(path)).kind == "directory"


def test_a_server_that_makes_folders_and_has_none_is_asked_once_for_each() -> None:
    network = MemoryNetwork()
    endpoint, server = network.scripted_server()
    connecting = connect(endpoint, runtime=network.runtime)
    network.settle()
    server.welcome()
    client = network.run(connecting)
    call = client.mkdir("a/b", parents=True)
    answers: list[Message] = [
        Refuse(1, "not-found", "a/b: no"),
        Changed(3, 1),
        Refuse(5, "not-found", "a/b: no"),
    ]
    for answer in answers:
        network.settle()
        server.say(answer)
    with pytest.raises(NotFound):
        network.run(call)
