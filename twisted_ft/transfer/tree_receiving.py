"""The receiver of a tree, whichever end it is on: parcels are unpacked in threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import compress, repeat
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_ft.errors import Cancelled, FileTransferError
from twisted_ft.stores.interfaces import IUnpacker
from twisted_ft.stores.packing import below
from twisted_ft.stores.walking import Manner, content_size
from twisted_ft.transfer.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.participants import Nobody
from twisted_ft.transfer.protocol import FileTransferProtocol
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import (
    TEXT_LIMIT,
    End,
    Failing,
    Fetch,
    Outcome,
    Parcel,
    Part,
    Receipts,
    Refuse,
    shortened,
)

HIGH_WATER = 8
"""Parcels that may wait to be unpacked; past them the transport isn't read.  A parcel has at most
the bytes of a message."""
LOW_WATER = 4
"""Parcels from which on it is read again."""
GROUP = 4
"""Parcels that are unpacked, and synced, together, at most."""


_ROOM = 64
"""Bytes that Receipts have beside their outcomes and failures, at most."""
_FAILING_SIZE = 8
"""Quarters of the bytes that a failure has beside its text, mostly."""


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


class TreeReceiving:
    """Takes parcels, and answers each with its Receipts.

    :param unpacker: where to
    :param choose: what of a part is to be unpacked; the rest is declined.  Called in threads
    :param unpacked: is told what became of each parcel
    """

    def __init__(
        self,
        protocol: FileTransferProtocol,
        unpacker: IUnpacker,
        unpacked: Unpacked,
        choose: Choose = _all,
        limit: RateLimit | None = None,
    ) -> None:
        self._protocol, self._unpacker, self._unpacked = protocol, unpacker, unpacked
        self._choose, self._limit = choose, limit
        self._waiting: deque[Parcel] = deque()
        self._paused = False
        self._working = False
        self._idle: list[Deferred[None]] = []
        self._own: list[tuple[Part, Told]] = []

    def take(self, parcel: Parcel) -> None:
        """A parcel has come."""
        self._protocol.take_part(parcel.exchange, Nobody())
        self._waiting.append(parcel)
        if self._limit is not None:
            self._pace(self._limit, parcel)
        if len(self._waiting) > HIGH_WATER and not self._paused:
            self._paused = True
            self._protocol.pause_reading()
        self._begin()

    def unpack_too(self, part: Part, told: Told) -> None:
        """Unpack what no parcel has brought.

        :param told: hears what became of it
        """
        self._own.append((part, told))
        self._begin()

    def idle(self) -> Deferred[None]:
        """Fires when everything that has come is unpacked."""
        idle: Deferred[None] = Deferred()
        if self._working:
            self._idle.append(idle)
        else:
            idle.callback(None)
        return idle

    def _begin(self) -> None:
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        with self._protocol.at_work():
            while self._waiting or self._own:
                if self._waiting:
                    await self._unpack_group(self._next_group())
                else:
                    await self._unpack_own()
        self._working = False
        idle, self._idle = self._idle, []
        for each in idle:
            each.callback(None)

    def _next_group(self) -> list[Parcel]:
        group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        if self._paused and len(self._waiting) <= LOW_WATER:
            self._paused = False
            self._protocol.resume_reading()
        return group

    async def _unpack_group(self, group: Sequence[Parcel]) -> None:
        parts = [_placed(part, parcel.root) for parcel in group for part in parcel.parts]
        try:
            outcomes, failures = await self._protocol.in_thread(self._unpack, parts)
        except Exception:
            error = as_error(Failure())
            for parcel in group:
                self._refuse(parcel, error)
            return
        for parcel in group:
            count = sum(len(part.items) for part in parcel.parts)
            own, outcomes = outcomes[:count], outcomes[count:]
            failed = own.count(Outcome.FAILED)
            reasons, failures = failures[:failed], failures[failed:]
            try:
                await self._unpacked(parcel, own, reasons)
            except Exception:
                self._refuse(parcel, as_error(Failure()))
                continue
            with suppress(FileTransferError):  # the connection may have ended
                self._protocol.say(Receipts(parcel.exchange, own, self._fitting(own, reasons)))
            self._protocol.leave(parcel.exchange)

    def _fitting(self, outcomes: bytes, failures: Sequence[Failing]) -> tuple[Failing, ...]:
        """The failures, with texts that have room in one message together."""
        if not failures:
            return ()
        room = self._protocol.conversation.peer_limits.message - len(outcomes) - _ROOM
        most = min(TEXT_LIMIT, max(4, room // len(failures) // 4 - _FAILING_SIZE))
        return tuple(Failing(each.code, shortened(each.text, most)) for each in failures)

    async def _unpack_own(self) -> None:
        own, self._own = self._own, []
        try:
            parts = [part for part, _ in own]
            _, failures = await self._protocol.in_thread(self._unpacker.unpack, parts)
        except Exception:
            error = as_error(Failure())
            failures = [Failing(error.code, error.text)]
        for _, told in own:
            told(failures)

    def _unpack(self, parts: Sequence[Part]) -> tuple[bytes, list[Failing]]:
        """Unpack what is wanted.  Blocks."""
        chosen = [self._choose(part) for part in parts]
        if not any(chosen):
            outcomes, failures = self._unpacker.unpack(parts)
            return bytes(outcomes), failures
        outcomes, failures = self._unpacker.unpack(
            [
                part if each is None else Part(part.folder, tuple(compress(part.items, each)))
                for part, each in zip(parts, chosen, strict=True)
            ]
        )
        following = iter(outcomes)
        return bytes(
            next(following) if is_one else Outcome.DECLINED
            for part, each in zip(parts, chosen, strict=True)
            for is_one in each or repeat(True, len(part.items))
        ), failures

    def _refuse(self, parcel: Parcel, error: FileTransferError) -> None:
        with suppress(FileTransferError):  # the connection may have ended
            self._protocol.say(Refuse(parcel.exchange, error.code, error.text))
        self._protocol.leave(parcel.exchange)

    def _pace(self, limit: RateLimit, parcel: Parcel) -> None:
        runtime = self._protocol.runtime
        wait = limit.take(content_size(parcel.parts), runtime.now())
        if wait > 0:
            self._protocol.pause_reading()
            runtime.sleep(wait).addCallback(lambda _: self._protocol.resume_reading())


def _placed(part: Part, root: bytes) -> Part:
    return Part(below(root, part.folder), part.items) if root else part


class AskingFetch(Dialogue):
    """Asks for a tree, of which the parcels are exchanges of their own."""

    async def ask(self, path: bytes, manner: Manner) -> int:
        """How many things there were, when all of them have been said.

        :raises FileTransferError: the failure that the other side names, or that ended it here
        """
        links, digests = manner.packing
        try:
            self.protocol.say(Fetch(self.number, path, manner.small, manner.ask, links, digests))
            end = await self.hear(End)
        except Exception:
            error = as_error(Failure())
            if self.state is State.FETCHING:
                with suppress(FileTransferError):  # the connection may have ended
                    self.protocol.say(Refuse(self.number, Cancelled.code, "it isn't wanted"))
            raise error from None
        finally:
            self.protocol.leave(self.number)
        return end.count
