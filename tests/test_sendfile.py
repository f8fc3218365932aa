"""The kernel's way from a file to a socket: taken where it can be, and no different otherwise."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint, serverFromString
from twisted.internet.task import deferLater

from twisted_ft import Client, Delivery, FileTransferFactory, LocalStore, connect
from twisted_ft.errors import Busy, SourceChanged
from twisted_ft.transfer.outcome import Moved
from twisted_ft.transfer.sendfile import HAS_SENDFILE

pytestmark = pytest.mark.skipif(not HAS_SENDFILE, reason="there is no os.sendfile here")
reactor: Any = installed
CONTENT = os.urandom(1 << 20) * 20


@pytest_twisted.async_yield_fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Path, Client, FileTransferFactory]]:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(CONTENT)
    factory = FileTransferFactory(LocalStore(root), writable=True)
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    client = await connect(f"ft://127.0.0.1:{port.getHost().port}", reactor=reactor)
    yield root, client, factory
    await client.close()
    factory.disconnect()
    await port.stopListening()


@pytest.fixture
def sendfile_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each os.sendfile has moved."""
    calls: list[int] = []
    real = os.sendfile

    def recorded(*args: Any) -> int:
        calls.append(real(*args))
        return calls[-1]

    monkeypatch.setattr(os, "sendfile", recorded)
    return calls


@pytest_twisted.ensureDeferred
async def test_it_is_taken_for_download_and_upload(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path, sendfile_calls: list[int]
) -> None:
    root, client, _ = served
    await client.get("file", tmp_path / "got")
    assert sum(sendfile_calls) == len(CONTENT)
    await client.put(tmp_path / "got", "back")
    assert sum(sendfile_calls) == 2 * len(CONTENT)
    assert (tmp_path / "got").read_bytes() == (root / "back").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_it_is_taken_on_a_unix_socket(tmp_path: Path, sendfile_calls: list[int]) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    factory = FileTransferFactory(LocalStore(tmp_path))
    port = await UNIXServerEndpoint(reactor, str(tmp_path / "socket")).listen(factory)
    endpoint = UNIXClientEndpoint(reactor, str(tmp_path / "socket"))
    client = await connect(endpoint, reactor=reactor)
    await client.get("file", tmp_path / "got")
    await client.close()
    await port.stopListening()
    assert sum(sendfile_calls) == len(CONTENT)
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_messages_keep_out_of_its_frames(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path
) -> None:
    _, client, _ = served
    transfers = [client.get("file", tmp_path / f"got{each}") for each in range(4)]
    listings: list[Deferred[Any]] = [client.list() for _ in range(40)]
    await gatherResults([*transfers, *listings], consumeErrors=True)
    for each in range(4):
        assert (tmp_path / f"got{each}").read_bytes() == CONTENT


def _when_half_is_through(action: Callable[[], object]) -> Callable[[Moved], None]:
    done: list[object] = []

    def progress(moved: Moved) -> None:
        if moved.position > len(CONTENT) // 2 and not done:
            done.append(action())

    return progress


async def _fails(awaitable: Awaitable[object], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await awaitable


@pytest_twisted.ensureDeferred
async def test_a_file_that_shrinks_is_called_off_and_the_connection_goes_on(
    served: tuple[Path, Client, FileTransferFactory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, client, _ = served
    real = os.sendfile

    def truncated_meanwhile(out: int, source: int, offset: int, count: int) -> int:
        if offset > len(CONTENT) // 4:
            os.truncate(root / "file", 1000)
        return real(out, source, offset, count)

    with monkeypatch.context() as patched:
        patched.setattr(os, "sendfile", truncated_meanwhile)
        await _fails(client.get("file", tmp_path / "got"), SourceChanged)
    assert not (tmp_path / "got").exists()
    assert (await client.get("file", tmp_path / "got")).size == 1000


async def _get_when_let_go(client: Client, target: Path) -> Delivery:
    """A call that was cancelled still writes what had arrived, and only then lets go of it."""
    while True:
        try:
            return await client.get("file", target)
        except Busy:
            await deferLater(reactor, 0)


@pytest_twisted.ensureDeferred
async def test_a_cancelled_transfer_is_carried_on(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path
) -> None:
    _, client, _ = served
    running: list[Deferred[Any]] = []

    def cancel_it() -> None:
        running[0].cancel()

    cancel = _when_half_is_through(cancel_it)
    running.append(client.get("file", tmp_path / "got", progress=cancel))
    await _fails(running[0], CancelledError)
    delivery = await _get_when_let_go(client, tmp_path / "got")
    assert delivery.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_connection_that_ends_amid_a_frame_is_carried_on(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path
) -> None:
    _, client, factory = served
    (server,) = factory.connections
    host = server.transport.getHost()
    cut = _when_half_is_through(client.protocol.transport.abortConnection)
    await _fails(client.get("file", tmp_path / "got", progress=cut), Exception)
    again = await connect(f"ft://127.0.0.1:{host.port}", reactor=reactor)
    delivery = await again.get("file", tmp_path / "got")
    await again.close()
    assert delivery.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT
