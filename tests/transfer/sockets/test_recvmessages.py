"""Messages taken off a socket by the thread that unpacks them: it's no different from others."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from threading import Thread
from typing import Any

import pytest

from tests.kit.serving import Ends, parcel_of
from twisted_ft.transfer.sockets import lease as turn
from twisted_ft.transfer.sockets.recvfile import HAS_RECVFILE
from twisted_ft.transfer.sockets.recvmessages import SocketMessages
from twisted_ft.wire.frames import DATA, HEADER_SIZE, MESSAGE, encode, header
from twisted_ft.wire.messages import Get, Message

pytestmark = pytest.mark.skipif(not HAS_RECVFILE, reason="there is no readv or poll here")
LIMIT = 1 << 12
"""Bytes in a message, for those that are read here."""
NEVER: Any = "no time in which something may come"
"""As a lull: poll(2) doesn't take it, so waiting fails."""


def reading(end: socket.socket, begun: bytes = b"") -> SocketMessages:
    """What is next on ``end``, of which some has come already."""
    waiting = SocketMessages(end, LIMIT)
    waiting.begin(begun)
    return waiting


def stream_of(messages: Sequence[Message]) -> bytes:
    return b"".join(map(encode, messages))


SOME: list[Message] = [Get(1, b"first"), Get(3, b""), Get(5, b"and the last")]
STREAM = stream_of(SOME)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, and time is never over."""
    monkeypatch.setattr(turn, "_LULL", NEVER)
    monkeypatch.setattr(turn, "_TURN", 600)


@pytest.mark.usefixtures("at_once")
def test_a_message_that_has_begun_elsewhere(ends: Ends) -> None:
    one, other = ends
    begun = len(encode(SOME[0])) - 3
    one.sendall(STREAM[begun:])
    waiting = reading(other, STREAM[:begun])
    assert waiting.receive(8) == SOME
    assert waiting.rest == b""
    waiting.close()


@pytest.mark.usefixtures("at_once")
def test_as_many_as_are_wanted(ends: Ends) -> None:
    one, other = ends
    one.sendall(STREAM + STREAM)
    waiting = reading(other)
    assert waiting.receive(2) == SOME[:2]
    assert waiting.receive(3) == [SOME[2], *SOME[:2]]
    assert waiting.receive(3) == SOME[2:]
    assert waiting.rest == b""
    waiting.close()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_cut_anywhere(ends: Ends, cut: int) -> None:
    """What has come by other means, and what a thread finds when it looks first."""
    one, other = ends
    one.sendall(STREAM[cut:])
    waiting = reading(other, STREAM[:cut])
    assert waiting.receive(8) == SOME
    assert waiting.rest == b""
    waiting.close()
    first = len(encode(SOME[0]))
    one.sendall(STREAM[:first] + STREAM[:cut])
    waiting = reading(other)
    found = waiting.receive(8)
    assert found == [SOME[0], *(each for at, each in enumerate(SOME, 1) if cut >= _end(at))]
    one.sendall(STREAM[cut:] + STREAM[:first])
    assert [*found, *waiting.receive(8)] == [SOME[0], *SOME, SOME[0]]
    assert waiting.rest == b""
    waiting.close()


def _end(count: int) -> int:
    """Bytes in the first so many."""
    return len(stream_of(SOME[:count]))


@pytest.mark.usefixtures("at_once")
def test_more_than_the_buffer_holds(ends: Ends) -> None:
    """Wherever a message lies in it when there is no room for the rest; none changes by that."""
    one, other = ends
    sizes = [LIMIT - 100, 1, LIMIT // 2, LIMIT - 100, LIMIT - 101, 7, LIMIT // 3] * 9
    messages = [parcel_of(2 * at + 1, size) for at, size in enumerate(sizes)]
    longest = Get(1, b"a" * (LIMIT - 9))
    assert len(encode(longest)) == HEADER_SIZE + LIMIT
    everything: list[Message] = [longest, *messages, longest, longest]
    stream = stream_of(everything)
    waiting = reading(other)
    found: list[Message] = []
    sent = end = 0
    for at, each in enumerate(everything):
        begin, end = sent, end + len(encode(each))
        sent = end + LIMIT // 5  # the next one has begun
        one.sendall(stream[begin:sent])
        if len(found) == at:
            found += waiting.receive(8)
    assert found == everything
    assert waiting.rest == b""
    waiting.close()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "follows",
    [
        header(DATA, 5) + b"12345",
        header(3, 5) + b"12345",
        header(MESSAGE, 0),
        header(MESSAGE, LIMIT + 1) + b"1",
        header(MESSAGE, 3) + b"\xc1\xc1\xc1",
        header(MESSAGE, 0xFFFFFF),
    ],
    ids=["data", "an unknown kind", "nothing", "over the limit", "unreadable", "the longest"],
)
def test_what_else_follows_ends_it_and_is_handed_back(ends: Ends, follows: bytes) -> None:
    one, other = ends
    one.sendall(STREAM + follows + STREAM)
    waiting = reading(other)
    assert waiting.receive(8) == SOME
    assert waiting.receive(8) == []
    assert waiting.receive(8) == []
    assert waiting.rest == follows + STREAM
    waiting.close()
    one.sendall(STREAM)
    waiting = reading(other, follows)
    assert waiting.receive(8) == []
    assert waiting.rest == follows
    waiting.close()
    assert other.recv(LIMIT) == STREAM


def test_a_lull_ends_it(ends: Ends) -> None:
    one, other = ends
    one.sendall(STREAM + STREAM[:7])
    waiting = reading(other)
    assert waiting.receive(8) == SOME
    assert waiting.receive(8) == []
    one.sendall(STREAM[7:])
    assert waiting.receive(8) == []
    assert waiting.rest == STREAM[:7]
    waiting.close()
    assert other.recv(LIMIT) == STREAM[7:]


def test_it_waits_for_what_comes_soon(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "_LULL", 60_000)
    monkeypatch.setattr(turn, "_TURN", 600)
    one, other = ends
    waiting = reading(other, STREAM[:5])
    later = Thread(target=one.sendall, args=(STREAM[5:],))
    later.start()
    found = waiting.receive(1)
    later.join()
    assert [*found, *waiting.receive(8)] == SOME
    waiting.close()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("reset", [False, True])
def test_the_end_of_the_connection_is_left_to_the_transport(ends: Ends, reset: bool) -> None:
    one, other = ends
    if reset:
        other.sendall(b"what nobody reads")
    one.sendall(STREAM + STREAM[:7])
    one.close()
    waiting = reading(other)
    assert waiting.receive(8) == SOME
    assert waiting.receive(8) == []
    assert waiting.rest == STREAM[:7]
    waiting.close()
    if not reset:
        assert other.recv(10) == b""


def test_nothing_is_read_when_its_time_is_over(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "_TURN", -1)
    one, other = ends
    one.sendall(STREAM)
    waiting = reading(other, STREAM)
    assert waiting.receive(8) == []
    assert waiting.rest == STREAM
    waiting.close()
    assert other.recv(LIMIT) == STREAM


@pytest.mark.usefixtures("at_once")
def test_nothing_is_waited_for_when_its_time_is_over(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_TURN", 0)
    one, other = ends
    waiting = reading(other, STREAM[:7])
    assert waiting.receive(8) == []
    one.sendall(STREAM[7:])
    assert waiting.receive(8) == []
    assert waiting.rest == STREAM[:7]
    waiting.close()


@pytest.mark.usefixtures("at_once")
def test_nothing_is_read_when_it_is_stopped(ends: Ends) -> None:
    one, other = ends
    one.sendall(STREAM + STREAM)
    waiting = reading(other)
    assert waiting.receive(1) == SOME[:1]
    waiting.stop()
    assert waiting.receive(8) == []
    assert waiting.rest == (STREAM + STREAM)[len(encode(SOME[0])) :]
    waiting.close()


@pytest.mark.usefixtures("at_once")
def test_it_outlives_its_transport(ends: Ends) -> None:
    one, other = ends
    waiting = reading(other)
    other.close()
    one.sendall(STREAM)
    assert waiting.receive(8) == SOME
    waiting.close()
    with pytest.raises(OSError, match="Broken pipe"):
        one.sendall(STREAM)
