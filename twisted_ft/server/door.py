"""FT/1's door: one connection, from its greeting to its end, as a session has it.

Whatever a peer begins goes the same way: it is told of, its rights are asked, room is waited for,
it is done, and what has become of it is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import cached_property
from inspect import isawaitable
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace
from twisted.cred.credentials import Anonymous
from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure

from twisted_ft.errors import ConnectionFailed, Differs, FileTransferError, Unchanged, Unsupported
from twisted_ft.server.budget import COSTS, SHORT_LISTING, Holding
from twisted_ft.server.commons import Commons
from twisted_ft.server.events import Action, Event, TreeFiles
from twisted_ft.server.rights import NEEDS
from twisted_ft.server.session import Authenticate, Authorize, Peer, Received, Session
from twisted_ft.stores.interfaces import Store
from twisted_ft.stores.piecewise import unpacker_of
from twisted_ft.stores.states import States
from twisted_ft.transfer.bodies.tracker import TransferProgress, TransferTracker
from twisted_ft.transfer.connection.participants import Nobody
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.changing import Changing
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.exchanges.listing import Answering
from twisted_ft.transfer.exchanges.receiving import Receiving
from twisted_ft.transfer.exchanges.sending import Sending
from twisted_ft.transfer.exchanges.tree_plan import FolderEnd
from twisted_ft.transfer.exchanges.tree_receiving import TreeReceiving
from twisted_ft.transfer.exchanges.tree_sending import AnsweringFetch
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.transports import host_of
from twisted_ft.wire.conversation import NO_SYNC
from twisted_ft.wire.messages import (
    Abort,
    Failing,
    Fetch,
    Get,
    List,
    MakeFolder,
    Offer,
    Opening,
    Parcel,
    Part,
    Refuse,
    Remove,
    Rename,
)

MOST_WAITING = 8
"""Parcels of a connection that wait for room for an upload, at most, while it is read on."""

T = TypeVar("T")
Result = TransferProgress | int
"""What an exchange has come to: a file, or how many things."""
Answer = Callable[[Holding], Coroutine[Deferred[Any], Any, Result]]
"""Does what was asked for, with what is held for it."""

_ACTIONS: dict[type[Opening], Action] = {
    Get: "download",
    Offer: "upload",
    List: "list",
    Fetch: "download",
    Parcel: "upload",
    MakeFolder: "mkdir",
    Rename: "rename",
    Remove: "remove",
}


class Rules(Protocol):
    """What a server has decided for all that come to this door."""

    durable: bool
    authenticate: Authenticate
    authorize: Authorize | None
    received: Received | None

    def admit(self, door: Door) -> None:
        """Give a place to who has greeted; Busy where there is none."""

    def left(self, door: Door) -> None:
        """The connection is over."""


class Door:
    """One connection: see Policy."""

    session: Session
    protocol: FileTransferProtocol

    def __init__(self, rules: Rules, commons: Commons) -> None:
        self._rules, self._commons = rules, commons
        self.lane = commons.threads.lane()
        self.entered = False
        """whether a peer has greeted, and been let in"""
        self._tree: _TreeUpload | None = None

    # -- Policy --------------------------------------------------------------------------

    async def greeted(self, protocol: FileTransferProtocol) -> None:
        """See Policy: let a peer in."""
        self._rules.admit(self)
        agent = protocol.conversation.peer_agent
        peer = Peer(protocol.peer, host_of(protocol.transport.getPeer()), agent)
        self.session = await self._rules.authenticate(peer, Anonymous())
        self._commons.enter(self.session, peer)
        self.entered = True
        self.session.events.tell(self.session.event("connected"))

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        """See Policy."""
        if isinstance(message, Parcel):
            if self._tree is None:
                self._tree = _TreeUpload(self)
            self._tree.take(message)
            return
        event = replace(_event_of(self.session, message), tree=isinstance(message, Fetch))
        Deferred.fromCoroutine(self._serve(message, event))

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """See Policy: who broke the protocol, or doesn't speak it, is told of."""
        events = self._commons.events
        self.lane.leaves = True
        if type(error) is not ConnectionFailed:
            about = Event("refused", protocol.peer, door="ft")
            events.tell(replace(about, code=error.code, error=error.text))
        if self.entered:
            self.session.holds.close(error)
            if self._tree is not None:
                self._tree.end()
            events.tell(self.session.event("left"))
            self._commons.left(self.session)
        self._rules.left(self)

    # -- what a peer begins ----------------------------------------------------------------

    async def _serve(self, message: Opening, event: Event) -> None:
        """Do what a peer has asked for, if it may, and tell what has become of it."""
        tell, now = self.session.events.tell, self.protocol.runtime.now
        began = now()
        tell(event)
        dialogue, answer = self._answer(message)
        try:
            with self.protocol.keep_alive.under_way():
                await self.permit(message)
                holding = await self.session.hold(COSTS[type(message)])
        except Exception:
            error = as_error(Failure())
            self.refuse(message, error)
            tell(_failed(event, "refused", error, now() - began))
            return
        try:
            with holding:
                dialogue.check()
                result = await answer(holding)
        except Exception:
            tell(_failed(event, "failed", as_error(Failure()), now() - began))
        else:
            tell(_ended(event, result, now() - began))

    async def permit(self, message: Opening) -> None:
        """Ask whether a message may be served; a failure where it may not."""
        needed = NEEDS.get(type(message))
        if needed is None:
            raise Unsupported(f"this server doesn't serve {type(message).__name__}")
        for path in _paths_of(message):
            self.session.check(needed, path)
        if self._rules.authorize is not None:
            await _waited(self._rules.authorize(self.session, message))

    def refuse(self, message: Opening, error: FileTransferError) -> None:
        """Say that a message isn't served, where that is still waited for."""
        number = message.exchange
        word = Abort if isinstance(message, (Get, Fetch)) else Refuse
        if self.protocol.conversation.state_of(number).name != "ENDED":
            self.protocol.say(word(number, error.code, error.text))
        self.protocol.leave(number)

    def _answer(self, message: Opening) -> tuple[Dialogue, Answer]:
        """Who takes part in an exchange that a peer has begun, and what answers it."""
        protocol, store, number = self.protocol, self.session.view, message.exchange
        tracker = TransferTracker(limit=self.session.limit)
        if isinstance(message, Get):
            sending = Sending(protocol, number, tracker)
            return sending, lambda _: sending.answer(store, message.path)
        if isinstance(message, Offer):
            receiving = Receiving(protocol, number, tracker, durable=self.durable)
            return receiving, lambda _: self._receive(receiving, message)
        if isinstance(message, List):
            answering = Answering(protocol, number)
            return answering, lambda holding: _list(answering, store, message, holding)
        if isinstance(message, Fetch):
            fetch = AnsweringFetch(protocol, message, self.session.limit)
            return fetch, lambda _: fetch.answer(store, _SentTree(self.session, message.path))
        assert not isinstance(message, Parcel), "parcels are taken together"
        changing = Changing(protocol, number)
        return changing, lambda _: changing.answer(message, store, overwrite=True)

    async def _receive(self, receiving: Receiving, offer: Offer) -> TransferProgress:
        session, file, uploads = self.session, offer.file, self._commons.uploads
        await uploads.take_over(session, file, self.protocol.runtime.now())
        told = self._published(file.path)
        with uploads.under_way(session, self.protocol, file):
            return await receiving.receive(
                file, session.view, True, told, session.owner, offer.compare
            )

    def _published(self, path: bytes) -> Callable[[TransferProgress], Awaitable[None]] | None:
        """Who is told of a file that has its name, before its sender is."""
        if self._rules.received is None:
            return None

        async def published(progress: TransferProgress) -> None:
            event = self.session.event("ended", "upload", path)
            await self.tell_received(_ended(event, progress, 0.0))

        return published

    async def tell_received(self, event: Event) -> None:
        """Tell the embedder's hook, which can't undo what has arrived: what it raises is logged."""
        try:
            if self._rules.received is not None:
                await _waited(self._rules.received(self.session, event))
        except Exception:
            as_error(Failure())

    @property
    def asks_nobody(self) -> bool:
        """Whether the rights of the session are all that is asked."""
        return self._rules.authorize is None

    @property
    def has_hook(self) -> bool:
        """Whether somebody is to be told of each file before its sender is."""
        return self._rules.received is not None

    @property
    def durable(self) -> bool:
        """Whether what arrives is synced."""
        return self._rules.durable and NO_SYNC not in self.protocol.conversation.peer_features


