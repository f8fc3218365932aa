"""TLS in larger steps: that they are taken, what they hold, and where they can't be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet import ssl
from twisted.protocols.tls import TLSMemoryBIOProtocol

from tests.kit.insides import connection_of
from tests.kit.staging import Certificates, TLSEndpoint, code_of, failure_of
from twisted_ft import Client, FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import FileTransferError
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.connection import tls as tls_module
from twisted_ft.transfer.connection.tls import TLSStream, tls_stream
from twisted_ft.transfer.transports import RECEIVE_SIZE
from twisted_ft.wire.conversation import Side

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL .* objects")  # Twisted does
CONTENT = os.urandom(5 << 20)
RECORD = 1 << 14


class Counted:
    """Notes what OpenSSL is asked to encrypt, and to decrypt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[int] = []
        self.received = 0
        send, recv_into = SSL.Connection.send, SSL.Connection.recv_into

        def counted_send(connection: Any, data: Any, flags: int = 0) -> int:
            self.sent.append(len(data))
            return send(connection, data, flags)

        def counted_recv(connection: Any, buffer: Any, *args: Any) -> int:
            count = recv_into(connection, buffer, *args)
            self.received += count
            return count

        monkeypatch.setattr(SSL.Connection, "send", counted_send)
        monkeypatch.setattr(SSL.Connection, "recv_into", counted_recv)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def connected(store: MemoryStore, certificates: Certificates) -> tuple[MemoryNetwork, Client]:
    network = MemoryNetwork()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    endpoint = TLSEndpoint(network, factory, certificates)
    return network, network.run(connect(endpoint, runtime=network.runtime))


def there_and_back(tmp_path: Path, certificates: Certificates) -> None:
    """A file up, and down again."""
    store = MemoryStore()
    network, client = connected(store, certificates)
    (tmp_path / "file").write_bytes(CONTENT)
    network.run(client.put(tmp_path / "file", "there"))
    network.run(client.get("there", tmp_path / "back"))
    assert store.files[b"there"].content == (tmp_path / "back").read_bytes() == CONTENT
    network.run(client.close())


def test_a_piece_is_encrypted_by_one_call_and_records_come_together(
    tmp_path: Path, counted: Counted
) -> None:
    """If this fails with a new pyOpenSSL: see ``_allow_whole_pieces``; all works, but slowly."""
    there_and_back(tmp_path, Certificates())
    assert max(counted.sent) == 1 << 20
    assert len(counted.sent) < 100  # 640 records, with those of the messages
    assert counted.received > len(CONTENT)


def test_without_that_mode_it_goes_record_by_record(
    tmp_path: Path, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_module, "_PARTIAL_WRITE", 0)
    there_and_back(tmp_path, Certificates())
    assert len(counted.sent) > 2 * len(CONTENT) // RECORD


def test_before_tls_1_3_the_transport_does_it_all(tmp_path: Path, counted: Counted) -> None:
    there_and_back(tmp_path, Certificates(ssl.TLSVersion.TLSv1_2))
    assert max(counted.sent) <= RECORD
    assert not counted.received


def test_what_is_said_at_the_greeting_is_not_held_back() -> None:
    """Else what is said next, in larger steps, would overtake it."""
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore(), runtime=network.runtime)
    endpoint = TLSEndpoint(network, factory, Certificates())
    listings: list[Any] = []
    written: list[int] = []

    def begin(client: Client) -> Client:
        socket = connection_of(client).protocol.transport.transport
        written.append(socket.written)
        listings.append(client.list())
        written.append(socket.written)
        return client

    network.run(connect(endpoint, runtime=network.runtime).addCallback(begin))
    assert network.run(listings[0]) == []
    assert written[0] < written[1]


def test_plain_transports_have_none() -> None:
    assert tls_stream(object()) is None


