"""Waiting until something happens."""

from __future__ import annotations

from twisted.internet.defer import Deferred


class Event:
    """Something that happens now and then; who waits for it hears of the next time.

    A state is waited for so: ``while not done: await event.wait()``.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        """Fires when it happens next; who cancels it waits no more, and the others go on to."""
        waiting: Deferred[None] = Deferred(self._forget)
        self._waiting.append(waiting)
        return waiting

    def fire(self) -> None:
        """It happens: all who wait go on, in the order in which they came."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:  # else one of those before it has cancelled it
                each.callback(None)

    def _forget(self, waiting: Deferred[None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
