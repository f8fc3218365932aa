"""Bodies taken off a socket by the thread that writes them: where, and that it's no different."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.kit.serving import CONTENT, Ends, Served, fails, no_descriptor, reactor
from twisted_ft import MemoryStore
from twisted_ft.errors import FileTransferError, NoSpace
from twisted_ft.stores.local.partial import PartialFile
from twisted_ft.transfer.bodies.outflow import PIECE
from twisted_ft.transfer.sockets.recvfile import BUFFER, HAS_RECVFILE, SocketBody
from twisted_ft.transfer.sockets.relay import relay
from twisted_ft.wire.frames import DATA, MESSAGE, header

pytestmark = pytest.mark.skipif(not HAS_RECVFILE, reason="there is no readv or poll here")


def body(end: socket.socket, left: int, to_come: int | None = None) -> SocketBody:
    """What is on ``end``: ``left`` bytes of a frame, and of the body ``to_come``."""
    waiting = SocketBody(end, left)
    waiting.to_come = left if to_come is None else to_come
    return waiting


def taken(waiting: SocketBody) -> bytes:
    got, buffer = b"", memoryview(bytearray(1 << 19))
    while count := waiting.fill(buffer):
        got += buffer[:count]
    waiting.close()
    return got


def test_a_body_is_read_to_its_end_and_no_further(ends: Ends) -> None:
    one, other = ends
    one.sendall(b"0123456789")
    waiting = body(other, 7)
    assert taken(waiting) == b"0123456"
    assert (waiting.received, waiting.left, len(waiting.header)) == (7, 0, 0)
    assert other.recv(10) == b"789"


def test_it_goes_on_from_frame_to_frame(ends: Ends) -> None:
    one, other = ends
    one.sendall(b"rest" + header(DATA, 6) + b"second" + header(DATA, 1) + b"3" + b"no more")
    waiting = body(other, 4, to_come=11)
    assert taken(waiting) == b"restsecond3"
    assert (waiting.received, waiting.left, len(waiting.header)) == (11, 0, 0)
    assert other.recv(10) == b"no more"


def test_frames_of_every_size(ends: Ends) -> None:
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
def test_what_else_follows_is_handed_back(ends: Ends, follows: bytes) -> None:
    one, other = ends
    one.sendall(b"data" + follows)
    waiting = body(other, 4, to_come=11)
    assert taken(waiting) == b"data"
    assert (waiting.left, bytes(waiting.header)) == (0, follows)


def test_a_body_that_is_over_takes_no_header(ends: Ends) -> None:
    one, other = ends
    one.sendall(b"data" + header(MESSAGE, 5))
    assert taken(body(other, 4)) == b"data"
    assert other.recv(10) == header(MESSAGE, 5)


def test_it_waits_for_what_comes_soon(ends: Ends) -> None:
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


def test_it_gives_up_in_a_lull(ends: Ends) -> None:
    one, other = ends
    one.sendall(b"some")
    assert taken(body(other, 1 << 20)) == b"some"


def test_the_end_of_the_connection_is_left_to_the_transport(ends: Ends) -> None:
    one, other = ends
    one.sendall(b"last words")
    one.close()
    assert taken(body(other, 1 << 20)) == b"last words"
    assert other.recv(10) == b""


def test_it_outlives_its_transport(ends: Ends) -> None:
    one, other = ends
    waiting = body(other, 1 << 20)
    other.close()
    one.sendall(b"still")
    assert taken(waiting) == b"still"


def test_what_a_relay_holds_unwritten_is_bounded(ends: Ends) -> None:
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
def test_a_short_body_needs_short_buffers(ends: Ends, size: int) -> None:
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


def test_a_relay_says_what_writing_failed_with(ends: Ends) -> None:
    def full(pieces: Any) -> None:
        raise NoSpace("the disk is full")

    one, other = ends
    one.sendall(bytes(100_000))
    waiting = body(other, 1 << 20)
    with pytest.raises(NoSpace):
        relay(waiting.fill, BUFFER, lambda piece: None, full)
    waiting.close()


def test_a_relay_says_what_hashing_failed_with(ends: Ends) -> None:
    def broken(piece: Any) -> None:
        raise RuntimeError("no digest")

    one, other = ends
    one.sendall(bytes(1000))
    waiting = body(other, 1 << 20)
    with pytest.raises(RuntimeError, match="no digest"):
        relay(waiting.fill, BUFFER, broken, lambda pieces: None)
    waiting.close()
    assert not [each for each in threading.enumerate() if each.name == "ft-relay"]


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
    served: Served, tmp_path: Path, bodies: list[SocketBody]
) -> None:
    await served.client.get("file", tmp_path / "got")
    downloaded = received(bodies)
    assert downloaded > len(CONTENT) // 2
    await served.client.put(tmp_path / "got", "back")
    assert received(bodies) - downloaded > len(CONTENT) // 2
    assert (tmp_path / "got").read_bytes() == (served.root / "back").read_bytes() == CONTENT
    assert any(each.received > 2 * PIECE for each in bodies)  # more than a frame


@pytest_twisted.ensureDeferred
async def test_into_a_store_that_keeps_what_it_is_given(
    served: Served, bodies: list[SocketBody]
) -> None:
    """The buffer is used again for the next piece: what was written must be a copy."""
    store = MemoryStore()
    await served.client.fetch("file", store, "file")
    assert received(bodies)
    assert store.files[b"file"].content == CONTENT


@pytest_twisted.ensureDeferred
async def test_several_at_once_and_messages_between_them(served: Served, tmp_path: Path) -> None:
    transfers: list[Deferred[Any]] = [
        served.client.get("file", tmp_path / f"{n}") for n in range(3)
    ]
    await served.asked_meanwhile(transfers)
    for each in range(3):
        assert (tmp_path / f"{each}").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_full_disk_is_said_and_the_connection_goes_on(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bodies: list[SocketBody],
) -> None:
    real = PartialFile.write

    def full(self: PartialFile, pieces: Any) -> None:
        if received(bodies) > len(CONTENT) // 4:
            raise NoSpace("the disk is full")
        real(self, pieces)

    with monkeypatch.context() as patched:
        patched.setattr(PartialFile, "write", full)
        await fails(served.client.get("file", tmp_path / "got"), NoSpace)
    again = await served.client.get("file", tmp_path / "got")
    assert again.resumed_from > 0
    assert (tmp_path / "got").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_connection_that_ends_meanwhile_is_carried_on(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = served.connection
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
        await fails(served.client.get("file", tmp_path / "got"), FileTransferError)
    assert (await served.is_got(tmp_path / "got")).resumed_from > 0


@pytest_twisted.ensureDeferred
async def test_a_limited_download_is_counted_piece_by_piece(
    served: Served, tmp_path: Path, bodies: list[SocketBody]
) -> None:
    await served.is_got(tmp_path / "got", limit_rate=1e9)
    assert not received(bodies)


@pytest_twisted.ensureDeferred
async def test_without_a_descriptor_for_it(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SocketBody, "__init__", no_descriptor)
    await served.is_got(tmp_path / "got")
