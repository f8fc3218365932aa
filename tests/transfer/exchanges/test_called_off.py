"""A transfer that is called off while a thread is still at its first step."""

from __future__ import annotations

import pytest

from twisted_ft import Attributes, FileTransferFactory, MemoryStore
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.frames import MAGIC, encode
from twisted_ft.wire.messages import Abort, End, Entries, Get, Hello, List, Message, Offer, Refuse

FILE = Attributes(b"new", 5, 0, 0o644, b"v")


@pytest.mark.parametrize(
    "opening",
    [[Get(1, b"a"), Refuse(1, "cancelled", "")], [Offer(1, FILE), Abort(1, "cancelled", "")]],
)
def test_the_connection_goes_on(opening: list[Message]) -> None:
    network = MemoryNetwork()
    store = MemoryStore({b"a": b"hello"})
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    peer = network.scripted_client(factory)
    hello = Hello((1,), "test", (), DEFAULT_LIMITS)
    peer.send(MAGIC + b"".join(encode(message) for message in (hello, *opening)))
    network.settle()
    assert len(peer.heard) == 1
    network.advance(DEFAULT_LIMITS.silence * 3)
    assert peer.lost is None
    peer.say(List(3, b"", False))
    network.settle()
    assert [type(each) for each in peer.heard[1:]] == [Entries, End]