class Records:
    """A transport, and its SSL.Connection, in which records wait to be read."""

    def __init__(self, waiting: list[bytes]) -> None:
        self.waiting = waiting
        self.transport = self
        self.bufferSize = 1 << 16
        self.disconnecting = False
        self.aborted = False

    def getHandle(self) -> Any:
        return self

    def recv_into(self, buffer: memoryview, size: int) -> int:
        if not self.waiting:
            raise SSL.WantReadError
        record = self.waiting.pop(0)
        buffer[: len(record)] = record
        return len(record)

    def send(self, data: memoryview) -> int:
        raise SSL.Error([("SSL routines", "", "protocol is shutdown")])

    def abortConnection(self) -> None:
        self.aborted = True


def test_what_has_come_is_one_piece_up_to_a_bound() -> None:
    """And what is beyond the bound is for the transport's next call."""
    transport = Records([bytes([number]) * RECORD for number in range(40)])
    stream = TLSStream(transport, RECEIVE_SIZE)
    assert transport.bufferSize == RECEIVE_SIZE
    piece = stream.read_on(b"f" * RECORD)
    assert len(piece) == RECEIVE_SIZE
    assert piece[RECORD - 1 : RECORD + 1] == b"f\0"
    assert len(transport.waiting) == 40 - 31


def test_a_small_piece_keeps_no_large_buffer() -> None:
    transport = Records([b"a" * 10])
    stream = TLSStream(transport, RECEIVE_SIZE)
    first = stream.read_on(b"f" * RECORD)
    transport.waiting = [b"b" * RECORD]
    second = stream.read_on(b"g" * RECORD)
    assert isinstance(first, bytes)
    assert first == b"f" * RECORD + b"a" * 10
    assert second == b"g" * RECORD + b"b" * RECORD


def test_a_record_that_is_not_full_is_alone() -> None:
    transport = Records([b"next"])
    assert TLSStream(transport, RECEIVE_SIZE).read_on(b"short") == b"short"
    assert transport.waiting == [b"next"]


def test_what_can_not_be_encrypted_ends_the_connection() -> None:
    transport = Records([])
    TLSStream(transport, RECEIVE_SIZE).write(b"late")
    assert transport.aborted


def test_nothing_is_written_when_the_connection_is_over() -> None:
    transport = Records([])
    transport.disconnecting = True
    TLSStream(transport, RECEIVE_SIZE).write(b"late")
    assert not transport.aborted


@pytest.mark.parametrize("at", [0, 100_000, 3 << 20])
def test_a_damaged_record_ends_the_transfer_with_a_sentence(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL finds it, in the middle of a piece as well, and the transport ends the connection."""
    network, client = connected(MemoryStore(), Certificates())
    (tmp_path / "file").write_bytes(CONTENT)
    network.run(client.put(tmp_path / "file", "there"))
    left = at
    receive = TLSMemoryBIOProtocol.dataReceived

    def damaged(self: Any, data: bytes) -> None:
        nonlocal left
        if self.wrappedProtocol.side is Side.CLIENT:
            if 0 <= left < len(data):
                data = data[:left] + bytes([data[left] ^ 1]) + data[left + 1 :]
            left -= len(data)
        receive(self, data)

    monkeypatch.setattr(TLSMemoryBIOProtocol, "dataReceived", damaged)
    with pytest.raises(FileTransferError, match="run again to resume"):
        network.run(client.get("there", tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_a_connection_that_is_paused_for_its_rate_closes_at_once_all_the_same() -> None:
    """The other side's last word is read, without waiting for it in vain."""
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore({b"a": CONTENT}), runtime=network.runtime)
    endpoint = TLSEndpoint(network, factory, Certificates())
    client = network.run(connect(endpoint, runtime=network.runtime, limit_rate=len(CONTENT)))
    call = failure_of(client.fetch("a", MemoryStore(), "a"))
    network.advance(0.1)
    assert not connection_of(client).protocol.transport.transport.reading
    closed = client.close()
    network.advance(1)
    assert closed.called
    assert [code_of(each) for each in call] == ["connection"]
