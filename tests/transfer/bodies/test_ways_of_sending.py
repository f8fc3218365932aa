"""The ways of a body onto a transport: by a thread, by FileSender, and through TLS.

One suite for all: limits, calling off and failures don't depend on the way.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor as installed
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint, serverFromString
from twisted.internet.task import deferLater

from tests.kit.insides import connection_of
from twisted_ft import Client, Delivery, FileTransferFactory, LocalStore, connect
from twisted_ft.errors import Busy, FileTransferError, NoSpace, SourceChanged
from twisted_ft.stores.local.partial import PartialFile
from twisted_ft.transfer.bodies import outflow as producers
from twisted_ft.transfer.bodies.tracker import TransferProgress
from twisted_ft.transfer.sockets.sendfile import HAS_SENDFILE, SocketFrames

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL .* objects")  # Twisted does
reactor: Any = installed
CONTENT = os.urandom(1 << 20) * 20
WAYS = ["thread", "FileSender", "TLS"] if HAS_SENDFILE else ["FileSender", "TLS"]


@dataclass
class Served:
    """A server's folder, with CONTENT in ``file``, and how to reach it."""

    way: str
    root: Path
    factory: FileTransferFactory
    url: str
    authority: str | None
    by_thread: list[int]
    """the bytes of each piece that a thread has written to the socket"""

    async def client(self, **options: Any) -> Client:
        """One more client."""
        return await connect(self.url, reactor=reactor, tls_ca=self.authority, **options)


