"""Peers that lie, break the protocol, or keep the last word to themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from blake3 import blake3
from msgspec.structs import replace
from twisted.logger import LogEvent, capturedLogs

from tests.kit.staging import FILE, code_of, content_of, failure_of
from twisted_ft import Client, Delivery, FileTransferFactory, MemoryStore, connect
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.messages import (
    Abort,
    Accept,
    Done,
    End,
    Entries,
    Entry,
    Get,
    List,
    Message,
    Offer,
    Receipt,
    Refuse,
    Welcome,
)

HELLO = b"hello"
DIGEST = blake3(HELLO).digest()
WRONG = bytes(32)


@pytest.fixture
def log() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as events:
        yield events


class ClientAlone:
    """A real client, and a scripted server that has greeted."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.store = MemoryStore({b"mine": HELLO, b"b": b"old"})
        endpoint, self.peer = self.network.scripted_server()
        connected = connect(endpoint, runtime=self.network.runtime)
        self.network.settle()
        self.peer.welcome()
        self.client: Client = self.network.run(connected)

    def get(self, *answers: Message | bytes) -> list[object]:
        """What becomes of a get of ``a`` as ``b``, to which the server says all of this."""
        outcome = failure_of(self.client.fetch("a", self.store, "b"))
        self.say(*answers)
        return outcome

    def say(self, *answers: Message | bytes) -> None:
        for answer in answers:
            self.network.settle()
            if isinstance(answer, bytes):
                self.peer.data(answer)
            else:
                self.peer.say(answer)
        self.network.settle()

    @property
    def last(self) -> Message:
        """The last thing that the client said."""
        return self.peer.messages[-1]

    def check_goes_on(self) -> None:
        """The real name is untouched, nothing is open, and a get is possible."""
        assert self.store.files[b"b"].content == b"old"
        assert not self.store.receiving
        assert self.peer.lost is None
        again = self.get()
        asked = self.last
        assert isinstance(asked, Get)
        number = asked.exchange
        self.say(Offer(number, replace(FILE, version=b"v2")), HELLO, Done(number, DIGEST))
        assert [each.status for each in again if isinstance(each, Delivery)] == ["done"]

    def check_over(self, code: str) -> None:
        """The client has said why, and has closed the connection."""
        assert isinstance(self.last, Refuse)
        assert (self.last.exchange, self.last.code) == (0, code)
        assert self.peer.lost is not None
        assert self.store.files[b"b"].content == b"old"
        assert not self.store.receiving


def test_corrupt_data_is_dropped() -> None:
    alone = ClientAlone()
    outcome = alone.get(Offer(1, FILE), b"hellO", Done(1, DIGEST))
    assert [code_of(each) for each in outcome] == ["corrupt"]
    assert not alone.store.partials
    alone.check_goes_on()


def test_corrupt_data_that_is_put_is_dropped() -> None:
    network, store, peer = server_alone()
    peer.say(Offer(1, FILE))
    network.settle()
    peer.data(b"hellO")
    peer.say(Done(1, DIGEST))
    network.settle()
    assert isinstance(peer.messages[-1], Refuse)
    assert (peer.messages[-1].exchange, peer.messages[-1].code) == (1, "corrupt")
    assert b"a" not in store.files
    assert not store.partials
    assert not store.receiving
    assert peer.lost is None


def test_another_path_than_was_asked_for() -> None:
    alone = ClientAlone()
    outcome = alone.get(Offer(1, replace(FILE, path=b"../../etc/passwd")))
    assert [code_of(each) for each in outcome] == ["protocol"]
    alone.check_over("protocol")


@pytest.mark.parametrize("pieces", [[b"hello!"], [b"hello", b"!"], [b"x" * 100_000]])
def test_more_data_than_was_offered(pieces: list[bytes]) -> None:
    alone = ClientAlone()
    outcome = alone.get(Offer(1, FILE), *pieces)
    assert [code_of(each) for each in outcome] == ["protocol"]
    alone.check_over("protocol")


