"""A stream of what becomes of each file of a tree."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Literal

from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from twisted_ft.delivery import Delivery
from twisted_ft.errors import (
    Cancelled,
    ConnectionFailed,
    FileTransferError,
    IsADirectory,
    NotADirectory,
)
from twisted_ft.transfer.bodies.tracker import Progress, TransferProgress
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.failures import as_error

LARGE_AT_ONCE = 32
"""Files that are too large for a parcel and under way at once, at most."""
MOST_RESULTS = 1 << 12
"""Results that nobody has taken, past which nothing more is begun."""


class Tally:
    """How a tree is going."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """The tree is gone through from its beginning."""
        self.files = self.bytes = 0
        """those that are known of so far"""
        self.sent = 0
        """bytes of large files that have crossed the wire"""
        self.all_listed = False
        self.files_ended = self.bytes_moved = 0
        """those that are done, skipped or failed; and bytes that the receiver has"""
        self.current = b""
        """a file that was begun lately, by its path below the tree's root"""

    def known(self, path: bytes, size: int) -> None:
        """There is a file."""
        self.files += 1
        self.bytes += size
        self.current = path

    def ended(self, files: int, size: int) -> None:
        """So many files of so many bytes in all are done, skipped or failed."""
        self.files_ended += files
        self.bytes_moved += size


class SameResults:
    """The results for files of one folder that have fared alike; each is made when iterated.

    :param before: what stands before the name of each in its path
    :param count: how many they are; and bytes in all of them
    :param files: of each its name, its size, and its digest where it is known
    :param status: ``done``, with their digests, or ``skipped``
    :param seconds: see Delivery
    """

    def __init__(
        self,
        before: str,
        count: int,
        size: int,
        files: Callable[[], Iterable[tuple[bytes, int, bytes | None]]],
        status: Literal["done", "skipped"],
        seconds: float = 0.0,
    ) -> None:
        self.before, self._count, self._files = before, count, files
        self.size, self.status, self._seconds = size, status, seconds
        self.sent = size if status == "done" else 0
        """of the bytes in all of them, those that were sent"""

    def __len__(self) -> int:
        return self._count

    def paths(self) -> Iterator[str]:
        """Where each is, as in its result."""
        return (self.before + os.fsdecode(name) for name, _, _ in self._files())

    def __iter__(self) -> Iterator[Delivery]:
        before, seconds, status = self.before, self._seconds, self.status
        for name, size, digest in self._files():
            path, sent, known = before + os.fsdecode(name), 0, None
            if digest is not None:
                sent, known = size, digest.hex()
            yield Delivery(path, size, sent, 0, known, seconds, status)


Batch = Sequence[Delivery] | SameResults
"""Results that have come together."""


