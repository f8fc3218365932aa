"""On the way to a server: how soon it is known that there is none, and what calls it off."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import error as network
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from twisted_ft import FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import FileTransferError, TimedOut, Unreachable
from twisted_ft.testing import MemoryNetwork
from twisted_ft.version import AGENT

ADDRESSES = ["127.0.0.1", "[::1]"]


def failure_of(outcome: Deferred[Any]) -> BaseException | None:
    """What has become of it by now."""
    failures: list[Failure] = []
    outcome.addErrback(failures.append)
    (failure,) = failures
    return failure.value


@pytest.mark.parametrize("host", ADDRESSES)
def test_an_address_that_is_refused_is_refused_at_once(host: str) -> None:
    reactor = MemoryReactorClock()
    outcome = connect(f"ft://{host}:1", reactor=reactor)
    (connector,) = reactor.connectors
    factory = reactor.tcpClients[0][2]
    factory.clientConnectionFailed(connector, Failure(network.ConnectionRefusedError()))
    error = failure_of(outcome)
    assert isinstance(error, Unreachable)
    assert "refused" in error.text
    assert not reactor.getDelayedCalls()


@pytest.mark.parametrize("host", ADDRESSES)
def test_one_limit_for_connecting_and_greeting(host: str) -> None:
    reactor = MemoryReactorClock()
    outcome = connect(f"ft://{host}", reactor=reactor, timeout=7)
    reactor.advance(7)
    error = failure_of(outcome)
    assert isinstance(error, TimedOut)
    assert "within 7 seconds" in error.text


@pytest.mark.parametrize("host", ADDRESSES)
def test_called_off(host: str) -> None:
    outcome = connect(f"ft://{host}", reactor=MemoryReactorClock())
    outcome.cancel()
    assert isinstance(failure_of(outcome), CancelledError)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (network.ConnectError(errno.ENETUNREACH), "no way to its network"),
        (network.NoRouteError(errno.EHOSTUNREACH), "no way to this host"),
        (network.TCPTimedOutError(errno.ETIMEDOUT), "nobody answers"),
        (network.ConnectError(errno.EACCES), "doesn't permit"),
        (network.ConnectError(errno.EINVAL), "%25eth0"),
        (network.ConnectError(errno.ENOBUFS), os.strerror(errno.ENOBUFS)),
        (network.ConnectError(), "no connection"),
        (OSError(errno.EMFILE, "too many"), "too many files"),
        (socket.gaierror(-2, "unknown"), "no such host"),
        (OverflowError("what nobody has foreseen"), "what nobody has foreseen"),
    ],
)
def test_whatever_goes_wrong_is_told_in_words(reason: Exception, said: str) -> None:
    """With host and port, and never as a number alone."""
    reactor = MemoryReactorClock()
    outcome = connect("ft://127.0.0.1:9", reactor=reactor)
    (connector,) = reactor.connectors
    reactor.tcpClients[0][2].clientConnectionFailed(connector, Failure(reason))
    error = failure_of(outcome)
    assert isinstance(error, Unreachable)
    assert error.text.startswith("127.0.0.1:9: ")
    assert said in error.text
    assert not error.text.rpartition(": ")[2].isdigit()


ODD = [
    "a..b",
    "...",
    "-",
    "_",
    "*",
    "%41",
    "%00",
    "xn--a",
    "n" * 70 + ".example",
    "\u00df..",
    "[fe80::1%25nosuch]",
    "[fe80::1%nosuch]",
    "[::ffff:1.2.3.4%25x]",
]


@pytest.mark.parametrize("scheme", ["ft", "fts"])
@pytest.mark.parametrize("host", ODD)
@pytest_twisted.ensureDeferred
async def test_odd_hosts(host: str, scheme: str) -> None:
    """None of them is a host; all of them are told in a sentence."""
    with pytest.raises((FileTransferError, ValueError)) as caught:
        await connect(f"{scheme}://{host}:9/", timeout=5)
    assert str(caught.value).count(" ") > 2


@pytest_twisted.ensureDeferred
async def test_a_zone_that_there_is_not() -> None:
    with pytest.raises(Unreachable, match="no such network interface"):
        await connect("ft://[fe80::1%25nosuch]:9/")


def test_each_step_is_told_of_as_it_is_waited_for() -> None:
    reactor, steps = MemoryReactorClock(), list[str]()
    outcome = connect("ft://127.0.0.1:1", reactor=reactor, trace=steps.append)
    assert steps == ["connecting to 127.0.0.1, port 1"]
    (connector,) = reactor.connectors
    reactor.tcpClients[0][2].clientConnectionFailed(connector, Failure(network.TimeoutError()))
    assert isinstance(failure_of(outcome), Unreachable)
    assert len(steps) == 2
    assert steps[1].startswith("no connection to 127.0.0.1, port 1: ")


def test_the_greeting_is_told_of() -> None:
    network, steps = MemoryNetwork(), list[str]()
    endpoint = network.endpoint(FileTransferFactory(MemoryStore(), runtime=network.runtime))
    network.run(connect(endpoint, runtime=network.runtime, trace=steps.append))
    assert steps == ["waiting for the server's greeting", f"the server is {AGENT}"]
