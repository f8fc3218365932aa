"""How long an end waits for the other side: what it announces of that, and the time as it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from twisted.internet.interfaces import IReactorTime
from twisted.protocols.policies import TimeoutMixin

from twisted_ft.errors import TimedOut
from twisted_ft.wire.conversation import DEFAULT_LIMITS, Conversation
from twisted_ft.wire.messages import Limits

_LONGEST = 2**31 - 1
_GREETING = 10
"""Seconds in which a peer has to greet."""


def limits(timeout: object) -> Limits:
    """The limits of an end that waits ``timeout`` seconds for the other side's word.

    :raises ValueError: that is no whole number of seconds, or less than one
    """
    if not isinstance(timeout, int) or not 1 <= timeout <= _LONGEST:
        raise ValueError(f"a timeout is a whole number of seconds, 1 or more, not {timeout!r}")
    return replace(DEFAULT_LIMITS, silence=timeout)


class PeerTimeout(TimeoutMixin):
    """Has the time run while it is the other side's turn, to speak or to read, and only then.

    :param conversation: knows whether anything waits for the other side to speak
    :param timed_out: is told what the other side hasn't done in its time
    """

    def __init__(
        self,
        conversation: Conversation,
        clock: IReactorTime,
        timed_out: Callable[[TimedOut], None],
    ) -> None:
        self._conversation, self._clock, self._timed_out = conversation, clock, timed_out
        self._hears = True
        self._may_write = True
        self._over = False

    def watch(self) -> None:
        """Something was said or heard: see whose turn it is."""
        waiting = not self._may_write or (self._hears and self._conversation.awaits_peer)
        wanted = self._seconds if waiting and not self._over else None
        if wanted != self.timeOut:
            self.setTimeout(wanted)

    def reading_paused(self) -> None:
        """Nothing that the other side says is heard."""
        self._hears = False
        self.watch()

    def reading_resumed(self) -> None:
        """The counterpart of ``reading_paused``."""
        self._hears = True
        self.watch()

    def writing_paused(self) -> None:
        """The transport has enough: it is the other side's turn, to read."""
        self._may_write = False
        self.watch()

    def writing_resumed(self) -> None:
        """The other side has read."""
        self._may_write = True
        self.resetTimeout()
        self.watch()

    def end(self) -> None:
        """The connection ends; nobody is waited for."""
        self._over = True
        self.setTimeout(None)

    @property
    def _seconds(self) -> int:
        """Seconds to wait for the other side; a stranger has less."""
        silence = self._conversation.limits.silence
        return silence if self._conversation.is_open else min(silence, _GREETING)

    # -- TimeoutMixin --------------------------------------------------------------------

    def callLater(self, period: float, func: Callable[[], object]) -> Any:
        """See TimeoutMixin: its clock."""
        return self._clock.callLater(period, func)

    def timeoutConnection(self) -> None:
        """The other side has had its time."""
        what = "said" if self._may_write else "taken"
        self._timed_out(TimedOut(f"the other side has {what} nothing for {self._seconds} seconds"))