class Deliveries:
    """What becomes of each file of a tree: ``async for delivery in ...``, in no certain order.

    The work begins with the first step and goes on as results are taken; leaving it early takes a
    ``close``.  A file that fails is one of the results, and the others go on.

    :param holds_back: whether it waits, and may be mended, where a file and a folder meet
    :raises FileTransferError: the tree itself can't be listed, or the connection has ended; after
        the results that there are
    :param work: moves the tree
    :param located: gives a failure of the tree itself its side and path
    """

    def __init__(
        self,
        work: Callable[[Deliveries], Coroutine[Deferred[Any], Any, None]],
        located: Callable[[FileTransferError], FileTransferError],
        holds_back: bool = False,
    ) -> None:
        self.tally = Tally()
        self._work, self._located = work, located
        self._places = DeferredSemaphore(LARGE_AT_ONCE)
        self._results: deque[Batch] = deque()
        self._taken: Iterator[Delivery] = iter(())
        """what is left of a batch of which some has been taken"""
        self._count = 0
        """results that nobody has taken"""
        self._under_way: set[Deferred[Any]] = set()
        self._news = Event()
        """there are results, or won't be"""
        self._ended = Event()
        """a large file has"""
        self.any_failed = False
        self._holds_back = holds_back
        self._held_back: list[Delivery] = []
        """failures that may still be mended, by removing what is in the way"""
        self._emptied = Event()
        """results have been taken, or won't be"""
        self._main: Deferred[None] | None = None
        self._over = self._closed = False
        self._failure: FileTransferError | None = None

    def __aiter__(self) -> Deliveries:
        return self

    async def __anext__(self) -> Delivery:
        while (delivery := next(self._taken, None)) is None:
            while not self._results:
                await self._more()
            self._taken = iter(self._results.popleft())
        self._count -= 1
        self._make_room()
        return delivery

    async def some(self) -> Batch:
        """Some results that have come together, one at least; none, when there are no more.

        :raises FileTransferError: as where one is awaited
        """
        taken: Batch = list(self._taken)
        try:
            while not taken:
                while not self._results:
                    await self._more()
                taken = self._results.popleft()
        except StopAsyncIteration:
            return ()
        self._count -= len(taken)
        self._make_room()
        return taken

    async def _more(self) -> None:
        """Wait for results.

        :raises StopAsyncIteration: there are no more
        """
        if self._main is None and not self._over:
            self._begin()
            return
        if self._over and not self._under_way:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            raise StopAsyncIteration
        await self._news.wait()

    def _make_room(self) -> None:
        """Let the work go on, where it waits for results to be taken, or end."""
        if self._over or self._count < MOST_RESULTS:
            self._emptied.fire()

    async def close(self) -> None:
        """Call off what is under way; what has arrived is kept.  May be called more than once."""
        over, self._over = self._over, True
        self._closed = True
        if self._main is not None and not over:
            self._main.cancel()
        self._make_room()
        for each in list(self._under_way):
            each.cancel()

    def _begin(self) -> None:
        self._main = Deferred.fromCoroutine(self._work(self))
        self._main.addCallbacks(self._listed, self._failed)

    def _stop(self, error: FileTransferError) -> None:
        """Nothing more can be had: what is under way ends without a result."""
        if self._failure is None and not self._closed:
            self._failure = error
        if self._main is not None and not self._over:
            self._main.cancel()
        self._news.fire()

    def _listed(self, _: None) -> None:
        self.tally.all_listed = True
        self._over = True
        self._news.fire()

    def _failed(self, reason: Failure) -> None:
        self._over = True
        if self._failure is None and not self._closed:
            self._failure = self._located(as_error(reason))
        self._news.fire()

    # -- for the work ----------------------------------------------------------------------

    async def room(self) -> None:
        """Wait until results have been taken, where there are many."""
        if self._count >= MOST_RESULTS and not self._over:
            await self._emptied.wait()

    def add(self, *batches: Batch) -> None:
        """Some more results; those that were put before are told of with them."""
        self.put(*batches)
        if self._results:
            self._news.fire()

    def put(self, *batches: Batch) -> None:
        """Some more results, which are told of with what is added next."""
        for batch in map(self._but_held_back, batches) if self._holds_back else batches:
            if not batch:
                continue
            self._results.append(batch)
            self._count += len(batch)
            if not isinstance(batch, SameResults):
                self.any_failed |= any(each.status == "failed" for each in batch)

    def _but_held_back(self, batch: Batch) -> Batch:
        if isinstance(batch, SameResults):
            return batch
        return [each for each in batch if not self._hold_back(each)]

    def _hold_back(self, delivery: Delivery) -> bool:
        is_clash = isinstance(delivery.error, (IsADirectory, NotADirectory))
        if not is_clash or delivery.status != "failed" or len(self._held_back) >= MOST_RESULTS:
            return False
        self._held_back.append(delivery)
        return True

    @property
    def has_held_back(self) -> bool:
        """Whether something has failed as a file and a folder meet."""
        return bool(self._held_back)

    def forget_held_back(self) -> None:
        """What was in the way is removed."""
        self._held_back.clear()

    def tell_held_back(self) -> None:
        """What is in the way stays."""
        self._holds_back = False
        held_back, self._held_back = self._held_back, []
        self.add(held_back)

    async def all_ended(self) -> None:
        """Wait for the large files that are under way."""
        while self._under_way:
            await self._ended.wait()

    async def follow(
        self,
        path: str,
        size: int,
        begin: Callable[[Progress], Deferred[Delivery]],
        ended: Callable[[], None],
    ) -> None:
        """Begin with a large file, as soon as there is room for one more.

        :param path: where it goes
        :param size: its bytes, as far as is known
        :param ended: is told when it is there, or never will be
        """
        await self._places.acquire()
        if self._over:
            self._places.release()
            ended()
            return
        position = sent = 0

        def moves(moved: TransferProgress) -> None:
            nonlocal position, sent
            self.tally.bytes_moved += moved.position - position
            self.tally.sent += moved.sent - sent
            position, sent = moved.position, moved.sent

        def over(result: Delivery | Failure) -> None:
            self._under_way.discard(work)
            self.tally.ended(1, size - position)
            self._take(path, size, result)
            ended()
            self._places.release()
            self._ended.fire()

        work = begin(moves)
        self._under_way.add(work)
        work.addBoth(over)

    def _take(self, path: str, size: int, result: Delivery | Failure) -> None:
        if isinstance(result, Delivery):
            self.add([replace(result, path=path)])
            return
        error = as_error(result)
        if isinstance(error, ConnectionFailed):
            self._stop(error)
        elif self._closed and isinstance(error, Cancelled):
            self._news.fire()
        else:
            self.add([failed(path, size, error)])


def failed(path: str, size: int, error: FileTransferError, status: str = "failed") -> Delivery:
    """The result for what isn't where it was to go."""
    return Delivery(path, size, 0, 0, None, 0.0, status, error)
