"""A client's one connection to a server: what is under way on it, and what the server may begin."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure

from twisted_ft.delivery import Delivery
from twisted_ft.errors import (
    AlreadyExists,
    Busy,
    Corrupt,
    Differs,
    FileTransferError,
    Forbidden,
    NotFound,
    Unchanged,
    Unsupported,
)
from twisted_ft.sides import Sides
from twisted_ft.stores.interfaces import Store
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.passing import Output
from twisted_ft.transfer.bodies.streams import Stream
from twisted_ft.transfer.bodies.tracker import Progress, TransferProgress, TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.connection.timeouts import limits
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.exchanges.changing import AskingForChange
from twisted_ft.transfer.exchanges.listing import Asking
from twisted_ft.transfer.exchanges.reading import Reading
from twisted_ft.transfer.exchanges.receiving import Receiving
from twisted_ft.transfer.exchanges.sending import Sending
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.version import AGENT
from twisted_ft.walk import Walk, check_partial_listings
from twisted_ft.wire.conversation import NO_SYNC, STREAMS, Conversation, Side
from twisted_ft.wire.messages import (
    BY_NOTHING,
    BY_TIME,
    Abort,
    Attributes,
    Change,
    Entry,
    Get,
    MakeFolder,
    Opening,
    Parcel,
    Refuse,
    Remove,
)

if TYPE_CHECKING:  # loaded where a tree is moved, and by nobody else
    from twisted_ft.transfer.exchanges.tree_plan import SendOptions
    from twisted_ft.transfer.exchanges.tree_receiving import TreeReceiving

T = TypeVar("T")
Work = Coroutine[Deferred[Any], Any, T]
WhenBusy = Callable[[Busy, int], float | None]
"""What to do about a file of which another transfer is under way, asked so many times before: the
seconds to wait until it is tried again, or None, and it fails."""


class Places(DeferredSemaphore):
    """The exchanges that a server keeps at once; when the connection is over, nobody waits."""

    _failure: FileTransferError | None = None

    def acquire(self) -> Deferred[Places]:
        """See DeferredSemaphore; fails where the connection is over."""
        return super().acquire() if self._failure is None else fail(self._failure)

    def close(self, failure: FileTransferError) -> None:
        """The connection is over: all who wait hear why."""
        self._failure = failure
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.errback(failure)


class ClientConnection:
    """What is asked of a server goes over this, and waits here until the server has room for it.

    :param runtime: clock and threads
    :param timeout: seconds that the server, when it is its turn, may say nothing
    :param limit_rate: bytes a second, for all transfers together
    :param durable: whether a file is synced, here and on the server, before it is called done
    :param when_busy: see WhenBusy; without it such a file fails at once
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        timeout: int = 30,
        limit_rate: float | None = None,
        durable: bool = True,
        when_busy: WhenBusy | None = None,
    ) -> None:
        self.runtime = runtime
        self.durable = durable
        self.ready: Deferred[None] = Deferred()
        """fires when both sides have greeted"""
        self.limit = RateLimit(limit_rate) if limit_rate is not None else None
        self.places = Places(1)
        """the exchanges that the server keeps at once"""
        self.closed = False
        """whether it is over"""
        self._limits = limits(timeout)
        self._when_busy = when_busy
        self._protocol: FileTransferProtocol | None = None
        self._trees: dict[int, TreeReceiving] = {}
        """what takes the parcels of each tree that was asked for"""
        self._end = Event()

    def build_protocol(self) -> FileTransferProtocol:
        """The one protocol of this connection, for a transport."""
        features = (STREAMS,) if self.durable else (STREAMS, NO_SYNC)
        conversation = Conversation(Side.CLIENT, AGENT, self._limits, features)
        self._protocol = FileTransferProtocol(Side.CLIENT, conversation, self, self.runtime)
        return self._protocol

    def when_closed(self) -> Deferred[None]:
        """Fires when it is over."""
        return succeed(None) if self.closed else self._end.wait()

    @property
    def protocol(self) -> FileTransferProtocol:
        """What is on the transport."""
        assert self._protocol is not None, "the client has not been connected"
        return self._protocol

    def close(self) -> Deferred[None]:
        """End it; fires when it is over."""
        if self.closed:
            return succeed(None)
        closed = self._end.wait()
        self.protocol.close()
        return closed

    # -- what is asked of the server -------------------------------------------------------

    def call(
        self,
        work: Callable[[TransferTracker], Work[T]],
        progress: Progress | None = None,
        *,
        sides: Sides,
        when_free: bool = False,
    ) -> Deferred[T]:
        """The outcome of ``work``; the other side is told when it is cancelled, in a moment.

        :param sides: what it is about, for its failures
        :param when_free: whether it is begun again after a while, where another transfer to the
            name is under way, see WhenBusy
        """
        tracker = TransferTracker(progress, self.limit)

        def cancel(outcome: Deferred[T]) -> None:
            outcome.errback(CancelledError())
            tracker.cancel()

        outcome: Deferred[T] = Deferred(cancel)

        def ended(result: T | Failure) -> None:
            if isinstance(result, Failure) and isinstance(result.value, FileTransferError):
                result = Failure(sides.located(result.value))
            if not outcome.called:
                outcome.callback(result)

        async def go_on() -> T:
            for times in count():
                try:
                    return await work(tracker)
                except Busy as error:
                    busy = sides.located(error)
                    pause = self._when_busy(busy, times) if self._when_busy and when_free else None
                    if pause is None:
                        raise
                await self.runtime.sleep(pause)
            raise AssertionError("counting has no end")

        Deferred.fromCoroutine(go_on()).addBoth(ended)
        return outcome

    async def fetch(
        self,
        path: bytes,
        store: Store,
        name: bytes,
        tracker: TransferTracker,
        compare: str = BY_TIME,
    ) -> Delivery:
        """Download a file into a store, as ``name``.

        :param compare: what makes a file that is there worth comparing: see Offer
        """

        async def attempt(compare: str) -> TransferProgress:
            tracker.check()
            return await Receiving(self.protocol, tracker=tracker).get(path, store, name, compare)

        return await self._deliver(name, tracker, attempt, compare)

    async def send(
        self,
        store: Store,
        name: bytes,
        path: bytes,
        tracker: TransferTracker,
        compare: str = BY_TIME,
    ) -> Delivery:
        """Upload a file out of a store, where it is ``name``.

        :param compare: what makes a file that is there worth comparing: see Offer
        """

        async def attempt(compare: str) -> TransferProgress:
            try:
                source = await self.runtime.in_thread(store.source, name)
            except Exception:
                raise as_error(Failure()) from None
            return await Sending(self.protocol, tracker=tracker).send(source, path, compare)

        return await self._deliver(path, tracker, attempt, compare)

    async def read(self, path: bytes, to: IConsumer | Output, tracker: TransferTracker) -> Delivery:
        """Download a file, and pass it on as it comes."""

        async def attempt(_: str) -> TransferProgress:
            tracker.check()
            return await Reading(self.protocol, to, tracker).read(path)

        return await self._deliver(path, tracker, attempt, BY_NOTHING)

    async def write(self, file: Attributes, stream: Stream, tracker: TransferTracker) -> Delivery:
        """Upload a stream as ``file``, which has no size; it is closed at the end."""

        async def attempt(_: str) -> TransferProgress:
            return await Sending(self.protocol, tracker=tracker).send_stream(file, stream)

        try:
            return await self._deliver(file.path, tracker, attempt, BY_NOTHING)
        except Exception as error:
            stream.stop(as_error(Failure(error)))
            raise
        finally:
            stream.close()

    async def entries(self, path: bytes, partial: bool, tracker: TransferTracker) -> list[Entry]:
        """The entries of a folder, sorted by name; for a file, the file.

        :param partial: what is kept there of transfers that were cut off, and nothing else
        """
        if partial:
            check_partial_listings(self.protocol)
        async with self.places:
            tracker.check()
            asking = Asking(self.protocol, path, False, partial)
            tracker.stop = asking.fail
            entries = []
            while (entry := await asking.next_entry()) is not None:
                entries.append(entry)
            return entries

    async def stat(self, path: bytes, tracker: TransferTracker) -> Entry:
        """What is at ``path``; see ``Client.stat``."""
        first = await self._first(path, lambda _entry: True, tracker)
        if first is not None and first.path == path:
            return first
        entry = None
        if path:
            try:
                above = path.rpartition(b"/")[0]
                entry = await self._first(above, lambda each: each.path == path, tracker)
            except (Forbidden, NotFound):  # who may list the folder may not see the one above
                pass
        return entry or Entry(path, "directory", 0, 0, 0)

    async def _first(
        self, folder: bytes, wanted: Callable[[Entry], bool], tracker: TransferTracker
    ) -> Entry | None:
        """The first that is wanted of what is in a folder; no more of it is asked for then."""
        tracker.check()
        walk = self.walk(folder, deep=False)
        try:
            async for entry in walk:
                tracker.check()
                if wanted(entry):
                    return entry
        finally:
            await walk.close()
        return None

    def walk(self, path: bytes, deep: bool = True, partial: bool = False) -> Walk:
        """The entries of a folder, or ``deep``: of all folders below it, too."""
        return Walk(self.protocol, self.places, path, deep, partial)

    async def change(self, change: Callable[[int], Change], tracker: TransferTracker) -> int:
        """Have a change made, whose message is made with the number of its exchange."""
        async with self.places:
            tracker.check()
            asking = AskingForChange(self.protocol)
            tracker.stop = asking.fail
            return await asking.ask(change)

    async def make_folder(self, path: bytes, tracker: TransferTracker) -> None:
        """Have a folder made, in one that is there."""
        await self.change(lambda number: MakeFolder(number, path), tracker)

    async def have_folder(self, path: bytes, parents: bool, tracker: TransferTracker) -> None:
        """See that there is a folder; it is made if missing, and those above it with ``parents``.

        :raises AlreadyExists: there is something else of this name
        """
        lacking = []
        while True:
            try:
                await self._make_unless_there(path, tracker)
                break
            except NotFound:
                above = path.rpartition(b"/")[0]
                if not parents or not above:
                    raise
                lacking.append(path)
                path = above
        for each in reversed(lacking):
            await self._make_unless_there(each, tracker)

    async def _make_unless_there(self, path: bytes, tracker: TransferTracker) -> None:
        try:
            await self.make_folder(path, tracker)
        except AlreadyExists:
            if any(each.path == path for each in await self.entries(path, False, tracker)):
                raise

    async def into_folder(
        self, folder: bytes, parents: bool, tracker: TransferTracker, send: Callable[[], Work[T]]
    ) -> T:
        """What ``send`` comes to; where ``folder``, which it goes into, is missing, that is made.

        :raises FileTransferError: also why the folder can't be made
        """
        try:
            return await send()
        except NotFound:
            if not folder:
                raise
            reason = await self._why_not_made(folder, parents, tracker)
            if reason is not None:
                text = f"{escaped(folder)}/: there is no such folder"
                if isinstance(reason, NotFound):
                    raise NotFound(f"{text}, nor the one that it would be in") from None
                raise type(reason)(f"{text}, and it can't be made: {reason.text}") from None
        return await send()

    async def _why_not_made(
        self, folder: bytes, parents: bool, tracker: TransferTracker
    ) -> FileTransferError | None:
        try:
            await self.have_folder(folder, parents, tracker)
        except FileTransferError as error:
            return error
        return None

    async def remove(self, path: bytes, deep: bool, tracker: TransferTracker) -> int:
        """Remove what is at ``path``; how many files, folders and links that were."""
        return await self.change(lambda number: Remove(number, path, deep), tracker)

    async def fetch_tree(
        self, path: bytes, send_options: SendOptions, receiving: TreeReceiving
    ) -> None:
        """Have ``receiving`` take the parcels of a folder, to the last.

        :raises FileTransferError: the failure that the server names, or that ended it here
        """
        from twisted_ft.transfer.exchanges.tree_receiving import AskingFetch

        async with self.places:
            asking = AskingFetch(self.protocol)
            self._trees[asking.number] = receiving
            try:
                await asking.ask(path, send_options)
            finally:
                del self._trees[asking.number]
                receiving.no_more()

    # -- how a file goes -------------------------------------------------------------------

    async def _attempt(self, attempt: Callable[[], Work[T]]) -> T:
        """Begin an exchange when the server has room for it."""
        async with self.places:
            return await attempt()

    async def _again(
        self, tracker: TransferTracker, attempt: Callable[[str], Work[T]], compare: str
    ) -> T:
        """Have a file moved; again, where what the receiver had proved to be another one."""
        for is_last in (False, False, True):
            try:
                return await self._attempt(partial(attempt, compare))
            except Differs:
                if is_last or compare == BY_NOTHING:
                    raise
            except Corrupt:  # what an earlier run had left was damaged, and is dropped
                if is_last or not tracker.resumed:
                    raise
            compare = BY_NOTHING
        raise AssertionError("the last attempt returns, or raises")

    async def _deliver(
        self,
        path: bytes,
        tracker: TransferTracker,
        attempt: Callable[[str], Work[TransferProgress]],
        compare: str,
    ) -> Delivery:
        """One file."""
        began = self.runtime.now()
        status = "done"
        try:
            moved = await self._again(tracker, attempt, compare)
        except Unchanged as error:
            status, moved = "skipped", tracker.known
            if not moved.blake3:
                raise Unsupported(
                    f"{error.text}; but it hasn't compared it by its digest"
                ) from None
            moved.resumed_from = 0
        return Delivery(
            path=os.fsdecode(path),
            size=moved.size,
            sent=moved.sent,
            resumed_from=moved.resumed_from,
            blake3=moved.blake3.hex() or None,
            seconds=self.runtime.now() - began,
            status=status,
            grown=moved.grown,
        )

    # -- Policy ----------------------------------------------------------------------------

    async def greeted(self, protocol: FileTransferProtocol) -> None:
        """See Policy."""
        self.places = Places(protocol.conversation.peer_limits.exchanges)
        self.ready.callback(None)

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        """See Policy: a client takes what it has asked for, and serves nothing."""
        if isinstance(message, Parcel) and message.fetch in self._trees:
            self._trees[message.fetch].take(message)
            return
        answer = Abort if isinstance(message, Get) else Refuse
        text = "this client asks for files, and serves none"
        protocol.say(answer(message.exchange, Unsupported.code, text))

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """See Policy."""
        self.closed = True
        self.places.close(error)
        if not self.ready.called:
            self.ready.errback(error)
        self._end.fire()
