"""One peer on one connection, after it has said who it is, or that it is nobody.

    a door (FT/1, the lab's)  ->  Session  ->  a store

A session says who is there, what they may, which files they see, how much of us they hold, and who
is told of what they do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from twisted.cred.credentials import ICredentials
from twisted.internet.defer import Deferred

from twisted_ft.server.budget import CONNECTION, Budget, Cost, Holding
from twisted_ft.server.events import Action, Event, Events, Kind
from twisted_ft.server.permitted import PermittedStore
from twisted_ft.server.rights import READING, Right, refusal
from twisted_ft.stores.capabilities import capabilities_of
from twisted_ft.stores.interfaces import Store
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.wire.messages import Opening


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end, as far as the transport and the greeting tell."""

    address: str
    """``host:port``, or the path of a UNIX socket"""
    host: str = ""
    """what the connections of one machine have in common"""
    agent: str = ""
    """the program, in its own words"""
    door: str = "ft"
    """how it came: ``ft`` or ``lab``"""


class Session:
    """Who is there, what they may, and which files they see.

    :param store: the files, named from its root
    :param rights: what may be done with them; where the store can't be written to, only reading is
        left of it
    :param user: a name for logs; nothing, for who hasn't said who they are
    :param limit_rate: bytes a second, for all transfers of this session together
    """

    def __init__(
        self,
        store: Store,
        rights: Right = READING,
        *,
        user: str = "",
        limit_rate: float | None = None,
    ) -> None:
        self.store, self.user = store, user
        self.rights = rights if capabilities_of(store).writable else rights & READING
        self.limit = RateLimit(limit_rate) if limit_rate is not None else None
        self.peer = Peer("")
        self.holds = Budget(CONNECTION)
        """what this connection may hold"""
        self._events = Events()

    def enter(self, peer: Peer, holds: Budget, events: Events) -> None:
        """The peer is at a door of a server.

        :param holds: this connection's part of the server's budget
        :param events: who is told of what it does
        """
        self.peer, self.holds, self._events = peer, holds, events

    @property
    def owner(self) -> str:
        """Whose its uploads are: the user's, or where nobody has said who they are, the host's."""
        return f"user {self.user}" if self.user else f"host {self.peer.host or self.peer.address}"

    def may(self, right: Right, path: bytes) -> bool:
        """Whether all of ``right`` may be done with what is at ``path``; ask ``check``."""
        return right in self.rights

    def check(self, right: Right, path: bytes) -> None:
        """Raise ReadOnly or Forbidden where it may not be done."""
        if not self.may(right, path):
            single = (each for each in Right if each in right and not self.may(each, path))
            raise refusal(next(single, right), self.rights, path)

    @property
    def is_uniform(self) -> bool:
        """Whether the rights are the same for all paths: no subclass has a say in them."""
        return type(self).may is Session.may and type(self).check is Session.check

    @cached_property
    def view(self) -> PermittedStore:
        """The store, in which what may not be done raises ReadOnly or Forbidden."""
        return PermittedStore(self.store, self)

    def hold(self, cost: Cost) -> Deferred[Holding]:
        """Fires with a part of the budget, once there is room for it."""
        return self.holds.hold(cost)

    def event(
        self,
        kind: Kind,
        action: Action = "",
        path: bytes = b"",
        new: bytes = b"",
        tree: bool = False,
    ) -> Event:
        """What happens here, to be told or to be made another event of."""
        peer = self.peer
        return Event(kind, peer.address, self.user, peer.door, action, path, new, tree)

    @property
    def events(self) -> Events:
        """Who is told of what this peer does."""
        return self._events


Authenticate = Callable[[Peer, ICredentials], Awaitable[Session]]
"""Says who is there; raises a FileTransferError to send them away."""
Authorize = Callable[[Session, Opening], Awaitable[None] | None]
"""Is asked before an exchange, when the session's rights allow it; raises a FileTransferError to
refuse it."""
Received = Callable[[Session, Event], Awaitable[None] | None]
"""Is told of each file that has arrived and has its name, before its sender is told so."""
