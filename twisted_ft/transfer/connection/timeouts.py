"""How long an end waits for the other side: what it announces of that, and the time as it runs.

Four things are waited for, and each has a clock of its own, as what is done for one of them says
nothing of the others: the greeting, the next word, the taking of what was sent, and the bytes of
a body.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_ft.errors import TimedOut
from twisted_ft.wire.conversation import DEFAULT_LIMITS, Conversation
from twisted_ft.wire.messages import Limits

_LONGEST = 2**31 - 1
GREETING = 10
"""Seconds in which a peer has to greet, however it does so."""
LEAST_RATE = 100
"""Bytes a second of a body, at least, over the time of BODY_WINDOWS.  A slower sender would keep
the name of its file from others; what it sent is kept, and it can carry on."""
BODY_WINDOWS = 2
"""Times the patience for silence in which a body must have come at that rate."""
STREAM_PAUSE = 3600
"""Seconds for which a body of unknown size may pause, as what makes it does, while its sender says
that it goes on.  It couldn't be carried on, as nothing of it is kept."""
LOOKS = 8
"""How often, in the patience for silence, it is looked at whether anything was taken."""
READING_AGAIN = 10_000_000
"""Bytes a second at which a sender reads what the receiver has already, at least: so much longer
its first bytes may take."""


def limits(timeout: object) -> Limits:
    """The limits of an end that waits ``timeout`` seconds for the other side's word.

    :raises ValueError: that is not a whole number of seconds, or less than one
    """
    if not isinstance(timeout, int) or not 1 <= timeout <= _LONGEST:
        raise ValueError(f"a timeout is a whole number of seconds, 1 or more, not {timeout!r}")
    return replace(DEFAULT_LIMITS, silence=timeout)


class Countdown:
    """A time that runs, is begun anew, and stops; at its end it calls.

    :param ended: what it calls
    """

    __slots__ = ("_call", "_clock", "_ended")

    def __init__(self, clock: IReactorTime, ended: Callable[[], None]) -> None:
        self._clock, self._ended = clock, ended
        self._call: IDelayedCall | None = None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._call is not None

    def run(self, seconds: float) -> None:
        """Let it run for so long, from now on."""
        if self._call is not None:
            self._call.reset(seconds)
        else:
            self._call = self._clock.callLater(seconds, self._end)

    def stop(self) -> None:
        """Let it stop, where it runs."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _end(self) -> None:
        self._call = None
        self._ended()


class PeerTimeout:
    """Has the time run while it is the other side's turn, and ends the connection at its end.

    :param conversation: knows whether anything waits for the other side to speak
    :param taken: bytes that have left for the other side so far
    :param timed_out: is told what the other side hasn't done in its time
    """

    def __init__(
        self,
        conversation: Conversation,
        clock: IReactorTime,
        taken: Callable[[], int],
        timed_out: Callable[[TimedOut], None],
    ) -> None:
        self._conversation, self._clock = conversation, clock
        self._taken, self._timed_out = taken, timed_out
        self._hears = True
        self._may_write = True
        self._taken_before = self._looks = 0
        self._body = 0
        """the exchange whose body is waited for"""
        self._body_bytes = 0
        self._unheard = 0.0
        """seconds in which nothing of it could be heard, as nothing was"""
        self._unheard_since = 0.0
        self._greeting = Countdown(clock, self._never_greeted)
        self._word = Countdown(clock, self._said_nothing)
        self._taking = Countdown(clock, self._look_at_taking)
        self._bytes = Countdown(clock, self._look_at_body)

    @property
    def _silence(self) -> int:
        """Seconds to wait for the other side."""
        return self._conversation.limits.silence

    # -- what happens ----------------------------------------------------------------------

    def connected(self) -> None:
        """Wait for the greeting, and no longer, whatever comes instead."""
        self._greeting.run(min(self._silence, GREETING))

    def greeted(self) -> None:
        """The other side has greeted; what it waits for now is ours to do."""
        self._greeting.stop()

    def received(self) -> None:
        """Some bytes have come: whoever is to speak does."""
        if self._word.running:
            self._word.run(self._silence)

    def received_body(self, size: int) -> None:
        """Some bytes of a body have come."""
        self._body_bytes += size

    def watch(self) -> None:
        """Something was said or heard: see whose turn it is."""
        conversation = self._conversation
        waits = self._hears and conversation.is_open and conversation.awaits_peer
        if not waits:
            self._word.stop()
        elif not self._word.running:
            self._word.run(self._silence)
        self._watch_body(conversation.awaited_body)

    def _watch_body(self, exchange: int) -> None:
        if exchange == self._body:
            return
        self._body, self._body_bytes, self._unheard = exchange, 0, 0.0
        if not exchange:
            self._bytes.stop()
        else:
            reading = self._conversation.kept_of(exchange) / READING_AGAIN
            self._bytes.run(self._body_demands[0] + reading)

    @property
    def _body_demands(self) -> tuple[int, int]:
        """In how many seconds how many bytes of the body must come."""
        if self._conversation.is_stream(self._body):
            return max(STREAM_PAUSE, self._silence), 1
        seconds = BODY_WINDOWS * self._silence
        return seconds, seconds * LEAST_RATE

    def reading_paused(self) -> None:
        """Nothing that the other side says is heard."""
        self._hears = False
        self._unheard_since = self._clock.seconds()
        self.watch()

    def reading_resumed(self) -> None:
        """The counterpart of ``reading_paused``."""
        self._note_unheard()
        self._hears = True
        self.watch()

    def _note_unheard(self) -> None:
        if not self._hears:
            now = self._clock.seconds()
            self._unheard += now - self._unheard_since
            self._unheard_since = now

    def writing_paused(self) -> None:
        """The transport has enough: it is the other side's turn, to take it."""
        if self._may_write:
            self._may_write = False
            self._taken_before, self._looks = self._taken(), 0
            self._taking.run(self._silence / LOOKS)

    def writing_resumed(self) -> None:
        """The other side has taken all."""
        self._may_write = True
        self._taking.stop()

    def end(self) -> None:
        """The connection ends; nobody is waited for."""
        for each in (self._greeting, self._word, self._taking, self._bytes):
            each.stop()

    # -- what doesn't ------------------------------------------------------------------------

    def _never_greeted(self) -> None:
        seconds = min(self._silence, GREETING)
        self._timed_out(TimedOut(f"the other side hasn't greeted within {seconds} seconds"))

    def _said_nothing(self) -> None:
        self._timed_out(TimedOut(f"the other side has been silent for {self._silence} seconds"))

    def _look_at_taking(self) -> None:
        taken, self._looks = self._taken(), self._looks + 1
        if taken > self._taken_before:
            self._taken_before, self._looks = taken, 0
        if self._looks < LOOKS:
            self._taking.run(self._silence / LOOKS)
        else:
            text = f"the other side has read nothing for {self._silence} seconds"
            self._timed_out(TimedOut(text))

    def _look_at_body(self) -> None:
        self._note_unheard()
        if self._unheard > 0:  # of which it has as much time more
            seconds, self._unheard = self._unheard, 0.0
            self._bytes.run(seconds)
            return
        seconds, least = self._body_demands
        came, self._body_bytes = self._body_bytes, 0
        if came >= least:
            self._bytes.run(seconds)
        else:
            text = f"the other side has sent {came} bytes of a file in {seconds} seconds"
            again = "" if self._conversation.is_stream(self._body) else " to carry on"
            self._timed_out(TimedOut(f"{text}; run again{again}"))