def test_data_for_an_empty_file() -> None:
    alone = ClientAlone()
    outcome = alone.get(Offer(1, replace(FILE, size=0)), b"!")
    assert [code_of(each) for each in outcome] == ["protocol"]
    alone.check_over("protocol")


@pytest.mark.parametrize("pieces", [[], [b"hell"]])
def test_less_data_than_was_offered(pieces: list[bytes]) -> None:
    alone = ClientAlone()
    outcome = alone.get(Offer(1, FILE), *pieces, Done(1, DIGEST))
    assert [code_of(each) for each in outcome] == ["protocol"]
    alone.check_over("protocol")


@pytest.mark.parametrize("size", [2**62, 2**63 - 1])
def test_an_offer_of_a_size_that_no_disk_has(size: int) -> None:
    alone = ClientAlone()
    outcome = alone.get(Offer(1, replace(FILE, size=size)), HELLO, Abort(1, "changed", "no"))
    assert [code_of(each) for each in outcome] == ["changed"]
    alone.check_goes_on()


def test_data_that_nobody_asked_for() -> None:
    alone = ClientAlone()
    alone.say(HELLO)
    alone.check_over("protocol")


def test_an_offer_that_nobody_asked_for() -> None:
    alone = ClientAlone()
    alone.say(Offer(2, FILE))
    assert isinstance(alone.last, Refuse)
    assert (alone.last.exchange, alone.last.code) == (2, "unsupported")
    alone.check_goes_on()


@pytest.mark.parametrize(
    ("asked", "word"), [(Get(2, b"mine"), Abort), (List(2, b"", False), Refuse)]
)
def test_a_server_that_asks_a_client(asked: Message, word: type[Message]) -> None:
    alone = ClientAlone()
    alone.say(asked)
    assert isinstance(alone.last, word)
    alone.check_goes_on()


def test_an_unknown_code_is_a_failure_of_the_exchange() -> None:
    alone = ClientAlone()
    outcome = alone.get(Abort(1, "haunted", "there is a ghost"))
    assert [code_of(each) for each in outcome] == ["haunted"]
    assert getattr(outcome[0], "reason", None) == "there is a ghost"
    alone.check_goes_on()


def test_an_accept_behind_the_end() -> None:
    alone = ClientAlone()
    outcome = failure_of(alone.client.send(alone.store, "mine", "a"))
    alone.say(Accept(1, 6))
    assert [code_of(each) for each in outcome] == ["protocol"]
    alone.check_over("protocol")


def test_put_is_done_only_at_the_receipt() -> None:
    alone = ClientAlone()
    outcome = failure_of(alone.client.send(alone.store, "mine", "a"))
    alone.say(Accept(1, 0))
    assert alone.last == Done(1, DIGEST, 5)
    alone.network.advance(20)
    assert outcome == []
    alone.say(Receipt(1, DIGEST))
    assert [code_of(each) for each in outcome] == ["Delivery"]


def test_put_is_not_done_where_the_server_goes_away() -> None:
    alone = ClientAlone()
    outcome = failure_of(alone.client.send(alone.store, "mine", "a"))
    alone.say(Accept(1, 0))
    alone.network.cut()
    alone.network.settle()
    assert [code_of(each) for each in outcome] == ["connection"]


def test_put_is_not_done_at_a_receipt_for_other_bytes() -> None:
    alone = ClientAlone()
    outcome = failure_of(alone.client.send(alone.store, "mine", "a"))
    alone.say(Accept(1, 0), Receipt(1, WRONG))
    assert [code_of(each) for each in outcome] == ["protocol"]
    alone.check_over("protocol")


def test_names_in_a_listing_are_only_data() -> None:
    alone = ClientAlone()
    listed = alone.client.list()
    alone.say(Entries(1, (Entry(b"..x\x1b[2J", "file", 1, 0, 0o644),)), End(1, 1))
    assert [entry.path for entry in alone.network.run(listed)] == [b"..x\x1b[2J"]


