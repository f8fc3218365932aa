"""Changes of the tree, from a client to a server's store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent, capturedLogs

from tests.kit.insides import connection_of
from tests.kit.staging import WatchedStore, code_of, content_of, failure_of, watched
from twisted_ft import Client, FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Busy,
    ConnectionFailed,
    FileTransferError,
    IsADirectory,
    NotFound,
    ReadOnly,
    StorageFailed,
)
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.messages import Changed, MakeFolder, Message, Refuse, Remove, Rename

CALLS: dict[str, Callable[[Client], Deferred[Any]]] = {
    "make_folder": lambda client: client.mkdir("new"),
    "rename": lambda client: client.rename("a", "b"),
    "remove": lambda client: client.remove("a"),
}
TOO_LONG = b"/".join([b"n" * 250] * 17)


def store() -> MemoryStore:
    return MemoryStore({b"a": b"content", b"folder/inner": b"", b"folder/deeper/innermost": b""})


def serve(
    served: MemoryStore, segment: int = 1 << 16, **options: Any
) -> tuple[MemoryNetwork, Client]:
    network = MemoryNetwork(segment)
    options.setdefault("writable", True)
    factory = FileTransferFactory(served, runtime=network.runtime, **options)
    return network, network.client(factory)


def paths(network: MemoryNetwork, client: Client, path: str = "") -> list[bytes]:
    return [entry.path for entry in network.run(client.list(path))]


# -- what is asked for is done ---------------------------------------------------------------


def test_a_folder_is_made() -> None:
    network, client = serve(store())
    assert network.run(client.mkdir("folder/new/")) is None
    assert paths(network, client, "folder/new") == []
    with pytest.raises(AlreadyExists):
        network.run(client.mkdir("folder/new"))
    with pytest.raises(NotFound):
        network.run(client.mkdir("no/new"))


@pytest.mark.parametrize(
    ("path", "new", "renamed"),
    [
        ("a", "b", b"b"),
        (b"a", b"folder/b", b"folder/b"),
        ("a", "folder/", b"folder/a"),
        ("folder/inner", "", b"inner"),
        ("folder/deeper/", "deeper", b"deeper/innermost"),
    ],
)
def test_a_new_name(path: str | bytes, new: str | bytes, renamed: bytes) -> None:
    served = store()
    network, client = serve(served)
    assert network.run(client.rename(path, new)) is None
    assert renamed in served.files
    assert len(served.files) == 3


def test_a_new_name_that_is_taken() -> None:
    served = store()
    network, client = serve(served)
    with pytest.raises(AlreadyExists):
        network.run(client.rename("folder", "a"))
    with pytest.raises(IsADirectory):
        network.run(client.rename("a", "folder"))
    network.run(client.rename("a", "folder/inner"))
    assert served.files[b"folder/inner"].content == b"content"


def test_a_server_that_keeps_what_it_has() -> None:
    served = store()
    before = dict(served.files)
    network, client = serve(served, overwrite=False)
    with pytest.raises(ReadOnly, match=r"nothing may be (renamed|removed) here"):
        network.run(client.rename("a", "new"))
    with pytest.raises(ReadOnly, match=r"nothing may be (renamed|removed) here"):
        network.run(client.remove("folder", deep=True))
    network.run(client.mkdir("new"))
    assert served.files == before


def test_removing() -> None:
    network, client = serve(store())
    assert network.run(client.remove("a")) == 1
    with pytest.raises(IsADirectory, match="this is a folder"):
        network.run(client.remove("folder"))
    assert network.run(client.remove("folder/", deep=True)) == 4
    assert paths(network, client) == []


@pytest.mark.parametrize("path", ["", "/", "..", "a/../b", "/a", TOO_LONG, "\ud800"])
def test_a_name_that_no_server_takes(path: str | bytes) -> None:
    network, client = serve(store())
    calls: list[Deferred[Any]] = [
        client.mkdir(path),
        client.rename(path, "b"),
        client.remove(path, deep=True),
    ]
    if path not in ("", "/"):
        calls.append(client.rename("a", path))
    for call in calls:
        with pytest.raises(BadName):
            network.run(call)
    assert paths(network, client) == [b"a", b"folder"]


def test_a_folder_that_has_no_room_for_the_name() -> None:
    network, client = serve(store())
    with pytest.raises(BadName, match="4096"):
        network.run(client.rename("n" * 250, b"/".join([b"f" * 250] * 16) + b"/"))


def test_a_folder_into_which_a_file_is_on_its_way() -> None:
    served = store()
    network, client = serve(served)
    upload = client.send(MemoryStore({b"b": content_of(1 << 20)}), "b", "folder/b")
    while not served.receiving:
        assert network.step()
    with pytest.raises(Busy):
        network.run(client.remove("folder", deep=True))
    network.run(upload)
    assert network.run(client.remove("folder", deep=True)) == 5


# -- what isn't ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_a_server_that_is_only_read(name: str) -> None:
    network, client = serve(store(), writable=False)
    with pytest.raises(ReadOnly, match="this server is read-only"):
        network.run(CALLS[name](client))
    assert paths(network, client) == [b"a", b"folder"]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("fault", "code"), [(StorageFailed("the disk is gone"), "storage"), (KeyError("x"), "storage")]
)
def test_a_store_that_fails(name: str, fault: Exception, code: str) -> None:
    watched_store = WatchedStore(store())
    network, client = watched(watched_store)
    watched_store.faults[name] = fault
    with capturedLogs(), pytest.raises(FileTransferError) as caught:
        network.run(CALLS[name](client))
    assert caught.value.code == code
    del watched_store.faults[name]
    network.run(CALLS[name](client))


def test_a_server_that_asks_a_client_for_changes() -> None:
    network = MemoryNetwork()
    peer, client = _scripted(network)
    messages: list[Message] = [MakeFolder(2, b"x"), Rename(4, b"a", b"b"), Remove(6, b"a", True)]
    for message in messages:
        peer.say(message)
        network.settle()
        last = peer.messages[-1]
        assert isinstance(last, Refuse)
        assert last.code == "unsupported"
    assert not client.closed


def _scripted(network: MemoryNetwork) -> tuple[ScriptedPeer, Client]:
    endpoint, peer = network.scripted_server()
    connected = connect(endpoint, runtime=network.runtime)
    network.settle()
    peer.welcome()
    return peer, network.run(connected)


# -- cancelled, and lost ---------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_cancelled_at_every_moment(name: str) -> None:
    """A step more each time; it is made all the same, as it was asked for."""
    steps = 0
    while True:
        network, client = serve(store(), segment=1)
        call = CALLS[name](client)
        outcome = failure_of(call)
        for _ in range(steps):
            network.step()
        if outcome:
            break
        call.cancel()
        assert [type(each) for each in outcome] == [CancelledError]
        network.settle()
        assert connection_of(client).protocol.conversation.idle
        assert not client.closed
        assert paths(network, client) != [b"a", b"folder"]
        steps += 1
    assert steps > 2


def test_a_change_that_was_cancelled_keeps_its_place_until_its_answer() -> None:
    network = MemoryNetwork()
    peer, client = _scripted(network)
    limit = DEFAULT_LIMITS.exchanges
    calls = [client.remove(f"{number:03}") for number in range(limit + 1)]
    outcomes = [failure_of(call) for call in calls]
    network.settle()
    calls[0].cancel()
    assert [type(each) for each in outcomes[0]] == [CancelledError]
    network.settle()
    assert len([each for each in peer.messages if isinstance(each, Remove)]) == limit
    peer.say(Changed(1, 1))
    network.settle()
    assert len([each for each in peer.messages if isinstance(each, Remove)]) == limit + 1
    assert not client.closed


@pytest.mark.parametrize("name", CALLS)
def test_a_connection_that_is_lost(name: str) -> None:
    network, client = serve(store())
    outcome = failure_of(CALLS[name](client))
    connection_of(client).protocol.transport.abortConnection()
    network.settle()
    assert [isinstance(each, ConnectionFailed) for each in outcome] == [True]
    assert [code_of(each) for each in outcome] == ["connection"]


def test_a_change_that_takes_long_is_waited_for() -> None:
    network = MemoryNetwork()
    threads = network.threads()
    factory = FileTransferFactory(store(), writable=True, runtime=threads.runtime)
    client = network.client(factory)
    threads.held = True
    outcome = failure_of(client.remove("a"))
    network.advance(500)
    assert outcome == []
    threads.held = False
    network.settle()
    assert outcome == [1]


def test_a_change_that_is_made_when_nobody_hears_of_it_any_more() -> None:
    """It is told by the log as what it is."""
    network = MemoryNetwork()
    threads = network.threads()
    served = store()
    factory = FileTransferFactory(served, writable=True, runtime=threads.runtime)
    client = network.client(factory)
    threads.held = True
    outcome = failure_of(client.remove("a"))
    network.settle()
    network.cut()
    network.settle()
    assert [code_of(each) for each in outcome] == ["connection"]
    with capturedLogs() as log:
        threads.held = False
        network.settle()
    assert b"a" not in served.files
    assert [(each["done"], each["count"]) for each in log if "done" in each] == [("removed", 1)]


# -- the log ---------------------------------------------------------------------------------


def test_each_change_is_an_event() -> None:
    network, client = serve(store())
    with capturedLogs() as log:
        network.run(client.mkdir("new\n"))
        network.run(client.rename("a", "b"))
        network.run(client.remove("folder", deep=True))
        with pytest.raises(NotFound):
            network.run(client.remove("a"))
    events: list[LogEvent] = [each for each in log if "done" in each]
    assert [(each["done"], each["path"], each.get("new")) for each in events] == [
        ("made", "new\\x0a", None),
        ("renamed", "a", "b"),
        ("removed", "folder", None),
        ("removed", "a", None),
    ]
    assert [each.get("count") for each in events] == [1, 1, 4, None]
    assert events[-1]["code"] == "not-found"
