"""Waiting until something happens."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from tests.kit.staging import failure_of
from twisted_ft.transfer.event import Event


def test_all_who_wait_go_on_in_their_order() -> None:
    event, order = Event(), list[str]()
    for name in "abc":
        event.wait().addCallback(lambda _, name: order.append(name), name)
    assert order == []
    event.fire()
    assert order == ["a", "b", "c"]


def test_nobody_hears_of_what_has_been() -> None:
    event = Event()
    event.fire()
    outcome = failure_of(event.wait())
    assert outcome == []
    event.fire()
    event.fire()
    assert outcome == [None]


def test_who_waits_again_hears_of_the_next_time() -> None:
    event, times = Event(), list[int]()

    async def count() -> None:
        while True:
            await event.wait()
            times.append(len(times))

    endless = Deferred.fromCoroutine(count())
    for number in range(3):
        event.fire()
        assert len(times) == number + 1
    outcome = failure_of(endless)
    endless.cancel()
    assert isinstance(outcome[0], CancelledError)
    event.fire()
    assert len(times) == 3


def test_who_cancels_waits_no_more_and_the_others_do() -> None:
    event = Event()
    waiting = [event.wait() for _ in range(3)]
    outcomes = [failure_of(each) for each in waiting]
    waiting[1].cancel()
    assert isinstance(outcomes[1][0], CancelledError)
    event.fire()
    assert outcomes[0] == outcomes[2] == [None]


def test_one_who_goes_on_cancels_another() -> None:
    event = Event()
    first, second, third = (event.wait() for _ in range(3))
    first.addCallback(lambda _: second.cancel())
    outcomes = [failure_of(each) for each in (second, third)]
    event.fire()
    assert isinstance(outcomes[0][0], CancelledError)
    assert outcomes[1] == [None]
