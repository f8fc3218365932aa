"""What is found out about a transport."""

from __future__ import annotations

import socket

from twisted.internet import reactor, tcp
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.protocol import Protocol

from twisted_ft.testing import MemoryTransport
from twisted_ft.transfer.transports import host_of, name_of, plain_socket, unsent

ADDRESS = IPv4Address("TCP", "192.0.2.1", 22222)


def test_only_plain_tcp_has_a_plain_socket() -> None:
    with socket.socket() as own:
        transport = tcp.Connection(own, Protocol(), reactor)
        assert plain_socket(transport) is own
        transport.TLS = True
        assert plain_socket(transport) is None
    assert plain_socket(MemoryTransport(Protocol(), ADDRESS)) is None
    assert plain_socket(object()) is None


def test_what_waits_to_be_sent() -> None:
    with socket.socket() as own:
        transport = tcp.Connection(own, Protocol(), reactor)
        transport.connected = True
        transport.write(b"12345")
        transport.writeSequence([b"67", b"8"])
        assert unsent(transport) == 8
        transport.stopWriting()
    in_memory = MemoryTransport(Protocol(), ADDRESS)
    in_memory.write(b"123")
    assert unsent(in_memory) == 3
    assert unsent(object()) == 0


def test_names_of_addresses() -> None:
    assert (name_of(ADDRESS), host_of(ADDRESS)) == ("192.0.2.1:22222", "192.0.2.1")
    assert name_of(UNIXAddress(b"/run/ft")) == host_of(UNIXAddress(b"/run/ft")) == "/run/ft"
