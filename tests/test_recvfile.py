"""Bodies taken off a socket by the thread that writes them: where, and that it's no different."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet import tcp
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Protocol

from twisted_ft import Client, FileTransferFactory, LocalStore, MemoryStore, connect
from twisted_ft.errors import FileTransferError, NoSpace
from twisted_ft.stores.partial import PartialFile
from twisted_ft.transfer.outcome import Moved
from twisted_ft.transfer.recvfile import HAS_RECVFILE, SocketRange, can_recvfile
from twisted_ft.transfer.relay import Relay

pytestmark = pytest.mark.skipif(not HAS_RECVFILE, reason="there is no readv or poll here")
reactor: Any = installed
CONTENT = os.urandom(1 << 20) * 40


class Plain:
    """A transport, as far as a range looks at it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()


@pytest.fixture
def ends() -> Any:
    """Two connected sockets; the second doesn't block, as a reactor's."""
    one, other = socket.socketpair()
    other.setblocking(False)
    with one, other:
        yield one, other


def taken(waiting: SocketRange) -> bytes:
    got, buffer = b"", memoryview(bytearray(1 << 19))
    while count := waiting.fill(buffer):
        got += buffer[:count]
    return got


def test_a_range_is_what_was_asked_for_and_no_more(ends: Any) -> None:
    one, other = ends
    one.sendall(b"0123456789")
    waiting = SocketRange(Plain(other), 7)
    assert taken(waiting) == b"0123456"
    assert waiting.received == 7
    waiting.close()
    assert other.recv(10) == b"789"


def test_a_range_waits_for_what_comes_soon(ends: Any) -> None:
    one, other = ends
    content = os.urandom(3 << 20)
    sender = threading.Thread(target=one.sendall, args=(content,))
    waiting = SocketRange(Plain(other), len(content))
    sender.start()
    got = taken(waiting)
    other.setblocking(True)
    while len(got) < len(content):  # this machine had a lull
        got += other.recv(1 << 20)
    sender.join()
    waiting.close()
    assert got == content


def test_a_range_gives_up_in_a_lull(ends: Any) -> None:
    one, other = ends
    one.sendall(b"some")
    waiting = SocketRange(Plain(other), 1 << 20)
    assert taken(waiting) == b"some"
    waiting.close()


def test_the_end_of_the_connection_is_left_to_the_transport(ends: Any) -> None:
    one, other = ends
    one.sendall(b"last words")
    one.close()
    waiting = SocketRange(Plain(other), 1 << 20)
    assert taken(waiting) == b"last words"
    waiting.close()
    assert other.recv(10) == b""


def test_a_range_outlives_its_transport(ends: Any) -> None:
    one, other = ends
    waiting = SocketRange(Plain(other), 1 << 20)
    other.close()
    one.sendall(b"still")
    assert taken(waiting) == b"still"
    waiting.close()


def test_what_a_relay_holds_unwritten_is_bounded() -> None:
    """So a kill loses little: more than a buffer is written before ``add`` is through."""
    written: list[int] = []
    relay = Relay(lambda piece: None, lambda pieces: written.append(sum(map(len, pieces))))
    relay.add([bytes(1000)])
    relay.add([bytes(1 << 20), bytes(3 << 20)])
    assert written == [1000, 4 << 20]
    relay.add([bytes(7)])
    relay.finish()
    assert written == [1000, 4 << 20, 7]


def test_a_relay_says_what_writing_failed_with() -> None:
    def full(pieces: Any) -> None:
        raise NoSpace("the disk is full")

    relay = Relay(lambda piece: None, full)
    relay.add([b"x"])
    with pytest.raises(NoSpace):
        relay.add([bytes(1 << 20)])
    with pytest.raises(NoSpace):
        relay.finish()


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
def ranges(monkeypatch: pytest.MonkeyPatch) -> list[SocketRange]:
    """Each range that was read from a socket."""
    seen: list[SocketRange] = []
    real = SocketRange.__init__

    def noted(self: SocketRange, transport: Any, size: int) -> None:
        seen.append(self)
        real(self, transport, size)

    monkeypatch.setattr(SocketRange, "__init__", noted)
    return seen


