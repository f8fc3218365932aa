"""What all doors of one server have in common."""

from __future__ import annotations

from collections.abc import Sequence

from twisted_ft.server.budget import CONNECTION, Budget, server_budget
from twisted_ft.server.events import Events, Observer, TreeObserver
from twisted_ft.server.session import Peer, Session
from twisted_ft.server.threads import FairThreads
from twisted_ft.server.uploads import Uploads
from twisted_ft.transfer.runtime import Runtime


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

    def enter(self, session: Session, peer: Peer) -> None:
        """A peer has come in."""
        session.enter(peer, Budget(CONNECTION, self.budget), self.events)
