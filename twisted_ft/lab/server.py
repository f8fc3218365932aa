"""One file, offered to the lab's own client."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from msgspec.structs import replace
from twisted.cred.credentials import Anonymous, ICredentials
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProducer,
    IPullProducer,
    IPushProducer,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import FileSender
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.errors import (
    Busy,
    ConnectionFailed,
    FileTransferError,
    Forbidden,
    ReadOnly,
    TimedOut,
    Unsupported,
)
from twisted_ft.lab.stream import header, name_field
from twisted_ft.server.budget import COSTS
from twisted_ft.server.commons import Commons
from twisted_ft.server.events import Event, Observer, TreeObserver
from twisted_ft.server.journal import Journal
from twisted_ft.server.rights import Right
from twisted_ft.server.session import Authenticate, Peer, Session
from twisted_ft.stores.interfaces import Source
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.locations import origin
from twisted_ft.stores.sources import check_read
from twisted_ft.transfer.bodies.outflow import ReadAhead
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.runtime import Runtime, installed_reactor
from twisted_ft.transfer.transports import host_of, name_of
from twisted_ft.wire.messages import Get

_PIECE = 1 << 16
"""Bytes read and written at once: a slow client's time starts anew whenever one is through."""


class LabServerFactory(ServerFactory):
    """Sends one file to each client that connects, as the lab's server would, and hangs up.

    Making one looks at the file, which blocks: it is done before the reactor runs, or in a
    thread.  Each transfer opens the file anew.

    :param path: the file; a link is followed, and lends its name
    :param runtime: clock and threads; those of the installed reactor, where none is given
    :param timeout: seconds for which a client may take nothing
    :param max_connections: connections at once; who comes beyond them is cut off
    :param authenticate: says who is there and what they may; else whoever comes may read the file
    :param observers: are told of all that happens, as the log is
    :raises BadName: the lab's client couldn't take the file's name
    :raises FileTransferError: the file can't be read: NotFound, IsADirectory, NotAFile, Forbidden
    """

    log = Logger()
    noisy = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        runtime: Runtime | None = None,
        timeout: float = 60,
        max_connections: int = 1000,
        authenticate: Authenticate | None = None,
        observers: Sequence[Observer | TreeObserver] = (),
    ) -> None:
        self.path = os.path.abspath(path)
        self.name = os.fsencode(os.path.basename(self.path))
        self.timeout = timeout
        self.max_connections = max_connections
        self._clients: set[LabServer] = set()
        self.authenticate = authenticate or self._anybody
        self._given_runtime, self._observers = runtime, observers
        name_field(self.name)
        self.open().close()

    @cached_property
    def runtime(self) -> Runtime:
        """Clock and threads."""
        return self._given_runtime or Runtime.of(installed_reactor())

    @cached_property
    def commons(self) -> Commons:
        """What the doors of this server share."""
        return Commons(self.runtime, [Journal(self.log, self.runtime.clock), *self._observers])

    async def _anybody(self, peer: Peer, credentials: ICredentials) -> Session:
        """Whoever comes may have the file."""
        return Session(LocalStore(os.path.dirname(self.path)), Right.READ)

    def open(self) -> Source:
        """The file, as it is now; errors as when the factory is made.  Blocks."""
        folder, name = origin(self.path)
        return LocalStore(folder).source(os.fsencode(name))

    def admit(self, client: LabServer) -> None:
        """Give a place to who has come; Busy where there is none."""
        if len(self._clients) >= self.max_connections:
            raise Busy(f"this server allows {self.max_connections} connections at once")
        self._clients.add(client)

    def left(self, client: LabServer) -> None:
        """The connection is over."""
        self._clients.discard(client)

    def disconnect(self) -> None:
        """Cut every connection off."""
        for client in [*self._clients]:
            client.transport.abortConnection()

    def buildProtocol(self, addr: IAddress | None) -> LabServer:
        """One client's protocol."""
        protocol = LabServer(self)
        protocol.factory = self
        return protocol


