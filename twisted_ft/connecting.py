"""From a URL, or an endpoint, to a Client that has greeted."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from typing import Protocol as TypingProtocol

from twisted.internet import error as network
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from twisted_ft.client import Client
from twisted_ft.client_connection import ClientConnection, WhenBusy
from twisted_ft.errors import FileTransferError, TimedOut, Unreachable
from twisted_ft.terminal import escaped
from twisted_ft.transfer.runtime import Runtime, installed_reactor
from twisted_ft.urls import Location, parse_url

if TYPE_CHECKING:  # loaded by who traces, and by nobody else
    from twisted_ft.tracing import Trace

_REASONS = {
    errno.ECONNREFUSED: "the connection was refused; is the server running, on this port?",
    errno.ENETUNREACH: "there is no way to its network from here; is this machine connected?",
    errno.EHOSTUNREACH: "there is no way to this host; is it running, and on this network?",
    errno.EHOSTDOWN: "this host is down",
    errno.ENETDOWN: "the network is down",
    errno.ETIMEDOUT: "nobody answers there",
    errno.EACCES: "this machine doesn't permit the connection; does a firewall forbid it?",
    errno.EPERM: "this machine doesn't permit the connection; does a firewall forbid it?",
    errno.EADDRNOTAVAIL: "this address can't be reached from here",
    errno.EAFNOSUPPORT: "this machine doesn't have the network for such an address",
    errno.EINVAL: "this address can't be reached; one that begins with fe80: needs the interface "
    "behind it, as in [fe80::1%25eth0]",
    errno.ENODEV: "this machine has no such network interface",
    errno.ENXIO: "this machine has no such network interface",
    errno.EMFILE: "too many files and connections are open",
}
"""Why there is no connection, by what the operating system says (connect(2))."""
_LOCAL_DELAY = 0.01
"""Seconds from one address of this machine to the next: they answer at once, if at all."""


class ClientEndpoint(TypingProtocol):
    """An IStreamClientEndpoint, for type checkers that know nothing of zope's interfaces."""

    def connect(self, protocolFactory: Any) -> Any:
        """See IStreamClientEndpoint."""


def connect(
    where: ClientEndpoint | IStreamClientEndpoint | str | Location,
    *,
    reactor: Any = None,
    runtime: Runtime | None = None,
    timeout: int = 30,
    tls_ca: str | None = None,
    limit_rate: float | None = None,
    durable: bool = True,
    when_busy: WhenBusy | None = None,
    trace: Trace | None = None,
) -> Deferred[Client]:
    """Connect to a server, and greet it.

    :param where: an endpoint of Twisted's, or an ``ft://`` or ``fts://`` URL (of which only
        scheme, host and port matter here)
    :param reactor: the reactor to work on; Twisted's installed one, where none is given
    :param runtime: clock and threads, in place of the reactor's
    :param timeout: seconds to connect and greet in, and then of the server's silence
    :param tls_ca: a PEM file of certificates to trust, in place of the system's
    :param limit_rate: bytes a second, for all transfers of the connection together
    :param durable: whether a file is synced, here and on the server, before it is called done
    :param when_busy: called with the error where another transfer of a file is under way, and with
        how often it was called for this file before; gives the seconds to wait until the file is
        tried again, or None: then it fails, as it does without this
    :param trace: called with a sentence for each step on the way, as it is waited for
    :raises FileTransferError: through the Deferred: Unreachable, Untrusted, TimedOut, ...
    :raises ValueError: ``where`` is a string and no URL
    """
    location = parse_url(where) if isinstance(where, str) else where
    name = escaped(location.address) if isinstance(location, Location) else "the server"
    if reactor is None and (runtime is None or isinstance(location, Location)):
        reactor = installed_reactor()
    runtime = runtime or Runtime.of(reactor)
    over_tls = isinstance(location, Location) and location.tls
    traced_reactor = reactor
    if trace is not None:
        from twisted_ft.tracing import TracedReactor, greeting_of

        traced_reactor = TracedReactor(reactor, trace)
    connection = ClientConnection(
        runtime,
        timeout=timeout,
        limit_rate=limit_rate,
        durable=durable,
        when_busy=when_busy,
    )

    async def go() -> Client:
        endpoint = location
        if isinstance(endpoint, Location):
            with _sentences(name):
                endpoint = await _endpoint(endpoint, traced_reactor, runtime, tls_ca, timeout)
        await connected(endpoint, connection.build_protocol, name)
        if trace is not None:
            trace("waiting for the server's greeting" + (", over TLS" if over_tls else ""))
        await connection.ready
        if trace is not None:
            for step in greeting_of(connection.protocol, over_tls):
                trace(step)
        return Client(connection)

    def timed_out(_result: object, _seconds: float) -> Client:
        raise TimedOut(f"{name}: no connection, and no greeting, within {timeout} seconds")

    return Deferred.fromCoroutine(go()).addTimeout(timeout, runtime.clock, timed_out)


def host_endpoint(where: Location, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    """What connects to the host of ``where``, without TLS; it fails as soon as the host does.

    :param timeout: seconds that the caller gives it all, and says so in words of its own
    """
    host, port, later = where.host, where.port, timeout + 1
    # HostnameEndpoint would find out only at the next tick of its attemptDelay, 0.3 s, that an
    # address that was refused at once was the only one.
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, later)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, later)
    delay = _LOCAL_DELAY if host == "localhost" else None
    return HostnameEndpoint(reactor, host, port, later, attemptDelay=delay)


async def connected(
    endpoint: ClientEndpoint | IStreamClientEndpoint, protocol: Callable[[], Protocol], name: str
) -> Any:
    """The protocol that ``protocol`` makes, once it is connected; Unreachable, with a sentence."""
    with _sentences(name):
        return await endpoint.connect(Factory.forProtocol(protocol))


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Whatever goes wrong on the way to a server is told in a sentence."""
    try:
        yield
    except FileTransferError:
        raise
    except (CancelledError, network.ConnectingCancelledError):
        raise CancelledError from None
    except Exception as error:
        raise Unreachable(f"{name}: {_why_unreachable(error, name)}") from error


def _why_unreachable(error: Exception, name: str) -> str:
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    if isinstance(error, socket.gaierror) and "%" in name:
        return _REASONS[errno.ENODEV]
    if isinstance(error, (network.DNSLookupError, socket.gaierror)):
        return "no such host; check its name"
    if isinstance(error, network.ConnectionRefusedError):
        return _REASONS[errno.ECONNREFUSED]
    if isinstance(error, UnicodeError) or (
        isinstance(error, ValueError) and "invalid hostname" in str(error)
    ):
        return "this is not the name of a host"
    if isinstance(number, int) and number in _REASONS:
        return _REASONS[number]
    return f"no connection: {os.strerror(number) if isinstance(number, int) else error}"


async def _endpoint(
    where: Location, reactor: Any, runtime: Runtime, tls_ca: str | None, timeout: int
) -> IStreamClientEndpoint:
    endpoint = host_endpoint(where, reactor, timeout)
    if not where.tls:
        return endpoint
    from twisted_ft.certificates import ServerCertificate, trust_in

    trust = None if tls_ca is None else await runtime.in_thread(trust_in, tls_ca)
    name = where.host.partition("%")[0]  # the zone is nobody's but ours
    return wrapClientTLS(ServerCertificate(name, trust), endpoint)