class _TreeUpload:
    """The parcels of a connection: all of them are one upload, which holds what it needs while some
    are under way."""

    def __init__(self, door: Door) -> None:
        self._door, self._session = door, door.session
        self._in_order = DeferredLock()
        self._waiting = 0
        """parcels that wait for what an upload holds"""
        self._holding: Holding | None = None

    @cached_property
    def _receiving(self) -> TreeReceiving:
        """Who takes parcels, once one has been permitted."""
        unpacker = unpacker_of(self._session.view, True, self._door.durable)
        limit = self._session.limit
        return TreeReceiving(self._door.protocol, unpacker, self._unpacked, limit=limit)

    def take(self, parcel: Parcel) -> None:
        """A parcel has come."""
        if self._holding is not None and self._door.asks_nobody and not self._in_order.locked:
            self._take_now(parcel)
        else:
            self._door.protocol.take_part(parcel.exchange, Nobody())
            Deferred.fromCoroutine(self._take(parcel))

    def _take_now(self, parcel: Parcel) -> None:
        try:
            self._session.check(NEEDS[Parcel], parcel.root)
        except FileTransferError as error:
            self._refuse(parcel, error)
        else:
            self._receiving.take(parcel)

    async def _take(self, parcel: Parcel) -> None:
        """Take a parcel after those before it, when it may be, and there is room for an upload.

        What there is room for may be bodies that come on this connection, so it is read on.
        """
        self._waits(1)
        async with self._in_order:
            self._waits(-1)
            try:
                await self._door.permit(parcel)
                begins = self._holding is None
                if begins:
                    self._holding = await self._session.hold(COSTS[Parcel])
            except Exception:
                self._refuse(parcel, as_error(Failure()))
                return
            self._receiving.take(parcel)
            if not self._door.asks_nobody:
                self._door.protocol.reading.parcel_taker = None  # each of them is asked about
            if begins:
                self._receiving.idle().addCallback(lambda _: self.end())

    def _waits(self, more: int) -> None:
        """Read nothing while too many parcels wait; a good sender has fewer on their way."""
        before, self._waiting = self._waiting, self._waiting + more
        if before == MOST_WAITING < self._waiting:
            self._door.protocol.reading.pause()
        elif self._waiting == MOST_WAITING < before:
            self._door.protocol.reading.resume()

    def _refuse(self, parcel: Parcel, error: FileTransferError) -> None:
        self._door.refuse(parcel, error)
        event = self._session.event("refused", "upload", parcel.root, tree=True)
        self._session.events.tell(replace(event, code=error.code, error=error.text))

    def end(self) -> None:
        """Nothing is under way; what was held is given back."""
        holding, self._holding = self._holding, None
        self._door.protocol.reading.parcel_taker = None
        if holding is not None:
            holding.release()

    async def _unpacked(self, parcel: Parcel, outcomes: bytes, failures: Sequence[Failing]) -> None:
        about = self._session.event("ended", "upload", tree=True)
        files = TreeFiles(about, parcel.root, parcel.parts, outcomes, failures)
        self._session.events.tell_tree_files(files)
        if self._door.has_hook:
            for event in files:
                if event.kind == "ended":
                    await self._door.tell_received(event)