@implementer(IConsumer)
class _Pieces:
    """A consumer between FileSender and a transport: asks for a piece when it is told to."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._producer: IProducer | None = None

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        self._transport.write(data)

    def ask(self) -> None:
        """Have the next piece written."""
        cast(IPullProducer, self._producer).resumeProducing()


@implementer(IPushProducer)
class LabServer(Protocol, TimeoutMixin):
    """One transfer: a header, the file, and a clean end; anything else ends in a reset."""

    transport: Any

    def __init__(self, factory: LabServerFactory) -> None:
        self._offer = factory
        self._runtime = factory.commons.threads.lane().runtime(factory.runtime)
        self._choked: Deferred[None] | None = None
        self._failure: FileTransferError | None = None
        self._closed: Deferred[None] = Deferred()
        self._hung_up = False

    # -- from the transport --------------------------------------------------------------

    def callLater(self, period: float, func: Any) -> Any:
        """TimeoutMixin's clock."""
        return self._runtime.clock.callLater(period, func)

    def connectionMade(self) -> None:
        """Send the file, and tell what became of it."""
        self.transport.registerProducer(self, True)
        Deferred.fromCoroutine(self._serve())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end, which is a good one only when it is ours."""
        self.setTimeout(None)
        self._offer.left(self)
        if self._failure is None and not (self._hung_up and reason.check(ConnectionDone)):
            self._failure = ConnectionFailed("the client ended the connection before the file did")
        self.resumeProducing()
        if self._failure is None:
            self._closed.callback(None)
        elif self._hung_up:
            self._closed.errback(self._failure)

    def timeoutConnection(self) -> None:
        """The client has had its time."""
        self._failure = TimedOut(f"the client has read nothing for {self._offer.timeout} seconds")
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """The transport has enough: it is the client's turn, to read."""
        if self._choked is None:
            self._choked = Deferred()
            self.setTimeout(self._offer.timeout)

    def resumeProducing(self) -> None:
        """The transport takes more."""
        choked, self._choked = self._choked, None
        if choked is not None:
            self.setTimeout(None)
            choked.callback(None)

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost follows."""

    # -- one transfer --------------------------------------------------------------------

    async def _serve(self) -> None:
        """Let the client in, and do what it has come for."""
        began, address = self._runtime.now(), self.transport.getPeer()
        peer = Peer(name_of(address), host_of(address), door="lab")
        about = Event("begun", peer.address, "", "lab", "download", self._offer.name)
        events = self._offer.commons.events
        try:
            self._offer.admit(self)
            session = await self._offer.authenticate(peer, Anonymous())
            self._offer.commons.enter(session, peer)
            about = session.event("begun", "download", self._offer.name)
            events.tell(about)
            session.check(Right.READ, self._offer.name)
            with await session.hold(COSTS[Get]):
                body, size = await self._transfer()
        except Exception:
            self.transport.abortConnection()
            error, seconds = as_error(Failure()), self._runtime.now() - began
            kind = "refused" if isinstance(error, (Busy, Forbidden, ReadOnly)) else "failed"
            failed = replace(about, kind=kind, code=error.code, error=error.text, seconds=seconds)
            events.tell(failed)
        else:
            seconds, digest = self._runtime.now() - began, body.digest().hex()
            ended = replace(about, kind="ended", size=size, sent=size, blake3=digest)
            events.tell(replace(ended, seconds=seconds))

    async def _transfer(self) -> tuple[ReadAhead, int]:
        in_thread = self._runtime.in_thread
        source = await in_thread(self._offer.open)
        try:
            if (size := source.attributes.size) is None:
                raise Unsupported(
                    "its size isn't known before it is read, and the lab's wire says it first"
                )
            self.transport.write(header(self._offer.name, size))
            body = ReadAhead(source, 0)
            await self._send(source, body)
        finally:
            await in_thread(source.close)
        await self._hang_up()
        return body, size

    async def _send(self, source: Source, body: ReadAhead) -> None:
        """All of the file; its last piece only where the file is still what it was."""

        def fill() -> None:
            body.fill(_PIECE)
            if not body.left:
                check_read(source, body.digest())

        pieces = _Pieces(self.transport)
        sender = FileSender()
        sender.CHUNK_SIZE = _PIECE
        finished = sender.beginFileTransfer(body, pieces)
        while body.left:
            await self._runtime.in_thread(fill)
            await self._writable()
            pieces.ask()
        pieces.ask()
        await finished

    async def _writable(self) -> None:
        if self._choked is not None:
            await self._choked
        if self._failure is not None:
            raise self._failure

    async def _hang_up(self) -> None:
        """Close, and wait until what is left has gone."""
        await self._writable()
        self._hung_up = True
        self.transport.unregisterProducer()
        self.setTimeout(self._offer.timeout)
        self.transport.loseConnection()
        await self._closed
