"""Get and put, on both stores, plain and through TLS, about every limit on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from tests.kit.staging import Certificates, TLSEndpoint, content_of
from twisted_ft import (
    Client,
    FileTransferFactory,
    LocalStore,
    MemoryFile,
    MemoryStore,
    Store,
    connect,
)
from twisted_ft.stores.conformance.samples import TIME, content_in, described, put
from twisted_ft.testing import MemoryNetwork, MemoryTransport
from twisted_ft.transfer.bodies.inflow import HIGH_WATER, LOW_WATER
from twisted_ft.transfer.bodies.outflow import FIRST_PIECE, PIECE

Serve = Callable[[MemoryNetwork, FileTransferFactory], Client]
LIMITS = {PIECE, FIRST_PIECE, HIGH_WATER, LOW_WATER, MemoryTransport.bufferSize, 1 << 16}
SIZES = sorted({0, 1, 7, *(limit + by for limit in LIMITS for by in (-1, 0, 1)), 2 * PIECE + 1})
CERTIFICATES = Certificates()
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL .* objects")  # Twisted does


def plain(network: MemoryNetwork, factory: FileTransferFactory) -> Client:
    return network.client(factory)


def through_tls(network: MemoryNetwork, factory: FileTransferFactory) -> Client:
    endpoint = TLSEndpoint(network, factory, CERTIFICATES)
    return network.run(connect(endpoint, runtime=network.runtime), seconds=1)


@pytest.fixture(params=["memory", "folder"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, Store]:
    """The client's and the server's."""
    if request.param == "memory":
        return MemoryStore(), MemoryStore()
    for side in ("client", "server"):
        (tmp_path / side).mkdir()
    return LocalStore(tmp_path / "client"), LocalStore(tmp_path / "server")


@pytest.mark.parametrize("serve", [plain, through_tls])
@pytest.mark.parametrize("size", SIZES)
def test_there_and_back(stores: tuple[Store, Store], serve: Serve, size: int) -> None:
    here, there = stores
    content = content_of(size)
    network = MemoryNetwork()
    factory = FileTransferFactory(there, writable=True, runtime=network.runtime)
    client = serve(network, factory)
    put(here, described(b"a", content), content)

    sent = network.run(client.send(here, "a", "b"), seconds=1)
    fetched = network.run(client.fetch("b", here, "c"), seconds=1)

    digest = blake3(content).hexdigest()
    for delivery, path in ((sent, "b"), (fetched, "c")):
        assert (delivery.path, delivery.size, delivery.sent) == (path, size, size)
        assert (delivery.resumed_from, delivery.blake3, delivery.status) == (0, digest, "done")
    assert content_in(there, b"b") == content_in(here, b"c") == content
    for store, name in ((there, b"b"), (here, b"c")):
        attributes = store.source(name).attributes
        assert (attributes.mtime, attributes.mode & 0o777) == (TIME, 0o640)
    network.run(client.close())


@pytest.mark.parametrize("segment", [1, 2, 3, 13])
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_network_that_delivers_a_few_bytes_at_once(segment: int, size: int) -> None:
    network = MemoryNetwork(segment)
    here, there = MemoryStore({b"a": content_of(size)}), MemoryStore()
    client = network.client(FileTransferFactory(there, writable=True, runtime=network.runtime))
    assert network.run(client.send(here, "a", "b")).status == "done"
    assert network.run(client.fetch("b", here, "c")).status == "done"
    assert [entry.path for entry in network.run(client.list())] == [b"b"]
    assert here.files[b"c"].content == content_of(size)


@pytest.mark.parametrize(
    "name", [b"with spaces ", b"-rf", b"n" * 255, "\u00e9".encode(), "e\u0301".encode(), b"\xff"]
)
def test_names_are_bytes(stores: tuple[Store, Store], name: bytes) -> None:
    here, there = stores
    put(here, described(name, b"hello"), b"hello")
    network = MemoryNetwork()
    client = network.client(FileTransferFactory(there, writable=True, runtime=network.runtime))
    network.run(client.send(here, name, name))
    network.run(client.fetch(name, here, b"again"))
    assert content_in(there, name) == content_in(here, b"again") == b"hello"
    assert [entry.path for entry in network.run(client.list())] == [name]


def test_what_is_there_is_skipped() -> None:
    here, there = MemoryStore({b"a": MemoryFile(b"hello", TIME)}), MemoryStore()
    network = MemoryNetwork()
    client = network.client(FileTransferFactory(there, writable=True, runtime=network.runtime))
    assert network.run(client.send(here, "a", "a")).status == "done"
    again = network.run(client.send(here, "a", "a"))
    digest = blake3(b"hello").hexdigest()
    assert (again.status, again.sent, again.blake3, again.size) == ("skipped", 0, digest, 5)
    back = network.run(client.fetch("a", here, "a"))
    assert (back.status, back.sent, back.blake3) == ("skipped", 0, digest)


def test_paths_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_bytes(b"hello")
    network = MemoryNetwork()
    there = MemoryStore(folders=[b"inbox"])
    client = network.client(FileTransferFactory(there, writable=True, runtime=network.runtime))
    up = network.run(client.put(tmp_path / "report.txt", "inbox/"))
    assert up.path == "inbox/report.txt"
    down = network.run(client.get("inbox/report.txt", f"{tmp_path}/new/"))
    assert down.path == f"{tmp_path}/new/report.txt"
    assert (tmp_path / "new/report.txt").read_bytes() == b"hello"
    other = network.run(client.get(b"inbox/report.txt", tmp_path / "other"))
    assert other.path == str(tmp_path / "other")
