"""On the way to a server: how soon it is known that there is none, and what calls it off."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import error as network
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from twisted_ft import connect
from twisted_ft.errors import TimedOut, Unreachable

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
