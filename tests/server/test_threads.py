"""Threads that sessions share in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from tests.kit.staging import failure_of
from twisted_ft.server.threads import FairThreads


class Pool:
    """Threads whose calls end when they are told to."""

    def __init__(self) -> None:
        self.running: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def in_thread(self, function: Callable[..., Any], /, *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.running.append((lambda: function(*args), done))
        return done

    def end_one(self) -> None:
        function, done = self.running.pop(0)
        try:
            result = function()
        except Exception as error:
            done.errback(error)
        else:
            done.callback(result)


def test_lanes_have_their_turns() -> None:
    """Who asks for ten things has the other wait for one of them."""
    pool, order = Pool(), list[str]()
    threads = FairThreads(pool.in_thread, at_once=1)
    greedy, honest = threads.lane(), threads.lane()
    for _ in range(10):
        greedy.in_thread(order.append, "greedy")
    honest.in_thread(order.append, "honest")
    while pool.running:
        assert len(pool.running) == 1
        pool.end_one()
    assert order[:3] == ["greedy", "greedy", "honest"] or order[1] == "honest"
    assert len(order) == 11


def test_what_takes_long_leaves_threads_for_what_doesnt() -> None:
    pool = Pool()
    threads = FairThreads(pool.in_thread, at_once=4, long_at_once=2)
    lane, other = threads.lane(), threads.lane()
    for _ in range(10):
        lane.at_length(lambda: None)
    assert len(pool.running) == 2
    done = failure_of(other.in_thread(lambda: 5))
    assert len(pool.running) == 3
    for _ in range(3):
        pool.end_one()
    assert done == [5]
    while pool.running:
        assert len(pool.running) <= 2
        pool.end_one()


def test_what_a_session_that_is_over_gives_back_goes_first() -> None:
    pool, order = Pool(), list[str]()
    threads = FairThreads(pool.in_thread, at_once=1)
    here, leaving = threads.lane(), threads.lane()
    here.in_thread(order.append, "here")
    for _ in range(2):
        here.in_thread(order.append, "here")
    leaving.leaves = True
    for _ in range(2):
        leaving.in_thread(order.append, "leaving")
    while pool.running:
        pool.end_one()
    assert order == ["here", "leaving", "leaving", "here", "here"]


def test_a_call_that_fails_gives_its_thread_back() -> None:
    pool = Pool()
    lane = FairThreads(pool.in_thread, at_once=1).lane()

    def failing() -> None:
        raise ValueError("no")

    failed, done = failure_of(lane.in_thread(failing)), failure_of(lane.in_thread(lambda: 1))
    pool.end_one()
    pool.end_one()
    assert isinstance(failed[0], ValueError)
    assert done == [1]


def test_very_many_calls_that_end_at_once() -> None:
    done: list[int] = []

    def in_thread(function: Callable[..., Any], /, *args: Any) -> Deferred[Any]:
        outcome: Deferred[Any] = Deferred()
        outcome.callback(function(*args))
        return outcome

    lane = FairThreads(in_thread, at_once=1).lane()

    def call(number: int) -> None:
        done.append(number)
        if number < 5000:
            lane.in_thread(call, number + 1)

    call(0)
    assert done[-1] == 5000
