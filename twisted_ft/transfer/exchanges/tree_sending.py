"""The sender of a tree, whichever end it is on: parcel after parcel, ahead of their Receipts."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from twisted_ft.errors import FileTransferError, ProtocolError, error_for
from twisted_ft.stores.interfaces import Packing, Store
from twisted_ft.stores.names import join
from twisted_ft.stores.piecewise import packer_of
from twisted_ft.stores.states import States
from twisted_ft.transfer.connection.participants import Bodiless
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.exchanges.tree_plan import (
    Chosen,
    FolderEnd,
    ParcelDraft,
    SendOptions,
    TreePlan,
    insisting,
    parcel_size,
)
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.rate import RateLimit, paced
from twisted_ft.wire.messages import (
    Described,
    End,
    Failing,
    Fetch,
    Item,
    Message,
    Outcome,
    Parcel,
    Part,
    Receipts,
    Refuse,
    Summed,
)
from twisted_ft.wire.sizes import content_size

WINDOW = 6
"""Parcels that are said and have no Receipts yet, at most; fewer, where the other side says so."""
WINDOW_SIZE = 3 << 20
"""Bytes of files in them, at most, where there is more than one: so an interruption costs no more.
"""
DRAFTS_AHEAD = 3
"""Loads that are filled before they can be said, at most."""
_TO_LEARN_OF = frozenset((Described, Summed))
"""Items whose outcomes say what is to be said next."""
_OF_SUMS = (Outcome.HELD, Outcome.WANTED, Outcome.FAILED, Outcome.EMPTY)
"""What can become of a Summed."""


class TreeWatcher(Protocol):
    """Who is told what becomes of a tree that is sent."""

    def said(self, parts: Sequence[Part]) -> None:
        """These are on their way."""

    def listed(self, ends: Sequence[FolderEnd]) -> None:
        """All that is in these folders has been said."""

    def alike(self, folder: bytes, states: States) -> None:
        """The receiver has all files of this folder, which were summed, in these states."""

    def receipted(
        self, parts: Sequence[Part], outcomes: bytes, failures: Sequence[Failing]
    ) -> Coroutine[Deferred[Any], Any, None]:
        """What became of each item; while this waits, it counts as not receipted."""


class Shipment(Bodiless):
    """One parcel on its way: see Participant."""

    def __init__(self, sending: TreeSending, parts: Sequence[Part], size: int) -> None:
        self.parts, self.size = parts, size
        self.number = 0
        self._sending = sending

    def heard(self, message: Message) -> None:
        """Receipts, or a Refuse of it all."""
        if isinstance(message, Receipts):
            self._sending.receipted(self, message.outcomes, message.failures)
        elif isinstance(message, Refuse):
            count = sum(len(part.items) for part in self.parts)
            failure = Failing(message.code, message.text)
            self._sending.receipted(self, bytes([Outcome.FAILED]) * count, (failure,) * count)

    def connection_lost(self, error: FileTransferError) -> None:
        """Nobody knows what became of it."""
        self._sending.fail(error)


class TreeSending:
    """Sends what is in a folder, and in all folders below it.

    :param store: where from
    :param folder: its path there
    :param watcher: is told what becomes of it
    :param fetch: the exchange that asked for it; 0 where nobody has
    :param root: the folder that it goes to, where nobody has asked
    :param chosen: whether an item is to go; called in threads
    :param places: the exchanges that the other side keeps at once, where others need them too
    """

    def __init__(
        self,
        protocol: FileTransferProtocol,
        store: Store,
        folder: bytes,
        options: SendOptions,
        watcher: TreeWatcher,
        *,
        fetch: int = 0,
        root: bytes = b"",
        chosen: Chosen | None = None,
        places: DeferredSemaphore | None = None,
        limit: RateLimit | None = None,
    ) -> None:
        self._protocol, self._watcher = protocol, watcher
        self._fetch, self._root, self._limit = fetch, root, limit
        peer = protocol.conversation.peer_limits
        self._options = options.within(peer.message)
        room = parcel_size(peer.message)
        self._walk = TreePlan(packer_of(store), folder, self._options, room, chosen)
        self._window = DeferredSemaphore(min(WINDOW, peer.exchanges))
        self._places = places or DeferredSemaphore(peer.exchanges)
        self._ahead: deque[ParcelDraft] = deque()
        """loads that are filled, and not said"""
        self._filling: Deferred[Any] | None = None
        self._under_way: set[Shipment] = set()
        self._held = 0
        self._unreceipted = 0
        """bytes of files that are under way"""
        self._over = False
        self._failure: FileTransferError | None = None
        self._news = Event()
        self._acquiring: Deferred[DeferredSemaphore] | None = None
        self._root_outcome: Outcome | None = None
        self.count = 0
        """items, so far, without the tree's root"""

    async def send(self) -> int:
        """Send it all; how many items there were.

        :raises FileTransferError: the folder can't be read, or had; the connection has ended
        """
        with self._protocol.keep_alive.under_way():
            try:
                await self._send_root()
                await self._send_rest()
                return self.count
            finally:
                self._over = True
                while self._filling is not None:  # nothing is closed while it is being read
                    await self._news.wait()
                self._protocol.in_thread(self._walk.close).addErrback(as_error)

    def fail(self, error: FileTransferError) -> None:
        """End it with ``error``."""
        if self._failure is None:
            self._failure = error
            self._walk.stop()
        if self._acquiring is not None:
            self._acquiring.cancel()
        self._news.fire()

    def say_too(self, folder: bytes, item: Item) -> None:
        """Have an item said that isn't found by walking."""
        self._walk.say(folder, item)
        self._news.fire()

    def hold(self) -> None:
        """Something is under way elsewhere after which there may be more to say."""
        self._held += 1

    def let_go(self) -> None:
        """The counterpart of ``hold``."""
        self._held -= 1
        self._news.fire()

    async def _send_root(self) -> None:
        root = await self._protocol.in_thread(self._walk.root)
        draft = ParcelDraft(0, gathered=[(b"", [root])])
        await self._say(draft)
        while self._under_way:
            await self._wait()

    async def _send_rest(self) -> None:
        while (draft := await self._next_draft()) is not None:
            await self._make_room()
            await self._say(draft)

    async def _next_draft(self) -> ParcelDraft | None:
        """What is to be said next; None, where there is nothing more, and won't be."""
        while not self._ahead:
            self._fill()
            if not (self._filling or self._under_way or self._held):
                return None
            await self._wait()
        draft = self._ahead.popleft()
        self._fill()
        return draft

    def _fill(self) -> None:
        """Have a thread fill one more load, where there is something to say, and room for it."""
        if self._filling is None and len(self._ahead) < DRAFTS_AHEAD and self._walk.has_more:
            hashes = self._options.packing.digests
            call = self._protocol.at_length if hashes else self._protocol.in_thread
            self._filling = call(self._walk.next_draft)
            self._filling.addCallback(self._filled).addErrback(self._not_filled)

    def _filled(self, draft: ParcelDraft) -> None:
        self._filling = None
        if draft.gathered or draft.ends:
            self._ahead.append(draft)
        if not self._over:
            self._fill()
        self._news.fire()

    def _not_filled(self, reason: Failure) -> None:
        self._filling = None
        self.fail(as_error(reason))

    async def _make_room(self) -> None:
        """Wait until the transport takes more."""
        self._check()
        await self._protocol.writing.writable()

    async def _say(self, draft: ParcelDraft) -> None:
        parts = draft.parts()
        size = content_size(parts)
        if parts:
            shipment = Shipment(self, parts, size)
            while self._under_way and self._unreceipted + shipment.size > WINDOW_SIZE:
                await self._wait()
            await self._acquire(self._window)
            await self._acquire(self._places)
            self._under_way.add(shipment)
            self._unreceipted += shipment.size
            number = shipment.number = self._protocol.open(shipment)
            self._watcher.said(parts)
            self._protocol.say(Parcel(number, self._fetch, self._root, parts))
            self.count += sum(len(part.items) for part in parts)
        if draft.ends:
            self._watcher.listed(draft.ends)
        await paced(self._limit, size, self._protocol.runtime)

    async def _acquire(self, semaphore: DeferredSemaphore) -> None:
        """Wait for room for one more parcel; where it all ends meanwhile, for its failure."""
        self._check()
        self._acquiring = semaphore.acquire()
        try:
            await self._acquiring
        except CancelledError:
            self._check()
            raise
        finally:
            self._acquiring = None

    async def _wait(self) -> None:
        """Wait until something is heard."""
        self._check()
        await self._news.wait()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # -- Receipts --------------------------------------------------------------------------

    def receipted(self, shipment: Shipment, outcomes: bytes, failures: Sequence[Failing]) -> None:
        """A parcel has its Receipts; where it comes too late, nobody is told.

        Its place is free at once, as what the watcher begins may need it; its room in the window
        is only when the watcher is done with it.
        """
        self._protocol.leave(shipment.number)
        self._places.release()
        if self._over:
            return
        wants_root = self._root_outcome is None and outcomes[0] == Outcome.WANTED
        if wants_root or not _are_possible(shipment.parts, outcomes):
            error = ProtocolError("the receipts are for other things than were sent")
            self._protocol.end(error)
            self.fail(error)
            return
        if self._options.force:
            outcomes = insisting(shipment.parts, outcomes)
        if self._root_outcome is None:
            self._learn_root(outcomes, failures)
        else:
            self._learn(shipment.parts, outcomes)
        told = Deferred.fromCoroutine(self._watcher.receipted(shipment.parts, outcomes, failures))
        told.addErrback(lambda reason: self.fail(as_error(reason)))
        told.addCallback(lambda _: self._receipted(shipment))

    def _receipted(self, shipment: Shipment) -> None:
        self._under_way.discard(shipment)
        self._unreceipted -= shipment.size
        self._window.release()
        self._news.fire()

    def _learn_root(self, outcomes: bytes, failures: Sequence[Failing]) -> None:
        self._root_outcome = Outcome(outcomes[0])
        self.count = 0
        if failures:
            self.fail(error_for(failures[0].code, failures[0].text))
        elif self._root_outcome in (Outcome.DONE, Outcome.EMPTY):
            self._walk.is_new(b"")
        elif self._root_outcome is Outcome.DECLINED:
            self._walk.bar(b"")

    def _learn(self, parts: Sequence[Part], outcomes: bytes) -> None:
        """What is new to the receiver, what it wants, and what it doesn't."""
        position = 0
        for part in parts:
            following = position + len(part.items)
            if not _TO_LEARN_OF.isdisjoint(map(type, part.items)):
                for item, outcome in zip(part.items, outcomes[position:following], strict=True):
                    if isinstance(item, Described):
                        self._learn_item(part.folder, item, outcome)
                    elif isinstance(item, Summed):
                        self._learn_sum(join(part.folder, item.name), outcome)
            position = following

    def _learn_item(self, folder: bytes, item: Described, outcome: int) -> None:
        if item.kind == "directory":
            path = join(folder, item.name)
            if outcome in (Outcome.DONE, Outcome.EMPTY):
                self._walk.is_new(path)
            elif outcome in (Outcome.DECLINED, Outcome.FAILED):
                self._walk.bar(path)
        elif outcome == Outcome.WANTED and item.size <= self._options.small:
            self._walk.want(folder, item.name)

    def _learn_sum(self, folder: bytes, outcome: int) -> None:
        if outcome == Outcome.EMPTY:
            self._walk.is_new(folder)
        if outcome != Outcome.HELD:
            self._walk.spell_out(folder)
        elif (states := self._walk.alike(folder)) is not None:
            self._watcher.alike(folder, states)


