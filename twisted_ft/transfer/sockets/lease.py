"""A thread's turn on a socket: for how long, and how long it waits for the other side.

A thread that has a socket to itself gives it back soon, so that others have both, and gives up as
soon as the socket isn't ready for a moment, so that a slow peer never holds one.
"""

from __future__ import annotations

import select
import time
from functools import cached_property

_LULL = 10
"""Milliseconds in which the socket must be ready."""
_TURN = 0.1
"""Seconds in a turn."""


class SocketLease:
    """A turn, which begins when it is first asked about.

    :param descriptor: the socket's
    """

    def __init__(self, descriptor: int, *, to_read: bool) -> None:
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLIN if to_read else select.POLLOUT)

    @cached_property
    def _ends(self) -> float:
        return time.monotonic() + _TURN

    @property
    def is_over(self) -> bool:
        """Whether it is time for others."""
        return self._ends <= time.monotonic()

    def wait(self, turns: int = 1) -> bool:
        """Wait until the socket is ready; False in a lull, and after the time of ``turns``."""
        in_time = self._ends + (turns - 1) * _TURN > time.monotonic()
        return in_time and bool(self._ready.poll(_LULL))
