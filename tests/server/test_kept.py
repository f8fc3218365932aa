"""What a server keeps of transfers that were cut off: told, and let go of, through its door."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.cred.credentials import ICredentials

from tests.kit.staging import FILE
from twisted_ft import Client, FileTransferFactory, LocalStore, MemoryStore
from twisted_ft.errors import Forbidden, NotFound
from twisted_ft.server import EVERYTHING, READING, Peer, Right, Session
from twisted_ft.stores.interfaces import Store
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.messages import Offer


def cut_off(store: Store, network: MemoryNetwork) -> Client:
    """A client of a server to which three bytes of five were sent before."""
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    peer.say(Offer(1, FILE))
    network.settle()
    peer.data(b"hel")
    network.settle()
    peer.abort()
    network.settle()
    return network.client(factory)


def stores(place: Path) -> list[Store]:
    return [LocalStore(place), MemoryStore()]


@pytest.mark.parametrize("which", [0, 1])
def test_it_is_listed_and_removed(tmp_path: Path, which: int) -> None:
    network = MemoryNetwork()
    client = cut_off(stores(tmp_path)[which], network)
    assert network.run(client.list()) == []
    (kept,) = network.run(client.list(partial=True))
    assert (kept.path, kept.kind, kept.size) == (b"a", "partial", 3)
    assert network.run(client.remove("a")) == 1
    assert network.run(client.list(partial=True)) == []
    with pytest.raises(NotFound):
        network.run(client.remove("a"))
    assert list(tmp_path.iterdir()) == []


def test_whose_it_is_is_written_down(tmp_path: Path) -> None:
    network = MemoryNetwork()
    cut_off(LocalStore(tmp_path), network)
    (record,) = tmp_path.glob(".ft-*.from")
    assert b"host client.example".hex().encode() in record.read_bytes()


def test_who_may_not_list_isnt_told() -> None:
    network, store = MemoryNetwork(), MemoryStore()
    cut_off(store, network)
    for rights in (EVERYTHING & ~Right.LIST, READING):

        async def authenticate(
            peer: Peer, credentials: ICredentials, rights: Right = rights
        ) -> Session:
            return Session(store, rights)

        factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
        client = network.client(factory)
        if Right.LIST in rights:
            assert len(network.run(client.list(partial=True))) == 1
        else:
            with pytest.raises(Forbidden):
                network.run(client.list(partial=True))


def test_names_in_folders_that_may_not_be_listed_arent_told() -> None:
    class Partly(Session):
        def may(self, right: Right, path: bytes) -> bool:
            return path != b"f"

    network, store = MemoryNetwork(), MemoryStore(folders=[b"f", b"g"])
    for path in (b"f/a", b"g/b"):
        sink = store.sink(type(FILE)(path, 5, 0, 0o644, b"v"), True)
        sink.write([b"12"])
        sink.keep()

    async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
        return Partly(store, EVERYTHING)

    client = network.client(FileTransferFactory(authenticate=authenticate, runtime=network.runtime))

    async def told() -> list[bytes]:
        return [each.path async for each in client.walk("", partial=True)]

    assert network.run(told()) == [b"g/b"]
