"""The server's end: a factory like any other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from twisted.cred.credentials import ICredentials
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from twisted_ft.errors import Busy
from twisted_ft.server.commons import Commons
from twisted_ft.server.door import Door
from twisted_ft.server.events import Observer, TreeObserver
from twisted_ft.server.journal import Journal
from twisted_ft.server.rights import CHANGING, READING, Right
from twisted_ft.server.session import Authenticate, Authorize, Peer, Received, Session
from twisted_ft.stores.capabilities import capabilities_of
from twisted_ft.stores.interfaces import Store
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.connection.timeouts import limits
from twisted_ft.transfer.runtime import Runtime, installed_reactor
from twisted_ft.version import AGENT
from twisted_ft.wire.conversation import PARTIAL_LISTINGS, STREAMS, Conversation, Side

STRANGERS = 256
"""Connections that haven't greeted, at once; of more, the oldest goes.  They have ten seconds."""
_AT_WORK = 5.0
"""Seconds without progress after which a connection with exchanges under way may have to go."""


class FileTransferFactory(ServerFactory):
    """Serves a store over FT/1.

    :param store: what is served, to all alike; or give ``authenticate``
    :param writable: whether clients may change anything, where the store can be written to
    :param overwrite: whether what is there may be replaced, renamed and removed
    :param max_connections: connections at once; when all places are taken, who has been idle for
        longest makes room, and where nobody is, who comes is told so and refused
    :param timeout: seconds that a peer whose turn it is may say, or take, nothing
    :param durable: whether what is received is synced before it is called received
    :param runtime: clock and threads; those of the installed reactor, where none is given
    :param authenticate: says who is there and what they see and may, in place of the first three
    :param authorize: is asked before each exchange that the session's rights allow
    :param received: is told of each file that has arrived, before its sender is
    :param observers: are told of all that happens, as the log is
    :raises ValueError: neither ``store`` nor ``authenticate`` is given, or ``timeout`` isn't one
    """

    log = Logger()
    noisy = False

    def __init__(
        self,
        store: Store | None = None,
        *,
        writable: bool = False,
        overwrite: bool = True,
        max_connections: int = 1000,
        timeout: int = 60,
        durable: bool = True,
        runtime: Runtime | None = None,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        received: Received | None = None,
        observers: Sequence[Observer | TreeObserver] = (),
    ) -> None:
        if store is None and authenticate is None:
            raise ValueError("give a store to serve, or authenticate to say who sees which store")
        self.store = store
        self.rights = rights_of(writable, overwrite)
        self.max_connections = max_connections
        self.limits = limits(timeout)
        self.durable = durable
        self.authenticate = authenticate or self._anybody
        self.authorize, self.received = authorize, received
        self._doors: dict[Door, None] = {}
        """all connections, the oldest first"""
        self._given_runtime = runtime
        self._observers = observers

    @cached_property
    def runtime(self) -> Runtime:
        """Clock and threads."""
        return self._given_runtime or Runtime.of(installed_reactor())

    @cached_property
    def commons(self) -> Commons:
        """What the doors of this server share."""
        return Commons(self.runtime, [Journal(self.log, self.runtime.clock), *self._observers])

    @property
    def connections(self) -> set[FileTransferProtocol]:
        """Those that are open."""
        return {door.protocol for door in self._doors}

    def startFactory(self) -> None:
        """See Factory: say what can't be as it was asked for."""
        if self.rights & CHANGING and not (
            self.store is None or capabilities_of(self.store).writable
        ):
            self.log.warn("this store can't be written to: it is served read-only")

    def buildProtocol(self, addr: IAddress | None) -> FileTransferProtocol:
        """One connection's protocol; whether it may stay is decided when it has greeted."""
        self._make_room_for_a_stranger()
        conversation = Conversation(Side.SERVER, AGENT, self.limits, (PARTIAL_LISTINGS, STREAMS))
        door = Door(self, self.commons)
        runtime = door.lane.runtime(self.runtime)
        protocol = FileTransferProtocol(Side.SERVER, conversation, door, runtime)
        protocol.factory = self
        door.protocol = protocol
        self._doors[door] = None
        return protocol

    def disconnect(self) -> None:
        """Close every connection; clients carry their transfers on when they come again."""
        for protocol in self.connections:
            protocol.close()

    async def _anybody(self, peer: Peer, credentials: ICredentials) -> Session:
        """Who comes sees what all see."""
        assert self.store is not None
        return Session(self.store, self.rights)

    # -- Rules -----------------------------------------------------------------------------

    def admit(self, door: Door) -> None:
        """See Rules."""
        inside = [each for each in self._doors if each.entered]
        if len(inside) < self.max_connections:
            return
        idle = self._idle_longest(inside)
        if idle is None:
            raise Busy(
                f"the server already has its maximum of {self.max_connections} connections; "
                "try again later"
            )
        idle.protocol.end(Busy("the server needs the place of this connection, which was idle"))

    def left(self, door: Door) -> None:
        """See Rules."""
        self._doors.pop(door, None)

    def _idle_longest(self, doors: Sequence[Door]) -> Door | None:
        """Who has nothing under way for longest; or else, who gets on with nothing for longest."""
        now = self.runtime.now()
        candidates = [
            (not door.protocol.conversation.idle, since, door)
            for door in doors
            if (since := door.protocol.idle_since) is not None
            and (door.protocol.conversation.idle or now - since >= _AT_WORK)
        ]
        return min(candidates, key=lambda each: each[:2])[2] if candidates else None

    def _make_room_for_a_stranger(self) -> None:
        strangers = [door for door in self._doors if not door.entered]
        if len(strangers) >= STRANGERS:
            strangers[0].protocol.transport.abortConnection()
            self.left(strangers[0])


def rights_of(writable: bool, overwrite: bool) -> Right:
    """What all may do on a server that asks nobody who they are."""
    rights = READING
    if writable:
        rights |= Right.UPLOAD
        if overwrite:
            rights |= Right.REPLACE | Right.RENAME | Right.REMOVE
    return rights
