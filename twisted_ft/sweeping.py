"""What a server keeps of transfers that nobody comes back for comes to an end."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_ft.stores.interfaces import KeepingStore
from twisted_ft.transfer.runtime import Runtime

_LONGEST = 3600
"""Seconds between two sweeps, at most."""
_SHORTEST = 1
"""Seconds between two sweeps, at least, however soon all has to go."""


class Sweeping(TimerService):
    """Sweeps a store at the start, then each hour, or in a quarter of ``age`` if that is shorter.

    It does so in a thread, and a sweep begins when the one before has ended.

    :param age: seconds; what has not changed for so long goes
    :param total: tells the bytes that may be kept in all; called in the thread
    """

    log = Logger()

    def __init__(
        self, store: KeepingStore, runtime: Runtime, age: float, total: Callable[[], int]
    ) -> None:
        super().__init__(max(min(age / 4, _LONGEST), _SHORTEST), self._sweep)
        self.clock = runtime.clock
        self._store, self._runtime, self._age, self._total = store, runtime, age, total

    def _sweep(self) -> Deferred[None]:
        swept = self._runtime.at_length(self._sweep_now)
        return swept.addCallbacks(self._say, self._say_why_not)

    def _sweep_now(self) -> tuple[int, int]:
        return self._store.sweep(self._age, self._total())

    def _say(self, swept: tuple[int, int]) -> None:
        count, size = swept
        if count:
            self.log.info(
                "removed {count} partial {files} that nobody resumed: {size:,} bytes",
                count=count,
                files="file" if count == 1 else "files",
                size=size,
            )

    def _say_why_not(self, failure: Failure) -> None:
        self.log.warn(
            "partial files couldn't be checked: {why}; trying again later",
            why=failure.getErrorMessage(),
        )