class _SentTree:
    """Tells of a tree as it is sent: see TreeWatcher."""

    def __init__(self, session: Session, root: bytes) -> None:
        self._session, self._root = session, root
        self._about = session.event("ended", "download", tree=True)

    def said(self, parts: Sequence[Part]) -> None:
        """Nothing is known yet."""

    def listed(self, ends: Sequence[FolderEnd]) -> None:
        """The receiver knows."""

    def alike(self, folder: bytes, states: States) -> None:
        """Nothing was sent of it."""

    async def receipted(
        self, parts: Sequence[Part], outcomes: bytes, failures: Sequence[Failing]
    ) -> None:
        """Some of it has arrived."""
        files = TreeFiles(self._about, self._root, parts, outcomes, failures)
        self._session.events.tell_tree_files(files)


def _event_of(session: Session, message: Opening) -> Event:
    path, *new = _paths_of(message)
    return session.event("begun", _ACTIONS[type(message)], path, new[0] if new else b"")


def _paths_of(message: Opening) -> list[bytes]:
    """What a message is about."""
    if isinstance(message, Offer):
        return [message.file.path]
    if isinstance(message, Parcel):
        return [message.root]
    if isinstance(message, Rename):
        return [message.path, message.new]
    return [message.path]


def _failed(event: Event, kind: Any, error: FileTransferError, seconds: float) -> Event:
    if isinstance(error, (Unchanged, Differs)):
        kind = "ended"
    return replace(event, kind=kind, code=error.code, error=error.text, seconds=seconds)


def _ended(event: Event, result: Result, seconds: float) -> Event:
    if isinstance(result, int):
        return replace(event, kind="ended", count=result, seconds=seconds)
    return replace(
        event,
        kind="ended",
        seconds=seconds,
        size=result.size,
        sent=result.sent,
        resumed_from=result.resumed_from,
        blake3=result.blake3.hex(),
    )


async def _list(answering: Answering, store: Store, asked: List, holding: Holding) -> int:
    """Answer a listing; a short one soon holds less."""

    def begun(is_all: bool) -> None:
        if is_all:
            holding.shrink(SHORT_LISTING)

    return await answering.answer(store, asked.path, asked.deep, asked.partial, begun)


async def _waited(result: Awaitable[T] | T) -> T:
    """What a hook gives, at once or later."""
    return await result if isawaitable(result) else result
