"""On the way to a server: how soon it is known that there is none, and what calls it off."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import error as network
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from twisted_ft import FileTransferFactory, MemoryStore, connect
from twisted_ft.errors import TimedOut, Unreachable
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