@pytest.fixture
def by_thread(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each piece that a thread has written to a socket."""
    sizes: list[int] = []
    real = SocketFrames.write

    def noted(self: SocketFrames, pieces: Any) -> None:
        sizes.extend(map(len, pieces))
        real(self, pieces)

    monkeypatch.setattr(SocketFrames, "write", noted)
    return sizes


@pytest_twisted.async_yield_fixture(params=WAYS)
async def served(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by_thread: list[int],
) -> AsyncIterator[Served]:
    root, way = tmp_path / "root", request.param
    root.mkdir()
    (root / "file").write_bytes(CONTENT)
    if way == "FileSender":  # as on a platform without sendfile(2)
        monkeypatch.setattr(producers, "can_sendfile", lambda source: False)
    endpoint, authority = "tcp:0:interface=127.0.0.1", None
    if way == "TLS":
        made = trustme.CA()
        issued = made.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
        made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        authority = str(tmp_path / "ca.pem")
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={tmp_path / 'own.pem'}"
    factory = FileTransferFactory(LocalStore(root), writable=True)
    port = await serverFromString(reactor, endpoint).listen(factory)
    url = f"{'fts' if authority else 'ft'}://127.0.0.1:{port.getHost().port}"
    yield Served(way, root, factory, url, authority, by_thread)
    factory.disconnect()
    await port.stopListening()


async def _fails(awaitable: Awaitable[object], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await awaitable


def _when(position: int, action: Callable[[], object]) -> Callable[[TransferProgress], None]:
    """A ``progress`` that does something once, when so much is there."""
    done: list[object] = []

    def progress(moved: TransferProgress) -> None:
        if moved.position >= position and not done:
            done.append(action())

    return progress


@pytest_twisted.ensureDeferred
async def test_down_and_up_by_this_way_and_no_other(served: Served, tmp_path: Path) -> None:
    client = await served.client()
    await client.get("file", tmp_path / "got")
    await client.put(tmp_path / "got", "back")
    await client.close()
    assert (tmp_path / "got").read_bytes() == (served.root / "back").read_bytes() == CONTENT
    if served.way == "thread":
        assert sum(served.by_thread) > 2 * len(CONTENT) - (1 << 20)
    else:
        assert not served.by_thread


@pytest.mark.skipif(not HAS_SENDFILE, reason="there is no os.sendfile here")
@pytest_twisted.ensureDeferred
async def test_a_thread_sends_on_a_unix_socket(tmp_path: Path, by_thread: list[int]) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    factory = FileTransferFactory(LocalStore(tmp_path))
    port = await UNIXServerEndpoint(reactor, str(tmp_path / "socket")).listen(factory)
    endpoint = UNIXClientEndpoint(reactor, str(tmp_path / "socket"))
    client = await connect(endpoint, reactor=reactor)
    await client.get("file", tmp_path / "got")
    await client.close()
    await port.stopListening()
    assert sum(by_thread) > len(CONTENT) // 2
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_messages_keep_out_of_its_frames(served: Served, tmp_path: Path) -> None:
    client = await served.client()
    transfers = [client.get("file", tmp_path / f"got{each}") for each in range(4)]
    listings: list[Deferred[Any]] = [client.list() for _ in range(40)]
    await gatherResults([*transfers, *listings], consumeErrors=True)
    await client.close()
    for each in range(4):
        assert (tmp_path / f"got{each}").read_bytes() == CONTENT


@pytest.mark.parametrize("direction", ["get", "put"])
@pytest_twisted.ensureDeferred
async def test_a_limit_on_the_rate_holds(served: Served, tmp_path: Path, direction: str) -> None:
    """A tenth of a second of it may come at once, and nobody waits after the last piece."""
    rate = len(CONTENT) / 0.8
    client = await served.client(limit_rate=rate)
    (tmp_path / "local").write_bytes(CONTENT)
    began = time.monotonic()
    if direction == "get":
        await client.get("file", tmp_path / "got")
    else:
        await client.put(tmp_path / "local", "back")
    took = time.monotonic() - began
    await client.close()
    assert took >= 0.5


@pytest_twisted.ensureDeferred
async def test_a_file_that_shrinks_is_called_off_and_the_connection_goes_on(
    served: Served, tmp_path: Path
) -> None:
    with open(served.root / "large", "wb") as file:
        file.truncate(256 << 20)
    client = await served.client(limit_rate=2e8)
    shrink = _when(8 << 20, lambda: os.truncate(served.root / "large", 1000))
    await _fails(client.get("large", tmp_path / "got", progress=shrink), SourceChanged)
    assert not (tmp_path / "got").exists()
    assert (await client.get("large", tmp_path / "got")).size == 1000
    await client.close()


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_takes_no_more_is_heard_and_the_connection_goes_on(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await served.client()

    def full(sink: PartialFile, pieces: Any) -> None:
        raise NoSpace("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(PartialFile, "write", full)
        await _fails(client.get("file", tmp_path / "got"), NoSpace)
    await client.get("file", tmp_path / "got")
    await client.close()
    assert (tmp_path / "got").read_bytes() == CONTENT


async def _get_when_let_go(client: Client, target: Path) -> Delivery:
    """A call that was cancelled still writes what had arrived, and only then lets go of it."""
    while True:
        try:
            return await client.get("file", target)
        except Busy:
            await deferLater(reactor, 0)


@pytest_twisted.ensureDeferred
async def test_a_cancelled_transfer_is_carried_on(served: Served, tmp_path: Path) -> None:
    client = await served.client(limit_rate=3 * len(CONTENT))
    running: list[Deferred[Any]] = []

    def call_off() -> None:
        running[0].cancel()

    cancel = _when(len(CONTENT) // 4, call_off)
    running.append(client.get("file", tmp_path / "got", progress=cancel))
    await _fails(running[0], CancelledError)
    delivery = await _get_when_let_go(client, tmp_path / "got")
    await client.close()
    assert delivery.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_connection_that_ends_amid_a_frame_is_carried_on(
    served: Served, tmp_path: Path
) -> None:
    client = await served.client(limit_rate=3 * len(CONTENT))
    cut = _when(len(CONTENT) // 4, connection_of(client).protocol.transport.abortConnection)
    await _fails(client.get("file", tmp_path / "got", progress=cut), FileTransferError)
    again = await served.client()
    delivery = await again.get("file", tmp_path / "got")
    await again.close()
    assert delivery.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT
