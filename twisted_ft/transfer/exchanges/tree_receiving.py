"""The receiver of a tree, whichever end it is on: parcels are unpacked in threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import compress, islice, repeat
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from twisted_ft.errors import FileTransferError
from twisted_ft.stores.interfaces import Unpacker
from twisted_ft.stores.names import join
from twisted_ft.transfer.connection.participants import Nobody
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.exchanges.tree_plan import SendOptions
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.transfer.sockets.recvmessages import SocketMessages
from twisted_ft.wire.messages import (
    End,
    Failing,
    Fetch,
    Message,
    Outcome,
    Parcel,
    Part,
    Receipts,
    Refuse,
)
from twisted_ft.wire.sizes import BESIDE_FAILURES, content_size, fitted

HIGH_WATER = 8
"""Parcels that may wait to be unpacked; past them the transport isn't read.  A parcel has at most
the bytes of a message."""
LOW_WATER = 4
"""Parcels from which on it is read again."""
GROUP = 4
"""Parcels that are unpacked, and synced, together, at most."""
AHEAD = 2
"""Groups that a thread unpacks, at most, while nobody has said the Receipts of an earlier one."""


class Unpacked(Protocol):
    """Who is told what became of each parcel, before its Receipts are said."""

    def __call__(
        self, parcel: Parcel, outcomes: bytes, failures: Sequence[Failing]
    ) -> Coroutine[Deferred[Any], Any, None]:
        """While this waits, nothing more is unpacked."""


Told = Callable[[Sequence[Failing]], None]
"""Hears why those failed that did, of what was unpacked together."""


Choose = Callable[[Part], Sequence[bool] | None]
"""Which of a part's items are to be unpacked; None: all."""


def _all(part: Part) -> None:
    """Everything is."""


class _Group:
    """What is unpacked together: parcels, and what none has brought."""

    def __init__(self, parcels: Sequence[Parcel], own: Sequence[tuple[Part, Told]]) -> None:
        self.parcels, self.own = parcels, own
        self._outcomes, self._failures = b"", iter(list[Failing]())
        self.error: FileTransferError | None = None
        """why nobody knows what became of any of it, so that all of it counts as failed"""

    def became(self, outcomes: bytes, failures: Iterable[Failing]) -> None:
        """All of it is unpacked."""
        self._outcomes, self._failures = outcomes, iter(failures)

    def next_outcomes(self, parts: Sequence[Part]) -> tuple[bytes, list[Failing]]:
        """What became of these, which are asked for in their order."""
        count = sum(len(part.items) for part in parts)
        outcomes, self._outcomes = self._outcomes[:count], self._outcomes[count:]
        return outcomes, [*islice(self._failures, outcomes.count(Outcome.FAILED))]


