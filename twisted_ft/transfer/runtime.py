"""What a transfer needs from the process that it runs in: a clock, and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThreadPool

T = TypeVar("T")


class InThread(Protocol):
    """Calls a function that may block somewhere else than on the reactor's thread."""

    def __call__(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        """What ``function(*args)`` returns or raises."""


class Threads(Protocol):
    """Where calls that may block are made: a Runtime's threads, or a connection's."""

    @property
    def in_thread(self) -> InThread:
        """Makes short ones."""

    @property
    def at_length(self) -> InThread:
        """Makes those that may take minutes."""


class FromThread(Protocol):
    """Has a function called on the reactor's thread, soon, and in the order of these calls."""

    def __call__(self, function: Callable[..., object], /, *args: Any) -> object:
        """What it returns is nobody's."""


def _at_once(function: Callable[..., object], /, *args: Any) -> object:
    """A clock that isn't a reactor has one thread only."""
    return function(*args)


class Runtime:
    """A clock and threads, given by the caller; ``twisted_ft.testing`` has one that has neither.

    :param clock: the reactor, or anything else that tells time and calls later
    :param in_thread: as ``deferToThread``: a Deferred of what the function returns
    :param at_length: the same for what may take minutes; ``in_thread``, where none is given
    :param tls_in_large_steps: whether TLS may go in larger steps than Twisted's own, which takes
        something from inside pyOpenSSL; else it goes record by record, at a third of the speed
    """

    __slots__ = ("at_length", "clock", "from_thread", "in_thread", "tls_in_large_steps")

    def __init__(
        self,
        clock: IReactorTime | Clock,
        in_thread: InThread,
        *,
        at_length: InThread | None = None,
        tls_in_large_steps: bool = True,
    ) -> None:
        self.clock: IReactorTime = cast(IReactorTime, clock)
        self.in_thread = in_thread
        self.at_length = at_length or in_thread
        self.tls_in_large_steps = tls_in_large_steps
        self.from_thread: FromThread = getattr(clock, "callFromThread", _at_once)
        """has a function called on the reactor's thread"""

    @classmethod
    def of(cls, reactor: Any) -> Runtime:
        """The clock and the thread pool of ``reactor``."""

        def in_thread(function: Callable[..., T], /, *args: Any) -> Deferred[T]:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args)

        return cls(reactor, in_thread)

    def sleep(self, seconds: float) -> Deferred[None]:
        """Fires after ``seconds``."""
        return deferLater(self.clock, seconds)

    def now(self) -> float:
        """Seconds; only differences mean anything."""
        return self.clock.seconds()


def installed_reactor() -> Any:
    """Twisted's installed reactor: for callers that have given none, and for nobody else."""
    from twisted.internet import reactor

    return reactor