def _are_possible(parts: Sequence[Part], outcomes: bytes) -> bool:
    """Whether of folders that were summed no more is said than whether they are the same."""
    if not any(type(item) is Summed for part in parts for item in part.items):
        return True
    items = (item for part in parts for item in part.items)
    return all(
        outcome in _OF_SUMS or type(item) is not Summed
        for item, outcome in zip(items, outcomes, strict=True)
    )


class AnsweringFetch(Dialogue):
    """Sends the tree that a Fetch has asked for."""

    def __init__(
        self, protocol: FileTransferProtocol, fetch: Fetch, limit: RateLimit | None = None
    ) -> None:
        super().__init__(protocol, fetch.exchange)
        self._fetch, self._limit = fetch, limit
        self._sending: TreeSending | None = None

    async def answer(self, store: Store, watcher: TreeWatcher) -> int:
        """Send it, or say Abort; how many things there were."""
        asked = self._fetch
        options = SendOptions(asked.small, asked.ask, Packing(asked.links, asked.digests))
        try:
            self._sending = TreeSending(
                self.protocol,
                store,
                asked.path,
                options,
                watcher,
                fetch=self.number,
                limit=self._limit,
            )
            count = await self._sending.send()
            self.check()
            self.protocol.say(End(self.number, count))
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return count

    def fail(self, error: FileTransferError) -> None:
        """See Dialogue."""
        super().fail(error)
        if self._sending is not None:
            self._sending.fail(error)
