"""Sessions as an embedder makes them, and what is asked and told of what they do."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3
from twisted.cred.credentials import ICredentials
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from tests.kit.planting import gathered, grow
from tests.kit.staging import FILE, code_of, content_of, failure_of
from twisted_ft import Client, FileTransferFactory, LocalStore, MemoryStore, Source
from twisted_ft.errors import Busy, FileTransferError, Forbidden, NotFound, StorageFailed
from twisted_ft.server import EVERYTHING, AuditTrail, Event, Peer, Session
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.messages import Accept, Done, Offer, Opening, Receipt, Refuse


def test_each_user_has_a_root_of_their_own(tmp_path: Path) -> None:
    """In ten lines of an embedder's."""
    network, users = MemoryNetwork(), {"client.example": "ann"}

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        user = users[peer.host]
        (tmp_path / user).mkdir(exist_ok=True)
        return Session(LocalStore(tmp_path / user), EVERYTHING, user=user)

    factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
    client = network.client(factory)
    network.run(client.send(MemoryStore({b"a": b"hello"}), "a", "a"))
    assert (tmp_path / "ann" / "a").read_bytes() == b"hello"


def test_a_peer_is_told_apart_by_what_is_known_of_it() -> None:
    network, seen = MemoryNetwork(), list[Peer]()

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        seen.append(peer)
        return Session(MemoryStore())

    network.client(FileTransferFactory(authenticate=authenticate, runtime=network.runtime))
    (peer,) = seen
    assert (peer.address, peer.host, peer.door) == ("client.example:50000", "client.example", "ft")
    assert peer.agent.startswith("twisted-ft")


def test_authenticating_may_take_its_time() -> None:
    """The peer is welcomed when it is over, however long that is; or it has left by then."""
    network = MemoryNetwork()
    waiting: list[Deferred[Session]] = []

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        waiting.append(Deferred())
        return await waiting[-1]

    factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
    peer, hasty = network.scripted_client(factory), network.scripted_client(factory)
    peer.hello()
    hasty.hello()
    network.advance(100)
    assert (peer.messages, peer.lost) == ([], None)
    assert hasty.transport is not None
    hasty.transport.loseConnection()
    network.settle()
    for each in waiting:
        each.callback(Session(MemoryStore({b"a": b""})))
    network.settle()
    assert [type(each).__name__ for each in peer.messages] == ["Welcome"]
    assert len(factory.connections) == 1


def test_who_fails_to_say_who_is_there() -> None:
    network = MemoryNetwork()

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        raise KeyError(peer.host)

    factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
    with capturedLogs(), pytest.raises(FileTransferError, match="internal error"):
        network.client(factory)


def test_a_factory_serves_something() -> None:
    with pytest.raises(ValueError, match="give a store"):
        FileTransferFactory()


# -- asked before, and told after ------------------------------------------------------------


def hooked(**hooks: object) -> tuple[MemoryNetwork, MemoryStore, Client]:
    network, store = MemoryNetwork(), MemoryStore({b"a": b"hello"})
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime, **hooks)  # type: ignore[arg-type]
    return network, store, network.client(factory)


def test_each_exchange_is_authorized() -> None:
    asked: list[str] = []

    async def authorize(session: Session, message: Opening) -> None:
        asked.append(type(message).__name__)
        if type(message).__name__ == "Remove":
            raise Forbidden("nothing is removed on Sundays")

    network, store, client = hooked(authorize=authorize)
    network.run(client.list())
    network.run(client.send(MemoryStore({b"b": b"b"}), "b", "b"))
    network.run(client.fetch("b", MemoryStore(), "b"))
    with pytest.raises(Forbidden, match="Sundays"):
        network.run(client.remove("a"))
    assert asked == ["List", "Offer", "Get", "Remove"]
    assert b"a" in store.files