def received(ranges: list[SocketRange]) -> int:
    return sum(each.received for each in ranges)


@pytest_twisted.ensureDeferred
async def test_most_of_a_body_comes_this_way(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path, ranges: list[SocketRange]
) -> None:
    root, client, _ = served
    await client.get("file", tmp_path / "got")
    downloaded = received(ranges)
    assert downloaded > len(CONTENT) // 2
    await client.put(tmp_path / "got", "back")
    assert received(ranges) - downloaded > len(CONTENT) // 2
    assert (tmp_path / "got").read_bytes() == (root / "back").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_into_a_store_that_keeps_what_it_is_given(
    served: tuple[Path, Client, FileTransferFactory], ranges: list[SocketRange]
) -> None:
    """The buffer is used again for the next piece: what was written must be a copy."""
    _, client, _ = served
    store = MemoryStore()
    await client.fetch("file", store, "file")
    assert received(ranges)
    assert store.files[b"file"].content == CONTENT


@pytest_twisted.ensureDeferred
async def test_several_at_once_and_messages_between_them(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path
) -> None:
    _, client, _ = served
    transfers: list[Deferred[Any]] = [client.get("file", tmp_path / f"{n}") for n in range(3)]
    await gatherResults([*transfers, *(client.list() for _ in range(40))], consumeErrors=True)
    for each in range(3):
        assert (tmp_path / f"{each}").read_bytes() == CONTENT


async def _fails(work: Deferred[Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await work


@pytest_twisted.ensureDeferred
async def test_a_full_disk_is_said_and_the_connection_goes_on(
    served: tuple[Path, Client, FileTransferFactory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ranges: list[SocketRange],
) -> None:
    _, client, _ = served
    real = PartialFile.write

    def full(self: PartialFile, pieces: Any) -> None:
        if received(ranges) > len(CONTENT) // 4:
            raise NoSpace("the disk is full")
        real(self, pieces)

    with monkeypatch.context() as patched:
        patched.setattr(PartialFile, "write", full)
        await _fails(client.get("file", tmp_path / "got"), NoSpace)
    again = await client.get("file", tmp_path / "got")
    assert again.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_connection_that_ends_meanwhile_is_carried_on(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path
) -> None:
    _, client, factory = served
    (server,) = factory.connections
    port = server.transport.getHost().port

    def cut(moved: Moved) -> None:
        if moved.position > len(CONTENT) // 2 and factory.connections:
            next(iter(factory.connections)).transport.abortConnection()

    await _fails(client.get("file", tmp_path / "got", progress=cut), FileTransferError)
    again = await connect(f"ft://127.0.0.1:{port}", reactor=reactor)
    delivery = await again.get("file", tmp_path / "got")
    await again.close()
    assert delivery.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_limited_download_is_counted_piece_by_piece(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path, ranges: list[SocketRange]
) -> None:
    _, _, factory = served
    (server,) = factory.connections
    place = f"ft://127.0.0.1:{server.transport.getHost().port}"
    limited = await connect(place, reactor=reactor, limit_rate=1e9)
    await limited.get("file", tmp_path / "got")
    await limited.close()
    assert not received(ranges)
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_without_a_descriptor_for_it(
    served: tuple[Path, Client, FileTransferFactory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, client, _ = served

    def none_left(self: SocketRange, transport: Any, size: int) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(SocketRange, "__init__", none_left)
    await client.get("file", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_it_is_for_plain_sockets_only() -> None:
    transport = tcp.Connection(socket.socket(), Protocol(), reactor)
    assert can_recvfile(transport)
    transport.TLS = True
    assert not can_recvfile(transport)
    assert not can_recvfile(object())
    transport.socket.close()
