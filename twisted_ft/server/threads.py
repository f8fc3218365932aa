"""Threads that sessions share in turn.

A thread pool serves who comes first, so a peer who asks for a hundred things has others wait for
all of them.  Here each session has a line of its own, and the lines are served one after another.
What may take minutes, such as hashing, has fewer threads than there are, so that short calls always
find one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from twisted_ft.transfer.runtime import InThread, Runtime

T = TypeVar("T")
Job = Callable[[], Deferred[None]]
"""Makes a call; fires when it has been made."""

AT_ONCE = 10
"""Calls in threads at once, as many as a reactor's pool has threads."""
LONG_AT_ONCE = AT_ONCE // 5
"""Those of them that may take minutes, and sort or hash meanwhile."""


class FairThreads:
    """Has calls made in threads, of each session one after another.

    :param in_thread: makes a call in a thread
    :param at_once: calls that are made at once, at most
    :param long_at_once: those of them that may take long
    """

    def __init__(
        self, in_thread: InThread, at_once: int = AT_ONCE, long_at_once: int = LONG_AT_ONCE
    ) -> None:
        self._in_thread = in_thread
        self._free = at_once
        self._long_free = long_at_once
        self._serving = False
        self._short: deque[Lane] = deque()
        self._long: deque[Lane] = deque()
        """lanes in which somebody waits, the next one first"""

    def lane(self) -> Lane:
        """A line for a session."""
        return Lane(self)

    def waits(self, lane: Lane, long: bool) -> None:
        """Somebody waits in a lane."""
        lanes = self._long if long else self._short
        if lane not in lanes:
            if lane.leaves:
                lanes.appendleft(lane)  # what it gives back makes room for others
            else:
                lanes.append(lane)
        self._serve()

    def _serve(self) -> None:
        """Have those called that are next; a call that ends at once is for this round, too."""
        if self._serving:
            return
        self._serving = True
        try:
            self._call_next()
        finally:
            self._serving = False

    def _call_next(self) -> None:
        while self._free and (following := self._next()) is not None:
            long, job = following
            self._free -= 1
            self._long_free -= long
            job().addBoth(partial(self._done, long))

    def _next(self) -> tuple[bool, Job] | None:
        """What is next, and whether it is long; short ones first, as they are soon over."""
        job = _take(self._short, long=False)
        if job is not None:
            return False, job
        job = _take(self._long, long=True) if self._long_free else None
        return None if job is None else (True, job)

    def _done(self, long: bool, _: object) -> None:
        self._free += 1
        self._long_free += long
        self._serve()

    def call(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """Make a call."""
        return self._in_thread(function, *args)


def _take(lanes: deque[Lane], long: bool) -> Job | None:
    """The next job of the next lane, which is then behind the others."""
    while lanes:
        lane = lanes.popleft()
        job, more = lane.next_job(long)
        if more and lane.leaves:
            lanes.appendleft(lane)
        elif more:
            lanes.append(lane)
        if job is not None:
            return job
    return None


class Lane:
    """The calls of one session, in their order."""

    __slots__ = ("_long", "_short", "_threads", "leaves")

    def __init__(self, threads: FairThreads) -> None:
        self.leaves = False
        """whether the session is over: what is still called gives something back, and goes first"""
        self._threads = threads
        self._short: list[Job] = []
        self._long: list[Job] = []

    def in_thread(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        """Call what may block."""
        return self._line_up(False, function, *args)

    def at_length(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        """Call what may take minutes."""
        return self._line_up(True, function, *args)

    def runtime(self, base: Runtime) -> Runtime:
        """``base``, whose threads are those of this lane."""
        return Runtime(
            base.clock,
            self.in_thread,
            at_length=self.at_length,
            tls_in_large_steps=base.tls_in_large_steps,
        )

    def next_job(self, long: bool) -> tuple[Job | None, bool]:
        """The next of its jobs, and whether there are more."""
        jobs = self._long if long else self._short
        job = jobs.pop(0) if jobs else None  # of few: each exchange has one or two
        return job, bool(jobs)

    def _line_up(self, long: bool, function: Callable[..., T], *args: Any) -> Deferred[T]:
        outcome: Deferred[T] = Deferred()

        def job() -> Deferred[None]:
            return self._threads.call(function, *args).addBoth(outcome.callback)

        (self._long if long else self._short).append(job)
        self._threads.waits(self, long)
        return outcome
