"""Peers on a real socket that aren't FT/1's, or break it, or say nothing, or take nothing."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.kit.programs import Server, ft
from twisted_ft.wire.frames import MAGIC, MESSAGE, header

HELLO = ["hello", [1], "a test", [], [1 << 20, 64, 30]]
GET = ["get", 1, b"large"]


def _message(content: object) -> bytes:
    payload = msgspec.msgpack.encode(content)
    return header(MESSAGE, len(payload)) + payload


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for a second."""
    root = tmp_path_factory.mktemp("impatient")
    with (root / "large").open("wb") as large:
        large.truncate(1 << 30)
    with Server(root, "--timeout", "1") as server:
        yield server


@pytest.fixture
def peer(impatient: Server) -> Iterator[socket.socket]:
    """Connected to the server."""
    with socket.create_connection(("127.0.0.1", impatient.port), 30) as connection:
        yield connection


def _all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    said = bytearray()
    try:
        while some := connection.recv(1 << 16):
            said += some
    except ConnectionResetError:
        pass
    return bytes(said)


def test_http(peer: socket.socket) -> None:
    peer.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
    answer = _all_of(peer)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"ft get ft://" in answer


def test_tls(impatient: Server) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", impatient.port), 30) as connection,
        pytest.raises(OSError, match=r"(?i)ssl|eof|reset"),
    ):
        context.wrap_socket(connection, server_hostname="localhost")


def test_noise(peer: socket.socket) -> None:
    peer.sendall(b"\xff" * 1000)
    assert _all_of(peer) == b""


def test_silence(peer: socket.socket) -> None:
    began = time.monotonic()
    assert b"timeout" in _all_of(peer)
    assert 0.9 < time.monotonic() - began < 5


def test_silence_in_the_middle_of_the_greeting(peer: socket.socket) -> None:
    peer.sendall(MAGIC + _message(HELLO)[:10])
    assert b"timeout" in _all_of(peer)


def test_an_unknown_version(peer: socket.socket) -> None:
    peer.sendall(MAGIC + _message(["hello", [77], "a test", [], [1 << 20, 64, 30]]))
    assert b"version" in _all_of(peer)


def test_a_message_that_is_too_long(peer: socket.socket) -> None:
    peer.sendall(MAGIC + header(MESSAGE, (1 << 20) + 1))
    assert b"over-limit" in _all_of(peer)


def test_a_message_that_is_none(peer: socket.socket) -> None:
    peer.sendall(MAGIC + _message({"hello": "there"}))
    assert b"protocol" in _all_of(peer)


def test_what_is_out_of_turn(peer: socket.socket) -> None:
    peer.sendall(MAGIC + _message(HELLO) + _message(["receipt", 1, bytes(32)]))
    assert b"protocol" in _all_of(peer)


def test_a_peer_that_stops_reading(peer: socket.socket, impatient: Server) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    peer.sendall(MAGIC + _message(HELLO))
    assert peer.recv(4096).startswith(MAGIC)
    peer.sendall(_message(GET))
    assert b"offer" in peer.recv(4096)
    peer.sendall(_message(["accept", 1, 0]))
    impatient.wait_for(r"not sent large: the other side has read nothing for 1 seconds", 10)


def test_the_log_names_each_stranger(impatient: Server) -> None:
    for opening, who in ((b"SSH-2.0-x\r\n", "speaks SSH"), (b"\x16\x03\x01\x02\x00\x01", "TLS")):
        with socket.create_connection(("127.0.0.1", impatient.port), 30) as connection:
            connection.sendall(opening)
            _all_of(connection)
        impatient.wait_for(rf"the other side .*{who}", 5)


def test_after_all_that_it_still_serves(impatient: Server) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), 30) as connection:
        connection.sendall(os.urandom(100))
        _all_of(connection)
    assert ft("ls", impatient.url()).ok().out == "large\n"


def _greeted(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.sendall(MAGIC + _message(HELLO))
    assert connection.recv(4096).startswith(MAGIC)
    return connection


def test_who_is_idle_makes_room(tmp_path: Path) -> None:
    with Server(tmp_path, "--max-connections", "2") as server:
        first, second = _greeted(server.port), _greeted(server.port)
        with first, second:
            ft("ls", server.url()).ok()
            assert b"needs the place" in _all_of(first)
            ft("ls", server.url()).ok()
            server.wait_for("refused: the server needs the place of this connection")
