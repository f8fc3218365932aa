"""Bodies written to a socket by a thread: where, how far, and that it's no different."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import blockingCallFromThread

from tests.kit.insides import connection_of
from tests.kit.serving import CONTENT, Ends, Served, fails, no_descriptor, reactor
from twisted_ft import LocalStore, MemoryStore
from twisted_ft.errors import FileTransferError, SourceChanged, StorageFailed
from twisted_ft.stores.interfaces import DescriptorSource, IDescriptorSource
from twisted_ft.stores.local import digests
from twisted_ft.transfer.sockets import lease as turn
from twisted_ft.transfer.sockets.recvfile import SocketBody
from twisted_ft.transfer.sockets.sendfile import (
    HAS_SENDFILE,
    WORTHWHILE,
    SocketFrames,
    can_sendfile,
)
from twisted_ft.wire.frames import DATA, header

pytestmark = pytest.mark.skipif(not HAS_SENDFILE, reason="there is no sendfile or poll here")
LARGE = 15 << 20
"""More bytes than two sockets hold between them."""


def everything(one: socket.socket, other: socket.socket) -> bytes:
    """All that has been written to ``other``."""
    other.close()
    got = b""
    while part := one.recv(1 << 20):
        got += part
    return got


def source_of(folder: Path, content: bytes) -> DescriptorSource:
    (folder / "source").write_bytes(content)
    source: DescriptorSource = IDescriptorSource(LocalStore(folder).source(b"source"))
    return source


def test_each_piece_is_a_frame(ends: Ends) -> None:
    one, other = ends
    frames = SocketFrames(other)
    frames.write((b"first", memoryview(b"2")))
    assert frames.may_begin
    frames.close()
    assert not frames.rest
    assert everything(one, other) == header(DATA, 5) + b"first" + header(DATA, 1) + b"2"


def test_a_range_of_a_file_is_a_frame(ends: Ends, tmp_path: Path) -> None:
    one, other = ends
    frames = SocketFrames(other)
    assert frames.write_range(source_of(tmp_path, b"0123456789"), 2, 5) == 5
    assert frames.may_begin
    frames.close()
    assert everything(one, other) == header(DATA, 5) + b"23456"


def test_what_a_file_has_no_more_is_made_up_as_a_frame_must_be_filled(
    ends: Ends, tmp_path: Path
) -> None:
    one, other = ends
    frames = SocketFrames(other)
    assert frames.write_range(source_of(tmp_path, b"0123456789"), 8, 5) == 2
    frames.close()
    assert everything(one, other) + b"".join(frames.rest) == header(DATA, 5) + b"89\0\0\0"


def test_what_cannot_be_read_is_said_and_made_up(
    ends: Ends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    one, other = ends
    frames = SocketFrames(other)
    source = source_of(tmp_path, b"0123456789")
    with monkeypatch.context() as patched:
        patched.setattr(os, "sendfile", broken)
        patched.setattr(os, "pread", broken)
        with pytest.raises(StorageFailed, match="source"):
            frames.write_range(source, 0, 5)
    frames.close()
    assert everything(one, other) + b"".join(frames.rest) == header(DATA, 5) + bytes(5)


def test_a_file_that_sendfile_does_not_take_is_read(
    ends: Ends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfit(*_: object) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    one, other = ends
    frames = SocketFrames(other)
    with monkeypatch.context() as patched:
        patched.setattr(os, "sendfile", unfit)
        assert frames.write_range(source_of(tmp_path, b"0123456789"), 0, 5) == 5
    frames.close()
    assert everything(one, other) + b"".join(frames.rest) == header(DATA, 5) + b"01234"


@pytest.mark.parametrize("by", ["write", "write_range"])
def test_it_gives_up_in_a_lull_and_leaves_the_rest(ends: Ends, tmp_path: Path, by: str) -> None:
    one, other = ends
    content = os.urandom(LARGE)
    frames = SocketFrames(other)
    if by == "write":
        frames.write((content, b"and more"))
    else:
        source = source_of(tmp_path, content + b"and more")
        assert frames.write_range(source, 0, LARGE) == LARGE
        assert frames.write_range(source, LARGE, 8) == 8
    assert not frames.may_begin
    frames.close()
    whole = header(DATA, LARGE) + content + header(DATA, 8) + b"and more"
    assert everything(one, other) + b"".join(frames.rest) == whole


def test_it_waits_for_who_takes_it_soon(ends: Ends) -> None:
    one, other = ends
    content = os.urandom(3 << 20)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(one.recv(len(content), socket.MSG_WAITALL)))
    reader.start()
    frames = SocketFrames(other)
    frames.write((content,))
    frames.close()
    other.setblocking(True)
    other.sendall(b"".join(frames.rest) + bytes(4))  # this machine may have had a lull
    reader.join()
    assert got[0][4:] == content[:-4]


def test_no_frame_begins_when_its_time_is_over(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    _, other = ends
    monkeypatch.setattr(turn, "_TURN", 0)
    frames = SocketFrames(other)
    assert not frames.may_begin
    frames.close()


def test_no_socket_is_waited_for_when_its_time_is_over(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = ends
    monkeypatch.setattr(turn, "_TURN", 0)
    monkeypatch.setattr(turn, "_LULL", 10**8)
    frames = SocketFrames(other)
    frames.write((bytes(LARGE),))
    frames.close()
    assert frames.rest


def test_no_frame_begins_when_somebody_waits(ends: Ends) -> None:
    _, other = ends
    frames = SocketFrames(other)
    assert frames.may_begin
    frames.end_soon()
    assert not frames.may_begin
    frames.close()


def test_nothing_more_is_written_when_it_is_stopped(ends: Ends) -> None:
    one, other = ends
    frames = SocketFrames(other)
    frames.stop()
    frames.write((b"late",))
    frames.close()
    assert everything(one, other) == b""


@pytest.mark.parametrize("by", ["write", "write_range"])
def test_the_end_of_the_connection_is_left_to_the_transport(
    ends: Ends, tmp_path: Path, by: str
) -> None:
    one, other = ends
    one.close()
    frames = SocketFrames(other)
    if by == "write":
        frames.write((b"who hears",))
    else:
        assert frames.write_range(source_of(tmp_path, b"who hears"), 0, 9) == 9
    assert not frames.may_begin
    frames.close()
    assert b"".join(frames.rest) == header(DATA, 9) + b"who hears"


def test_it_outlives_its_transport(ends: Ends) -> None:
    one, other = ends
    frames = SocketFrames(other)
    other.close()
    frames.write((b"still",))
    frames.close()
    assert one.recv(20) == header(DATA, 5) + b"still"


# -- on connections ----------------------------------------------------------------------


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each frame that was sent from a buffer."""
    seen: list[int] = []
    real = SocketFrames.write

    def noted(self: SocketFrames, pieces: Any) -> None:
        seen.extend(map(len, pieces))
        real(self, pieces)

    monkeypatch.setattr(SocketFrames, "write", noted)
    return seen


