"""A service that sweeps: when it does, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from twisted_ft.errors import StorageFailed
from twisted_ft.stores.conformance.samples import described
from twisted_ft.stores.memory import MemoryStore
from twisted_ft.sweeping import Sweeping
from twisted_ft.transfer.runtime import Runtime

HOUR = 3600


class _Threads:
    """What is to be done in threads, until it is."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def __call__(self, function: Callable[..., Any], /, *args: Any) -> Deferred[Any]:
        done = Deferred[Any]()
        self.waiting.append((done, function, args))
        return done

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for done, function, args in waiting:
            try:
                done.callback(function(*args))
            except Exception:
                done.errback()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def threads() -> _Threads:
    return _Threads()


@pytest.fixture
def store() -> MemoryStore:
    """In which four bytes are kept."""
    store = MemoryStore()
    for name in (b"a", b"b"):
        sink = store.sink(described(name, b"1234"), True)
        sink.write([b"12"])
        sink.keep()
    return store


def test_at_the_start_and_then_each_hour(
    clock: Clock, threads: _Threads, store: MemoryStore
) -> None:
    """Or more often, where what is kept isn't for long; one after another."""
    for age, step in ((24 * HOUR, HOUR), (2 * HOUR, HOUR / 2), (1, 1)):
        service = Sweeping(store, Runtime(clock, threads), age, lambda: 1000)
        service.startService()
        for _ in range(3):
            assert len(threads.waiting) == 1
            clock.advance(step)
            assert len(threads.waiting) == 1
            threads.run()
            clock.advance(step - 0.1)
            assert not threads.waiting
            clock.advance(0.1)
        threads.run()
        service.stopService()
        clock.advance(10 * HOUR)
        assert not threads.waiting


def test_one_line_says_what_went(clock: Clock, threads: _Threads, store: MemoryStore) -> None:
    service = Sweeping(store, Runtime(clock, threads), HOUR, lambda: 2)
    with capturedLogs() as events:
        service.startService()
        threads.run()
        clock.advance(HOUR)
        threads.run()
    assert [formatEvent(event) for event in events] == [
        "removed 1 partial file that nobody resumed: 2 bytes"
    ]
    assert len(store.partials) == 1
    service.stopService()


def test_it_goes_on_where_a_sweep_failed(
    clock: Clock, threads: _Threads, store: MemoryStore
) -> None:
    def total() -> int:
        raise StorageFailed("the disk is gone")

    service = Sweeping(store, Runtime(clock, threads), HOUR, total)
    service.startService()
    for _ in range(2):
        with capturedLogs() as events:
            threads.run()
            clock.advance(HOUR)
        (event,) = events
        assert event["log_level"] is LogLevel.warn
        assert "partial files couldn't be checked: the disk is gone" in (formatEvent(event) or "")
    threads.run()
    service.stopService()