def test_a_server_that_says_welcome_twice() -> None:
    alone = ClientAlone()
    alone.say(Welcome(1, "x", (), DEFAULT_LIMITS))
    alone.check_over("protocol")


def server_alone(**files: bytes) -> tuple[MemoryNetwork, MemoryStore, ScriptedPeer]:
    """A real, writable server, and a scripted client that has greeted."""
    network = MemoryNetwork()
    store = MemoryStore({name.encode(): content for name, content in files.items()})
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    return network, store, peer


def logged(log: Sequence[LogEvent], done: str) -> list[LogEvent]:
    return [event for event in log if event.get("done") == done]


def test_a_download_is_logged_only_at_the_receipt(log: Sequence[LogEvent]) -> None:
    network, _store, peer = server_alone(a=HELLO)
    peer.say(Get(1, b"a"), Accept(1, 0))
    network.settle()
    assert peer.messages[-1] == Done(1, DIGEST, 5)
    network.advance(30)
    assert logged(log, "sent") == []
    peer.say(Receipt(1, DIGEST))
    network.settle()
    (event,) = logged(log, "sent")
    assert (event["path"], event["size"], event["sent"]) == ("a", 5, 5)
    assert event["blake3"] == DIGEST.hex()
    assert "code" not in event


def test_a_download_without_a_receipt_is_logged_as_one_that_failed(log: Sequence[LogEvent]) -> None:
    network, _store, peer = server_alone(a=HELLO)
    peer.say(Get(1, b"a"), Accept(1, 0))
    network.settle()
    network.cut()
    network.settle()
    (event,) = logged(log, "sent")
    assert event["code"] == "connection"


def test_a_receipt_for_other_bytes_is_no_delivery(log: Sequence[LogEvent]) -> None:
    network, _store, peer = server_alone(a=HELLO)
    peer.say(Get(1, b"a"), Accept(1, 0))
    network.settle()
    peer.say(Receipt(1, WRONG))
    network.settle()
    (event,) = logged(log, "sent")
    assert event["code"] == "protocol"
    assert peer.lost is not None


def test_a_receiver_that_refuses_what_it_has_all_of(log: Sequence[LogEvent]) -> None:
    network, _store, peer = server_alone(a=HELLO)
    peer.say(Get(1, b"a"), Accept(1, 0))
    network.settle()
    peer.say(Refuse(1, "no-space", "full"))
    network.settle()
    (event,) = logged(log, "sent")
    assert (event["code"], event["error"]) == ("no-space", "full")
    assert peer.lost is None


def test_a_client_that_wants_no_more_in_the_middle() -> None:
    content = content_of(1 << 22)
    network, _store, peer = server_alone(a=content)
    peer.say(Get(1, b"a"), Accept(1, 0))
    while not peer.body:
        assert network.step()
    peer.say(Refuse(1, "cancelled", ""))
    network.settle()
    assert [type(each) for each in peer.messages[-1:]] == [Abort]
    assert len(peer.body) < len(content)
    peer.say(List(3, b"", False))
    network.settle()
    assert peer.messages[-1] == End(3, 1)


def test_both_uploads_of_one_name_end_with_one_of_the_files() -> None:
    """Two clients at once: the second is told that the first is at it."""
    network = MemoryNetwork()
    store = MemoryStore()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    contents = [content_of(1 << 21), content_of(1 << 21)[::-1]]
    clients = [network.client(factory) for _ in contents]
    outcomes = [
        failure_of(client.send(MemoryStore({b"a": content}), "a", "b"))
        for client, content in zip(clients, contents, strict=True)
    ]
    network.settle()
    assert [code_of(outcome[0]) for outcome in outcomes] == ["Delivery", "busy"]
    assert store.files[b"b"].content == contents[0]