class TreeReceiving:
    """Takes parcels, and answers each with its Receipts.

    :param unpacker: where to
    :param choose: what of a part is to be unpacked; the rest is declined.  Called in threads
    :param unpacked: is told what became of each parcel
    """

    def __init__(
        self,
        protocol: FileTransferProtocol,
        unpacker: Unpacker,
        unpacked: Unpacked,
        choose: Choose = _all,
        limit: RateLimit | None = None,
    ) -> None:
        self._protocol, self._unpacker, self._unpacked = protocol, unpacker, unpacked
        self._choose, self._limit = choose, limit
        self._waiting: deque[Parcel] = deque()
        self._paused = False
        self._working = False
        self._rest = Event()
        """when everything that has come is unpacked"""
        self._own: deque[tuple[Part, Told]] = deque()
        self._fetch: int | None = None
        """the exchange that has asked for what was taken last; None, where it is over"""
        self._on_socket: SocketMessages | None = None
        self._unanswered: deque[_Group] = deque()
        """groups that are unpacked, and whose Receipts aren't said"""
        self._answered_groups = 0
        """in the turn of a thread on the socket"""
        self._answering = False
        self._all_answered = Event()

    def take(self, parcel: Parcel) -> None:
        """A parcel has come."""
        self._protocol.take_part(parcel.exchange, Nobody())
        self._protocol.reading.parcel_taker, self._fetch = self, parcel.fetch
        self._waiting.append(parcel)
        if self._limit is not None:
            self._protocol.reading.pace(self._limit, content_size(parcel.parts))
        if len(self._waiting) > HIGH_WATER and not self._paused:
            self._paused = True
            self._protocol.reading.pause()
        self._begin()

    def no_more(self) -> None:
        """What still comes is for others to refuse: the exchange that has asked for it is over."""
        self._fetch = None

    def unpack_too(self, part: Part, told: Told) -> None:
        """Unpack what no parcel has brought.

        :param told: hears what became of it
        """
        self._own.append((part, told))
        self._begin()

    @property
    def may_be_offered(self) -> bool:
        """See ParcelTaker."""
        return self._limit is None and not self._waiting and not self._unanswered

    def messages_offered(self, waiting: SocketMessages) -> None:
        """See ParcelTaker."""
        self._on_socket = waiting
        self._begin()

    def idle(self) -> Deferred[None]:
        """Fires when everything that has come is unpacked."""
        return self._rest.wait() if self._working else succeed(None)

    def _begin(self) -> None:
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        with self._protocol.keep_alive.under_way():
            while self._waiting or self._own or self._on_socket:
                if self._on_socket is not None and not self._waiting:
                    await self._unpack_on_socket(self._on_socket)
                else:
                    group = _Group(self._next_parcels(), self._own_parts())
                    await self._protocol.in_thread(self._unpack, group)
                    self._answer_too(group)
                await self._answered()
        self._working = False
        self._rest.fire()

    def _next_parcels(self) -> list[Parcel]:
        group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        if self._paused and len(self._waiting) <= LOW_WATER:
            self._paused = False
            self._protocol.reading.resume()
        return group

    def _own_parts(self) -> list[tuple[Part, Told]]:
        return [self._own.popleft() for _ in range(len(self._own))]

    # -- where parcels come fast, by a thread that reads them itself -----------------------

    async def _unpack_on_socket(self, waiting: SocketMessages) -> None:
        self._answered_groups = 0
        try:
            await self._protocol.in_thread(self._unpack_from, waiting)
        finally:
            self._give_back()

    def _give_back(self) -> None:
        """Have the reactor read the socket, where it was offered."""
        waiting, self._on_socket = self._on_socket, None
        if waiting is not None:
            self._protocol.reading.messages_returned(waiting)

    def _unpack_from(self, waiting: SocketMessages) -> None:
        """Unpack what comes, group after group, for a turn.  Blocks."""
        from_thread = self._protocol.runtime.from_thread
        groups = 0
        while groups - self._answered_groups < AHEAD:
            messages = waiting.receive(GROUP)
            if not messages:
                return
            fetch = self._fetch
            ours = [each for each in messages if isinstance(each, Parcel) and each.fetch == fetch]
            from_thread(self._hear, messages, ours)
            group = _Group(ours, self._own_parts())
            if group.parcels or group.own:
                groups += 1
                self._unpack(group)
                from_thread(self._answer_too, group)

    def _hear(self, messages: Sequence[Message], ours: Sequence[Parcel]) -> None:
        goes_on = self._protocol.heard_on_socket(
            messages, lambda message: any(message is each for each in ours)
        )
        if not goes_on and self._on_socket is not None:
            self._on_socket.stop()

    def _answer_too(self, group: _Group) -> None:
        self._unanswered.append(group)
        if not self._answering:
            Deferred.fromCoroutine(self._answer())

    # -- what became of it -----------------------------------------------------------------

    async def _answer(self) -> None:
        """Say the Receipts of what is unpacked."""
        self._answering = True
        while self._unanswered:
            await self._answer_group(self._unanswered[0])
            self._unanswered.popleft()
            self._answered_groups += 1
        self._answering = False
        self._all_answered.fire()

    async def _answered(self) -> None:
        """Wait until the Receipts of all that is unpacked are said.

        They may wait for something that is to be read, so nobody keeps the socket meanwhile.
        """
        if self._answering:
            self._give_back()
            await self._all_answered.wait()

    async def _answer_group(self, group: _Group) -> None:
        for part, told in group.own:
            told(group.next_outcomes([part])[1])
        for parcel in group.parcels:
            outcomes, reasons = group.next_outcomes(parcel.parts)
            try:
                await self._unpacked(parcel, outcomes, reasons)
                if group.error is not None:
                    raise group.error
            except Exception:
                self._refuse(parcel, as_error(Failure()))
                continue
            room = self._protocol.conversation.peer_limits.message - BESIDE_FAILURES
            failures = fitted(reasons, room - len(outcomes))
            self._say_last(Receipts(parcel.exchange, outcomes, failures))

    def _unpack(self, group: _Group) -> None:
        """Unpack what is wanted of a group.  Blocks."""
        own = [part for part, _ in group.own]
        theirs = [_placed(part, each.root) for each in group.parcels for part in each.parts]
        parts = [*own, *theirs]  # in this order: what is own has nothing to publish before it
        chosen: list[Sequence[bool] | None] = [None] * len(parts)
        try:
            chosen = [*(None for _ in own), *map(self._choose, theirs)]
            if any(chosen):
                outcomes, failures = self._unpacker.unpack(_wanted(parts, chosen))
                group.became(_of_all(parts, chosen, outcomes), failures)
            else:
                outcomes, failures = self._unpacker.unpack(parts)
                group.became(bytes(outcomes), failures)
        except Exception:
            group.error = error = as_error(Failure())
            lost = _of_all(parts, chosen, repeat(Outcome.FAILED))
            group.became(lost, repeat(Failing(error.code, error.text)))

    def _refuse(self, parcel: Parcel, error: FileTransferError) -> None:
        self._say_last(Refuse(parcel.exchange, error.code, error.text))

    def _say_last(self, word: Receipts | Refuse) -> None:
        """Say the last word of an exchange; the connection ends, where it hasn't, if that fails."""
        try:
            self._protocol.say(word)
        except FileTransferError as error:
            self._protocol.end(error)
        self._protocol.leave(word.exchange)


def _wanted(parts: Sequence[Part], chosen: Sequence[Sequence[bool] | None]) -> list[Part]:
    """What is chosen of each part."""
    return [
        part if each is None else Part(part.folder, tuple(compress(part.items, each)))
        for part, each in zip(parts, chosen, strict=True)
    ]


def _of_all(
    parts: Sequence[Part], chosen: Sequence[Sequence[bool] | None], outcomes: Iterable[int]
) -> bytes:
    """The outcome of each item, from those of what is chosen."""
    following = iter(outcomes)
    return bytes(
        next(following) if is_one else Outcome.DECLINED
        for part, each in zip(parts, chosen, strict=True)
        for is_one in each or repeat(True, len(part.items))
    )


def _placed(part: Part, root: bytes) -> Part:
    return Part(join(root, part.folder), part.items) if root else part


class AskingFetch(Dialogue):
    """Asks for a tree, of which the parcels are exchanges of their own."""

    async def ask(self, path: bytes, options: SendOptions) -> int:
        """How many things there were, when all of them have been said.

        :raises FileTransferError: the failure that the other side names, or that ended it here
        """
        links, digests = options.packing
        try:
            self.protocol.say(Fetch(self.number, path, options.small, options.ask, links, digests))
            end = await self.hear(End)
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return end.count