def test_each_parcel_is_authorized_in_its_order(tmp_path: Path) -> None:
    """Whoever is asked may take its time; and what is refused isn't there."""
    roots: list[bytes] = []
    waiting: list[Deferred[None]] = []

    async def authorize(session: Session, message: Opening) -> None:
        roots.append(getattr(message, "root", b"?"))
        waiting.append(Deferred())
        await waiting[-1]

    network, store, client = hooked(authorize=authorize)
    grow(tmp_path, {f"{number}": bytes(900_000) for number in range(5)})
    upload = failure_of(Deferred.fromCoroutine(gathered(client.put_tree(tmp_path, "t"))))
    while not upload:
        network.settle()
        if waiting:
            waiting.pop(0).callback(None)
        else:
            assert upload
    assert len(store.files) == 6
    assert set(roots) == {b"t"}
    assert len(roots) >= 6


def test_a_file_is_told_of_before_its_sender_hears_of_it() -> None:
    told: list[Event] = []
    waiting: Deferred[None] = Deferred()

    async def received(session: Session, event: Event) -> None:
        told.append(event)
        await waiting

    network, store, client = hooked(received=received)
    call = failure_of(client.send(MemoryStore({b"b": b"12345"}), "b", "b"))
    network.settle()
    assert store.files[b"b"].content == b"12345"
    assert call == []
    network.advance(200)
    waiting.callback(None)
    network.settle()
    assert call[0].status == "done"
    (event,) = told
    assert (event.kind, event.action, event.path, event.size) == ("ended", "upload", b"b", 5)
    assert event.blake3 == blake3(b"12345").hexdigest()


def test_a_hook_that_fails_changes_nothing() -> None:
    def received(session: Session, event: Event) -> None:
        raise ValueError("a bug")

    network, store, client = hooked(received=received)
    with capturedLogs() as log:
        sent = network.run(client.send(MemoryStore({b"b": b"12345"}), "b", "b"))
    assert sent.status == "done"
    assert b"b" in store.files
    assert any("log_failure" in each for each in log)


def test_each_file_of_a_tree_is_told_of(tmp_path: Path) -> None:
    told: list[bytes] = []

    def received(session: Session, event: Event) -> None:
        assert event.tree
        told.append(event.path)

    network, _, client = hooked(received=received)
    grow(tmp_path, {"x": b"x", "f/y": b"y", "f/z": b"z"})
    network.run(gathered(client.put_tree(tmp_path, "t")))
    assert sorted(told) == [b"t/f/y", b"t/f/z", b"t/x"]


# -- observers -------------------------------------------------------------------------------


def test_what_observers_are_told(tmp_path: Path) -> None:
    """The same fields, whatever happens: begun, and then ended, refused or failed."""
    events: list[Event] = []
    network, _, client = hooked(observers=[events.append])
    network.run(client.fetch("a", MemoryStore(), "b"))
    with pytest.raises(NotFound):
        network.run(client.fetch("nothing", MemoryStore(), "b"))
    with pytest.raises(FileTransferError):
        network.run(client.rename("a", ".."))
    network.run(client.mkdir("f"))
    network.run(client.close())
    assert [(each.kind, each.action, each.path) for each in events] == [
        ("connected", "", b""),
        ("begun", "download", b"a"),
        ("ended", "download", b"a"),
        ("begun", "download", b"nothing"),
        ("failed", "download", b"nothing"),
        ("begun", "rename", b"a"),
        ("failed", "rename", b"a"),
        ("begun", "mkdir", b"f"),
        ("ended", "mkdir", b"f"),
        ("left", "", b""),
    ]
    done = events[2]
    assert (done.size, done.sent, done.blake3) == (5, 5, blake3(b"hello").hexdigest())
    assert events[4].code == "not-found"
    assert {each.peer for each in events} == {"client.example:50000"}


@pytest.mark.parametrize("direction", ["get", "put"])
def test_each_file_of_a_tree_is_an_event(tmp_path: Path, direction: str) -> None:
    events: list[Event] = []
    network, _, client = hooked(observers=[events.append])
    files = {"x": b"xx", "f/y": b"yyy"}
    if direction == "get":
        network.run(client.mkdir("f"))
        for name, content in files.items():
            network.run(client.send(MemoryStore({b"c": content}), "c", name))
        network.run(client.remove("a"))
        events.clear()
        network.run(gathered(client.get_tree("", tmp_path / "t")))
    else:
        grow(tmp_path, files)
        events.clear()
        network.run(gathered(client.put_tree(tmp_path, "")))
    ended = {each.path: each for each in events if each.tree and each.kind == "ended" and each.path}
    assert {path: each.size for path, each in ended.items()} == {b"x": 2, b"f/y": 3}
    action = "download" if direction == "get" else "upload"
    assert {each.action for each in ended.values()} == {action}
    assert ended[b"x"].blake3 == blake3(b"xx").hexdigest()


