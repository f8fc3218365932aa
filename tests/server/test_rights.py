"""Every right, times every message, times every door."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from blake3 import blake3
from twisted.cred.credentials import ICredentials

from tests.kit.saying import ROOT
from twisted_ft import Attributes, FileTransferFactory, MemoryStore
from twisted_ft.errors import FileTransferError, Forbidden, ReadOnly
from twisted_ft.lab import LabServerFactory
from twisted_ft.server import EVERYTHING, NOTHING, READING, Peer, Right, Session
from twisted_ft.server.budget import COSTS
from twisted_ft.server.rights import NEEDS, refusal
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.machine import OPENINGS
from twisted_ft.wire.messages import (
    Abort,
    Fetch,
    Get,
    List,
    MakeFolder,
    Message,
    Offer,
    Opening,
    Parcel,
    Part,
    Refuse,
    Remove,
    Rename,
)

SAID: dict[type[Message], Message] = {
    Get: Get(1, b"a"),
    Offer: Offer(1, Attributes(b"new", 5, 0, 0o644, b"v")),
    List: List(1, b"", True),
    Fetch: Fetch(1, b"", 0, False, False, False),
    Parcel: Parcel(1, 0, b"t", (Part(b"", (ROOT,)),)),
    MakeFolder: MakeFolder(1, b"made"),
    Rename: Rename(1, b"a", b"b"),
    Remove: Remove(1, b"a", False),
}
"""Something of each message that can begin an exchange."""
RIGHTS = [*Right]


def test_each_message_that_begins_an_exchange_has_its_right_and_its_cost() -> None:
    """One that is added later without them fails here, and isn't served."""
    assert set(NEEDS) == set(COSTS) == set(SAID) == set(get_args(Opening)) == set(OPENINGS)
    assert all(NEEDS.values())


def asked(rights: Right, message: Message) -> tuple[MemoryStore, ScriptedPeer]:
    """A peer with these rights that has said this."""
    network, store = MemoryNetwork(), MemoryStore({b"a": b"hello"})

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        return Session(store, rights)

    factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    peer.say(message)
    network.settle()
    return store, peer


def is_refused(peer: ScriptedPeer) -> bool:
    last = peer.messages[-1]
    return isinstance(last, (Refuse, Abort)) and last.code in ("read-only", "forbidden")


@pytest.mark.parametrize(("word", "lacking"), [*product(SAID, RIGHTS)])
def test_at_the_front_door(word: type[Opening], lacking: Right) -> None:
    """What needs a right isn't done without it; what doesn't is done."""
    before = MemoryStore({b"a": b"hello"}).files
    store, peer = asked(EVERYTHING & ~lacking, SAID[word])
    assert is_refused(peer) == bool(NEEDS[word] & lacking)
    if is_refused(peer):
        assert store.files == before
        assert list(store.entries(b"")) == list(MemoryStore({b"a": b"hello"}).entries(b""))


@pytest.mark.parametrize("word", SAID)
def test_with_no_right_at_all(word: type[Opening]) -> None:
    _, peer = asked(NOTHING, SAID[word])
    assert is_refused(peer)
    assert peer.lost is None


@pytest.mark.parametrize("rights", [Right.READ, NOTHING, EVERYTHING & ~Right.READ])
def test_at_the_labs_door(rights: Right, tmp_path: object) -> None:
    network = MemoryNetwork()
    path = f"{tmp_path}/file"
    with open(path, "wb") as file:
        file.write(b"hello")

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        assert peer.door == "lab"
        return Session(MemoryStore(), rights)

    factory = LabServerFactory(path, runtime=network.runtime, authenticate=authenticate)
    peer = network.scripted_client(factory)
    peer.listen_raw()
    network.settle()
    assert peer.raw.endswith(b"hello") == (rights == Right.READ)
    assert peer.lost is not None


def test_what_is_there_isnt_replaced_without_the_right() -> None:
    offer = Offer(1, Attributes(b"a", 5, 7, 0o644, b"v"))
    for rights, refused in ((EVERYTHING, False), (EVERYTHING & ~Right.REPLACE, True)):
        _, peer = asked(rights, offer)
        assert isinstance(peer.messages[-1], Refuse) == refused


def test_sentences_name_what_may_not_be_done() -> None:
    """And no option of a command line."""
    for right in RIGHTS:
        for held in (READING, EVERYTHING & ~right):
            error = refusal(right, held, b"some/name")
            assert isinstance(error, (ReadOnly, Forbidden))
            assert "--" not in error.text
            assert error.text.isprintable()


def test_a_subclass_refuses_by_path_what_the_rights_hold() -> None:
    """It has a sentence as well, and the word is that of what may not be done."""

    class Private(Session):
        def may(self, right: Right, path: bytes) -> bool:
            return super().may(right, path) and (path != b"a" or not Right.READ & right)

    for rights in (EVERYTHING, READING):
        with pytest.raises(Forbidden, match="a: nothing may be read here"):
            Private(MemoryStore(), rights).check(READING, b"a")
        Private(MemoryStore(), rights).check(Right.LIST, b"a")


def test_a_message_without_a_right_isnt_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(NEEDS, List)
    _, peer = asked(EVERYTHING, SAID[List])
    last = peer.messages[-1]
    assert isinstance(last, Refuse)
    assert last.code == "unsupported"


def test_a_digest_is_no_right() -> None:
    """Who may only list learns nothing of what is in a file."""
    _, peer = asked(Right.LIST, Fetch(1, b"", 1 << 20, False, False, True))
    assert is_refused(peer)
    assert blake3(b"hello").digest() not in peer.raw


def test_a_session_that_is_refused_itself() -> None:
    network = MemoryNetwork()

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        raise Forbidden("not today")

    factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
    with pytest.raises(FileTransferError, match="not today"):
        network.client(factory)
