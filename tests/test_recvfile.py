"""Bodies taken off a socket by the thread that writes them: where, and that it's no different."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
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
from twisted_ft.transfer.producers import PIECE
from twisted_ft.transfer.recvfile import BUFFER, HAS_RECVFILE, SocketBody, can_recvfile
from twisted_ft.transfer.relay import relay
from twisted_ft.wire.frames import DATA, MESSAGE, header

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


def body(end: socket.socket, left: int, to_come: int | None = None) -> SocketBody:
    """What is on ``end``: ``left`` bytes of a frame, and of the body ``to_come``."""
    waiting = SocketBody(Plain(end), left)
    waiting.to_come = left if to_come is None else to_come
    return waiting


def taken(waiting: SocketBody) -> bytes:
    got, buffer = b"", memoryview(bytearray(1 << 19))
    while count := waiting.fill(buffer):
        got += buffer[:count]
    waiting.close()
    return got


def test_a_body_is_read_to_its_end_and_no_further(ends: Any) -> None:
    one, other = ends
    one.sendall(b"0123456789")
    waiting = body(other, 7)
    assert taken(waiting) == b"0123456"
    assert (waiting.received, waiting.left, len(waiting.header)) == (7, 0, 0)
    assert other.recv(10) == b"789"


def test_it_goes_on_from_frame_to_frame(ends: Any) -> None:
    one, other = ends
    one.sendall(b"rest" + header(DATA, 6) + b"second" + header(DATA, 1) + b"3" + b"no more")
    waiting = body(other, 4, to_come=11)
    assert taken(waiting) == b"restsecond3"
    assert (waiting.received, waiting.left, len(waiting.header)) == (11, 0, 0)
    assert other.recv(10) == b"no more"


def test_frames_of_every_size(ends: Any) -> None:
    """Whatever falls together: the ends of buffers, of frames and of what has arrived."""
    one, other = ends
    content = random.Random(7).randbytes(300_000)
    sizes = [1, 2, 3, 4, 5, 511, 512, 513, 1000, 65_535, 65_536]
    frames, at = b"", 0
    for size in itertools.cycle(sizes):
        piece = content[at : at + size]
        frames += header(DATA, len(piece)) + piece
        at += size
        if at >= len(content):
            break
    sender = threading.Thread(target=one.sendall, args=(frames[4:],))
    sender.start()
    got, waiting = b"", body(other, 1, to_come=len(content))
    for size in itertools.cycle([1, 7, 512, 70_000]):
        buffer = memoryview(bytearray(size))
        count = waiting.fill(buffer)
        got += buffer[:count]
        if not waiting.to_come:
            break
    sender.join()
    waiting.close()
    assert got == content


@pytest.mark.parametrize(
    "follows",
    [
        header(MESSAGE, 5),
        header(DATA, 8),
        header(DATA, 0),
        b"\xff\xff\xff\xff",
        header(DATA, 7)[:3],
    ],
    ids=["a message", "more than the body", "an empty frame", "no frame", "half a header"],
)
def test_what_else_follows_is_handed_back(ends: Any, follows: bytes) -> None:
    one, other = ends
    one.sendall(b"data" + follows)
    waiting = body(other, 4, to_come=11)
    assert taken(waiting) == b"data"
    assert (waiting.left, bytes(waiting.header)) == (0, follows)


def test_a_body_that_is_over_takes_no_header(ends: Any) -> None:
    one, other = ends
    one.sendall(b"data" + header(MESSAGE, 5))
    assert taken(body(other, 4)) == b"data"
    assert other.recv(10) == header(MESSAGE, 5)


def test_it_waits_for_what_comes_soon(ends: Any) -> None:
    one, other = ends
    content = os.urandom(3 << 20)
    sender = threading.Thread(target=one.sendall, args=(content,))
    waiting = body(other, len(content))
    sender.start()
    got = taken(waiting)
    other.setblocking(True)
    while len(got) < len(content):  # this machine had a lull
        got += other.recv(1 << 20)
    sender.join()
    assert got == content


def test_it_gives_up_in_a_lull(ends: Any) -> None:
    one, other = ends
    one.sendall(b"some")
    assert taken(body(other, 1 << 20)) == b"some"


def test_the_end_of_the_connection_is_left_to_the_transport(ends: Any) -> None:
    one, other = ends
    one.sendall(b"last words")
    one.close()
    assert taken(body(other, 1 << 20)) == b"last words"
    assert other.recv(10) == b""


def test_it_outlives_its_transport(ends: Any) -> None:
    one, other = ends
    waiting = body(other, 1 << 20)
    other.close()
    one.sendall(b"still")
    assert taken(waiting) == b"still"


def test_what_a_relay_holds_unwritten_is_bounded(ends: Any) -> None:
    """So a kill loses little: one buffer is filled while the other is written, and there is no
    third, however many times they are filled.
    """
    one, other = ends
    one.setblocking(False)
    waiting = body(other, 6 * BUFFER)
    buffers: dict[int, Any] = {}
    written: list[int] = []

    def send(_: Any = None) -> None:
        if len(written) < 12:
            with contextlib.suppress(BlockingIOError):
                while one.send(bytes(1 << 16)):
                    pass

    def write(pieces: Any) -> None:
        for piece in pieces:
            buffers[id(piece.obj)] = piece.obj  # held, so that no other has its id
            written.append(len(piece))

    send()
    relay(waiting.fill, BUFFER, send, write)
    waiting.close()
    assert len(written) > 4
    assert sum(written) == waiting.received
    assert [len(each) for each in buffers.values()] == [BUFFER, BUFFER]


@pytest.mark.parametrize("size", [1, 5000])
def test_a_short_body_needs_short_buffers(ends: Any, size: int) -> None:
    one, other = ends
    one.sendall(bytes(size))
    waiting = body(other, size)
    buffers: list[int] = []

    def write(pieces: Any) -> None:
        buffers.append(len(pieces[0].obj))

    relay(waiting.fill, waiting.buffer_size, lambda piece: None, write)
    waiting.close()
    assert waiting.received == size
    assert set(buffers) == {size}


def test_a_relay_says_what_writing_failed_with(ends: Any) -> None:
    def full(pieces: Any) -> None:
        raise NoSpace("the disk is full")

    one, other = ends
    one.sendall(bytes(100_000))
    waiting = body(other, 1 << 20)
    with pytest.raises(NoSpace):
        relay(waiting.fill, BUFFER, lambda piece: None, full)
    waiting.close()


def test_a_relay_says_what_hashing_failed_with(ends: Any) -> None:
    def broken(piece: Any) -> None:
        raise RuntimeError("no digest")

    one, other = ends
    one.sendall(bytes(1000))
    waiting = body(other, 1 << 20)
    with pytest.raises(RuntimeError, match="no digest"):
        relay(waiting.fill, BUFFER, broken, lambda pieces: None)
    waiting.close()
    assert not [each for each in threading.enumerate() if each.name == "ft-relay"]


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
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[SocketBody]:
    """Each range that was read off a socket."""
    seen: list[SocketBody] = []
    real = SocketBody.__init__

    def noted(self: SocketBody, transport: Any, left: int) -> None:
        seen.append(self)
        real(self, transport, left)

    monkeypatch.setattr(SocketBody, "__init__", noted)
    return seen


def received(bodies: list[SocketBody]) -> int:
    return sum(each.received for each in bodies)


@pytest_twisted.ensureDeferred
async def test_most_of_a_body_comes_this_way(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path, bodies: list[SocketBody]
) -> None:
    root, client, _ = served
    await client.get("file", tmp_path / "got")
    downloaded = received(bodies)
    assert downloaded > len(CONTENT) // 2
    await client.put(tmp_path / "got", "back")
    assert received(bodies) - downloaded > len(CONTENT) // 2
    assert (tmp_path / "got").read_bytes() == (root / "back").read_bytes() == CONTENT
    assert any(each.received > 2 * PIECE for each in bodies)  # more than a frame


@pytest_twisted.ensureDeferred
async def test_into_a_store_that_keeps_what_it_is_given(
    served: tuple[Path, Client, FileTransferFactory], bodies: list[SocketBody]
) -> None:
    """The buffer is used again for the next piece: what was written must be a copy."""
    _, client, _ = served
    store = MemoryStore()
    await client.fetch("file", store, "file")
    assert received(bodies)
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
    bodies: list[SocketBody],
) -> None:
    _, client, _ = served
    real = PartialFile.write

    def full(self: PartialFile, pieces: Any) -> None:
        if received(bodies) > len(CONTENT) // 4:
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
    served: tuple[Path, Client, FileTransferFactory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, client, factory = served
    (server,) = factory.connections
    port = server.transport.getHost().port
    real = SocketBody.fill
    taken = 0

    def cut(self: SocketBody, buffer: memoryview) -> int:
        nonlocal taken
        if taken > len(CONTENT) // 2:
            reactor.callFromThread(server.transport.abortConnection)
        taken += (count := real(self, buffer[: 1 << 20]))
        return count

    with monkeypatch.context() as patched:
        patched.setattr(SocketBody, "fill", cut)
        await _fails(client.get("file", tmp_path / "got"), FileTransferError)
    again = await connect(f"ft://127.0.0.1:{port}", reactor=reactor)
    delivery = await again.get("file", tmp_path / "got")
    await again.close()
    assert delivery.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_limited_download_is_counted_piece_by_piece(
    served: tuple[Path, Client, FileTransferFactory], tmp_path: Path, bodies: list[SocketBody]
) -> None:
    _, _, factory = served
    (server,) = factory.connections
    place = f"ft://127.0.0.1:{server.transport.getHost().port}"
    limited = await connect(place, reactor=reactor, limit_rate=1e9)
    await limited.get("file", tmp_path / "got")
    await limited.close()
    assert not received(bodies)
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_without_a_descriptor_for_it(
    served: tuple[Path, Client, FileTransferFactory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, client, _ = served

    def none_left(self: SocketBody, transport: Any, left: int) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(SocketBody, "__init__", none_left)
    await client.get("file", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_it_is_for_plain_sockets_only() -> None:
    transport = tcp.Connection(socket.socket(), Protocol(), reactor)
    assert can_recvfile(transport)
    transport.TLS = True
    assert not can_recvfile(transport)
    assert not can_recvfile(object())
    transport.socket.close()