@pytest.fixture
def by_kernel(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each os.sendfile has moved."""
    calls: list[int] = []
    real = os.sendfile

    def recorded(*args: Any) -> int:
        calls.append(real(*args))
        return calls[-1]

    monkeypatch.setattr(os, "sendfile", recorded)
    return calls


@pytest_twisted.ensureDeferred
async def test_the_kernel_sends_what_needs_no_hashing(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    copied: list[int],
    by_kernel: list[int],
) -> None:
    bodies: list[SocketBody] = []
    close = SocketBody.close

    def noted(self: SocketBody) -> None:
        bodies.append(self)
        close(self)

    monkeypatch.setattr(SocketBody, "close", noted)
    monkeypatch.setattr(digests, "_SETTLED", -(10**10))  # as if it had been there for long
    await served.client.get("file", tmp_path / "first")
    assert sum(copied) > len(CONTENT) // 2
    assert not by_kernel
    copied.clear()
    await served.client.get("file", tmp_path / "second")
    assert sum(by_kernel) > len(CONTENT) // 2
    assert not copied
    assert sum(each.received for each in bodies) > len(CONTENT)  # of both: whatever frames are
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_a_reader_that_stops_holds_no_thread(
    served: Served, tmp_path: Path, copied: list[int]
) -> None:
    """The server has one: while the first reader reads nothing, the second is served."""
    with open(served.root / "large", "wb") as file:
        file.truncate(4 * LARGE)
    slow = await served.connect(limit_rate=1e12)
    stopped: Deferred[None] = Deferred()

    def stop(moved: Any) -> None:
        if moved.sent and not stopped.called:
            connection_of(slow).protocol.reading.pause()
            stopped.callback(None)

    waiting = slow.get("large", tmp_path / "large", progress=stop)
    await stopped
    await served.client.get("file", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert not waiting.called
    assert sum(copied) > len(CONTENT)
    connection_of(slow).protocol.reading.resume()
    await waiting
    await slow.close()
    assert (tmp_path / "large").stat().st_size == 4 * LARGE


@pytest_twisted.ensureDeferred
async def test_a_message_waits_for_the_frames_that_are_read_and_no_longer(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "local").write_bytes(CONTENT)
    listing: list[Deferred[Any]] = []
    asked = threading.Event()
    turns: list[SocketFrames] = []
    write, end_soon = SocketFrames.write, SocketFrames.end_soon

    def noted(self: SocketFrames) -> None:
        asked.set()
        end_soon(self)

    def ask() -> None:
        listing.append(served.client.list())

    def slowly(self: SocketFrames, pieces: Any) -> None:
        write(self, pieces)
        turns.append(self)
        if len(turns) == 1:
            reactor.callFromThread(ask)
            assert asked.wait(60)

    monkeypatch.setattr(SocketFrames, "end_soon", noted)
    monkeypatch.setattr(SocketFrames, "write", slowly)
    await served.client.put(tmp_path / "local", "back")
    assert turns.count(turns[0]) <= 3  # the frame under way, and two that had been read
    assert await listing[0]


@pytest_twisted.ensureDeferred
async def test_who_waits_to_write_a_parcel_lets_the_thread_go_on_and_a_message_does_not(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_LULL", 60_000)
    monkeypatch.setattr(turn, "_TURN", 600)
    (tmp_path / "local").write_bytes(CONTENT)
    protocol = connection_of(served.client).protocol
    waiting: list[Deferred[None]] = []
    listing: list[Deferred[Any]] = []
    turns: list[SocketFrames] = []
    ended: list[SocketFrames] = []
    found: list[tuple[bool, int]] = []
    write, end_soon = SocketFrames.write, SocketFrames.end_soon

    def noted(self: SocketFrames) -> None:
        ended.append(self)
        end_soon(self)

    def wait_to_write() -> None:
        waiting.append(protocol.writing.writable())

    def ask() -> None:
        found.append((waiting[0].called, len(ended)))
        listing.append(served.client.list())
        found.append((waiting[0].called, len(ended)))

    def written(self: SocketFrames, pieces: Any) -> None:
        turns.append(self)
        if len(turns) == 1:
            blockingCallFromThread(reactor, wait_to_write)
        if len(turns) == 3:
            blockingCallFromThread(reactor, ask)
        write(self, pieces)

    monkeypatch.setattr(SocketFrames, "end_soon", noted)
    monkeypatch.setattr(SocketFrames, "write", written)
    await served.client.put(tmp_path / "local", "back")
    assert turns[0] is turns[2]
    assert found == [(False, 0), (False, 1)]
    await waiting[0]
    assert await listing[0]


def _amid(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[int]:
    """Have ``act`` called, once, in the thread that has sent a quarter; the frames' sizes."""
    sizes: list[int] = []
    write, write_range = SocketFrames.write, SocketFrames.write_range

    def noted(size: int) -> None:
        before = sum(sizes)
        sizes.append(size)
        if before < len(CONTENT) // 4 <= sum(sizes):
            act()

    def written(self: SocketFrames, pieces: Any) -> None:
        write(self, pieces)
        noted(len(pieces[0]))

    def range_written(self: SocketFrames, source: Any, offset: int, size: int) -> int:
        count = write_range(self, source, offset, size)
        noted(size)
        return count

    monkeypatch.setattr(SocketFrames, "write", written)
    monkeypatch.setattr(SocketFrames, "write_range", range_written)
    return sizes


@pytest.mark.parametrize("known", [False, True], ids=["hashed", "known"])
@pytest_twisted.ensureDeferred
async def test_a_file_that_shrinks_is_called_off_and_the_connection_goes_on(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    if known:
        monkeypatch.setattr(digests, "_SETTLED", -(10**10))
        await served.client.get("file", tmp_path / "first")
    with monkeypatch.context() as patched:
        sizes = _amid(patched, lambda: os.truncate(served.root / "file", len(CONTENT) // 2 + 5))
        await fails(served.client.get("file", tmp_path / "got"), SourceChanged)
    assert sum(sizes) > len(CONTENT) // 4
    assert (await served.client.get("file", tmp_path / "got")).size == len(CONTENT) // 2 + 5


@pytest.mark.parametrize("end", ["abortConnection", "loseConnection"])
@pytest_twisted.ensureDeferred
async def test_a_connection_that_ends_amid_a_body_is_carried_on(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    with monkeypatch.context() as patched:
        _amid(
            patched,
            lambda: reactor.callFromThread(
                getattr(connection_of(served.client).protocol.transport, end)
            ),
        )
        await fails(served.client.get("file", tmp_path / "got"), FileTransferError)
    await served.is_got(tmp_path / "got")


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_cancelled_stops_soon_and_the_connection_goes_on(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "local").write_bytes(CONTENT)
    running: list[Deferred[Any]] = []
    called_off = threading.Event()

    def cancel() -> None:
        running[0].cancel()
        called_off.set()

    def call_off() -> None:
        reactor.callFromThread(cancel)
        assert called_off.wait(60)

    with monkeypatch.context() as patched:
        sizes = _amid(patched, call_off)
        running.append(served.client.put(tmp_path / "local", "back"))
        await fails(running[0], CancelledError)
        await served.client.list()
    assert sum(sizes) < len(CONTENT) // 2
    assert not (served.root / "back").exists()
    await served.client.put(tmp_path / "local", "again")
    assert (served.root / "again").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_several_at_once_and_messages_between_them(served: Served, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(CONTENT)
    transfers: list[Deferred[Any]] = [
        served.client.get("file", tmp_path / f"{n}") for n in range(3)
    ]
    transfers += [served.client.put(tmp_path / "local", f"{n}") for n in range(3)]
    await served.asked_meanwhile(transfers)
    for each in range(3):
        assert (tmp_path / f"{each}").read_bytes() == CONTENT
        assert (served.root / f"{each}").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_where_it_is_not_taken(served: Served, tmp_path: Path, copied: list[int]) -> None:
    """What is small, limited in its rate, or no file of the system's."""
    small = WORTHWHILE - 1
    (tmp_path / "small").write_bytes(CONTENT[:small])
    await served.client.put(tmp_path / "small", "small")
    limited = await served.connect(limit_rate=1e12)
    (tmp_path / "local").write_bytes(CONTENT)
    await limited.put(tmp_path / "local", "limited")
    await limited.close()
    await served.client.send(MemoryStore({b"a": CONTENT}), "a", "memory")
    assert not copied
    assert (served.root / "small").read_bytes() == CONTENT[:small]
    assert (
        (served.root / "limited").read_bytes() == (served.root / "memory").read_bytes() == CONTENT
    )


@pytest_twisted.ensureDeferred
async def test_without_a_descriptor_for_it(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SocketFrames, "__init__", no_descriptor)
    await served.is_got(tmp_path / "got")


def test_it_is_for_files_only(tmp_path: Path) -> None:
    assert can_sendfile(source_of(tmp_path, CONTENT))
    assert not can_sendfile(MemoryStore({b"a": CONTENT}).source(b"a"))
