"""What all doors of one server have in common."""

from __future__ import annotations

from collections.abc import Sequence

from twisted_ft.allocation import give_back_freed
from twisted_ft.server.budget import CONNECTION, Budget, server_budget
from twisted_ft.server.events import Events, Observer, TreeObserver
from twisted_ft.server.session import Peer, Session
from twisted_ft.server.threads import FairThreads
from twisted_ft.server.uploads import Uploads
from twisted_ft.transfer.runtime import Runtime

MUCH = 20 << 20
"""Bytes that a peer has held at once, from which on its memory is given back to the system: all
that a connection may hold, or nearly."""
_SOON = 1.0
"""Seconds after a peer has gone in which its exchanges have ended, and others may go."""


class Commons:
    """A budget, threads that are shared in turn, uploads, and who is told of what happens.

    :param runtime: clock and threads
    """

    def __init__(self, runtime: Runtime, observers: Sequence[Observer | TreeObserver]) -> None:
        self.runtime = runtime
        self.threads = FairThreads(runtime.in_thread)
        self.budget = Budget(server_budget())
        self.uploads = Uploads()
        self.events = Events(observers)
        self._giving_back = False

    def left(self, session: Session) -> None:
        """A peer has gone: what it held, if it was much, goes back to the system soon."""
        if session.holds.most_held >= MUCH and not self._giving_back:
            self._giving_back = True
            self.runtime.clock.callLater(_SOON, self._give_back)

    def _give_back(self) -> None:
        self._giving_back = False
        self.runtime.in_thread(give_back_freed)

    def enter(self, session: Session, peer: Peer) -> None:
        """A peer has come in."""
        session.enter(peer, Budget(CONNECTION, self.budget), self.events)
