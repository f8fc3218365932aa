"""A limit on bytes a second."""

from __future__ import annotations

from twisted_ft.transfer.runtime import Runtime


class RateLimit:
    """A token bucket that may go into debt: whoever takes bytes waits until it is paid off.

    So no piece is ever cut to fit, and the rate holds over any stretch longer than a piece.
    It has no clock: time is an argument.

    :param rate: bytes a second, more than 0
    """

    _BURST = 0.1
    """Seconds' worth of unused allowance that is kept at most."""

    def __init__(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError(f"a rate is more than 0 bytes a second, not {rate}")
        self.rate = rate
        self._paid_until: float | None = None

    def take(self, size: int, now: float) -> float:
        """Take ``size`` bytes at the time ``now``; the seconds to wait before taking more."""
        earliest = now - self._BURST
        start = earliest if self._paid_until is None else max(self._paid_until, earliest)
        self._paid_until = start + size / self.rate
        return max(0.0, self._paid_until - now)


async def paced(limit: RateLimit | None, size: int, runtime: Runtime) -> None:
    """Wait as long as ``limit`` demands of who has just moved ``size`` bytes."""
    if limit is not None:
        wait = limit.take(size, runtime.now())
        if wait > 0:
            await runtime.sleep(wait)