def test_an_observer_that_fails_is_nobodys_trouble() -> None:
    events: list[Event] = []

    def bad(event: Event) -> None:
        raise ValueError("a bug")

    with capturedLogs() as log:
        network, _, client = hooked(observers=[bad, events.append])
        network.run(client.fetch("a", MemoryStore(), "b"))
    assert [each.kind for each in events] == ["connected", "begun", "ended"]
    assert any("log_failure" in each for each in log)


def test_the_audit_trail_has_each_file(tmp_path: Path) -> None:
    grow(tmp_path, {"x": b"x", "f/\x1b": b"y"})
    with capturedLogs() as log:
        network, _, client = hooked(observers=[AuditTrail()])
        network.run(gathered(client.put_tree(tmp_path, "")))
    audited = [each for each in log if each["log_namespace"] == "twisted_ft.audit"]
    assert [each["path"] for each in audited if each["kind"] == "ended"] == ["x", "f/\\x1b"]


# -- an upload that is taken over --------------------------------------------------------------


def half_sent(
    network: MemoryNetwork, factory: FileTransferFactory
) -> tuple[ScriptedPeer, list[bytes]]:
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    peer.say(Offer(1, FILE))
    network.settle()
    return peer, []


def test_a_silent_upload_is_taken_over() -> None:
    """By the same machine, with the same file, where the server hasn't noticed yet."""
    network, store = MemoryNetwork(), MemoryStore()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    silent, _ = half_sent(network, factory)
    silent.data(b"hel")
    network.advance(3)
    again, _ = half_sent(network, factory)
    assert again.messages[-1] == Accept(1, 3)
    assert silent.lost is not None
    again.data(b"lo")
    again.say(Done(1, blake3(b"hello").digest()))
    network.settle()
    assert isinstance(again.messages[-1], Receipt)
    assert store.files[b"a"].content == b"hello"


@pytest.mark.parametrize("why", ["not silent", "another file", "another user"])
def test_what_isnt_taken_over(why: str) -> None:
    network, store = MemoryNetwork(), MemoryStore()
    names = iter(["ann", "bob" if why == "another user" else "ann"])

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        return Session(store, EVERYTHING, user=next(names))

    factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
    first, _ = half_sent(network, factory)
    first.data(b"hel")
    network.advance(0 if why == "not silent" else 3)
    second = network.scripted_client(factory)
    second.hello()
    network.settle()
    version = b"v2" if why == "another file" else FILE.version
    second.say(Offer(1, type(FILE)(FILE.path, FILE.size, 0, 0o644, version)))
    network.settle()
    last = second.messages[-1]
    assert isinstance(last, Refuse)
    assert last.code == Busy.code
    assert first.lost is None


def test_a_client_carries_on_at_once() -> None:
    """Its connection went silent amid an upload, and it is run again."""
    network, store = MemoryNetwork(), MemoryStore()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    here = MemoryStore({b"a": content_of(1 << 22)})
    first = failure_of(network.client(factory).send(here, "a", "a"))
    while not store.receiving or not store.partials[b"a"].content:
        assert network.step()
    (ends,) = network.transports
    for end in ends:
        end.reading = False  # the line is dead, and nobody has noticed
    network.advance(3)
    again = network.run(network.client(factory).send(here, "a", "a"))
    assert again.resumed_from > 0
    assert store.files[b"a"].content == content_of(1 << 22)
    network.cut()
    network.settle()
    assert [code_of(each) for each in first] == ["connection"]


def test_a_store_that_is_lost_says_so() -> None:
    class Lost(MemoryStore):
        def source(self, path: bytes) -> Source:
            raise StorageFailed("the disk is gone")

    events: list[Event] = []
    network = MemoryNetwork()
    factory = FileTransferFactory(Lost(), runtime=network.runtime, observers=[events.append])
    with pytest.raises(StorageFailed):
        network.run(network.client(factory).fetch("a", MemoryStore(), "a"))
    assert (events[-1].kind, events[-1].code) == ("failed", "storage")
