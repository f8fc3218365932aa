"""What goes on at this end, of which the other side is told, so that it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from twisted_ft.transfer.runtime import InThread, Runtime
from twisted_ft.wire.conversation import Conversation
from twisted_ft.wire.messages import Message, Working

T = TypeVar("T")


class KeepAlive:
    """Says Working, three times in the other side's patience, while something is done here.

    :param conversation: knows whether exchanges are under way
    :param say: sends a message
    """

    def __init__(
        self, conversation: Conversation, runtime: Runtime, say: Callable[[Message], None]
    ) -> None:
        self.took_some = False
        """whether any of a body, or of a message, was taken since the other side was told; it may
        have come slowly, for all it knows"""
        self._conversation, self._runtime, self._say = conversation, runtime, say
        self._jobs = 0
        self._telling = LoopingCall(self._tell)
        self._telling.clock = runtime.clock

    def in_thread(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        """Call what may block; that is a job."""
        return self._as_job(self._runtime.in_thread, function, *args)

    def at_length(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        """Call what may take minutes."""
        return self._as_job(self._runtime.at_length, function, *args)

    def _as_job(self, call: InThread, function: Callable[..., T], *args: Any) -> Deferred[T]:
        self.job_begins()

        def done(result: T) -> T:
            self.job_ends()
            return result

        return call(function, *args).addBoth(done)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """What is done meanwhile is a job."""
        self.job_begins()
        try:
            yield
        finally:
            self.job_ends()

    def job_begins(self) -> None:
        """Until it ends, the other side is told of it, whoever's turn it may seem to be."""
        self._jobs += 1

    def job_ends(self) -> None:
        """The counterpart of ``job_begins``."""
        self._jobs -= 1

    @property
    def busy(self) -> bool:
        """Whether anything is done here for the other side."""
        return self._jobs > 0

    def begin_telling(self) -> None:
        """From here on, as long as exchanges are under way, tell the other side what there is."""
        if not self._telling.running and self._conversation.is_open:
            self._telling.start(self._conversation.peer_limits.silence / 3, now=False)

    def _tell(self) -> None:
        if self._conversation.idle and not self._conversation.amid_message:
            self._telling.stop()
        elif self._jobs or self.took_some:
            self.took_some = False
            self._say(Working())

    def end(self) -> None:
        """The connection ends; nobody is told anything more."""
        if self._telling.running:
            self._telling.stop()
