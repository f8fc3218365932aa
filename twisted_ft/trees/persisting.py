"""What becomes of each file of a tree that is tried again: a stream that tells of each once."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from twisted_ft.client import Client
from twisted_ft.delivery import Delivery
from twisted_ft.errors import FileTransferError
from twisted_ft.retrying import Retrying, Tries
from twisted_ft.trees.deliveries import Batch, Deliveries, SameResults, Tally

MOST_TOLD = 1 << 24
"""Files and folders of which it is known that they were told; a server may name them without end.
Of more, some may be told again where a connection is lost."""
MOST_HELD = 1 << 12
"""Failures that are worth trying again and wait for the end of the tree; more are told at once."""


class PersistentDeliveries:
    """As ``Deliveries``, over as many connections as it takes.

    Where one is lost, all of the tree is gone through again: what is there already is compared, and
    the rest is moved.  Of each file the first result is told; a failure that is worth trying again
    only where it is the last, and what had failed once more where it is there now.

    :raises FileTransferError: as Deliveries, when trying again wasn't worth it, or was in vain
    """

    def __init__(self, retrying: Retrying, begin: Callable[[Client], Deliveries]) -> None:
        self.tally = Tally()
        self._begin, self._tries = begin, Tries(retrying)
        self._client: Client | None = None
        self._deliveries: Deliveries | None = None
        self._told = _Told()
        self._held: list[Delivery] = []
        self._taken: Iterator[Delivery] = iter(())
        """what is left of a batch of which some has been taken"""

    def __aiter__(self) -> PersistentDeliveries:
        return self

    async def __anext__(self) -> Delivery:
        while (delivery := next(self._taken, None)) is None:
            batch = await self.some()
            if not batch:
                raise StopAsyncIteration
            self._taken = iter(batch)
        return delivery

    async def connected(self) -> None:
        """Wait for the first connection, so that it is known whether there can be one.

        :raises FileTransferError: there can't
        """
        self._client = self._client or await self._tries.client()

    async def some(self) -> Batch:
        """Some results that have come together, one at least; none, when there are no more.

        :raises FileTransferError: as where one is awaited
        """
        taken: Batch = list(self._taken)
        while not taken:
            deliveries = await self._begun()
            try:
                batch = await deliveries.some()
            except FileTransferError as error:
                await self._again(error)
                continue
            if not batch:
                held, self._held = self._held, []
                return held
            taken = self._fresh(batch)
        return taken

    async def close(self) -> None:
        """Call off what is under way; what has arrived is kept.  May be called more than once."""
        if self._deliveries is not None:
            await self._deliveries.close()

    async def _begun(self) -> Deliveries:
        await self.connected()
        assert self._client is not None
        if self._deliveries is None:
            self._deliveries = self._begin(self._client)
            self._deliveries.tally = self.tally
        return self._deliveries

    async def _again(self, error: FileTransferError) -> None:
        """Begin the tree anew, after a pause.

        :raises FileTransferError: it isn't worth it, or was in vain
        """
        if self._deliveries is not None:
            await self._deliveries.close()
            self._tries.brought(self.tally.sent)
        self._deliveries = self._client = None
        await self._tries.again(error)
        self.tally.begin_anew()
        self._told.begin_anew()
        self._held.clear()

    def _fresh(self, batch: Batch) -> Batch:
        """What hasn't been told; what may go better the next time is held."""
        if isinstance(batch, SameResults):
            self._tries.brought(batch.sent)
            return self._told.fresh_of_same(batch)
        fresh = []
        for each in batch:
            self._tries.brought(each.sent)
            if each.error is not None and each.error.retryable and len(self._held) < MOST_HELD:
                self._held.append(each)
            elif self._told.is_fresh(each):
                fresh.append(each)
        return fresh


class _Told:
    """What has been told, in eight bytes a file, or a folder all of whose files were there already.

    What is kept is the hash of a path: Python's own, which is keyed (PEP 456), so that no peer can
    make two that are the same.
    """

    def __init__(self) -> None:
        self._now = array("q")
        self._before = array("q")
        """of earlier tries, sorted"""

    def begin_anew(self) -> None:
        """The tree is gone through again."""
        self._before = array("q", sorted(self._before + self._now))
        self._now = array("q")

    def is_fresh(self, delivery: Delivery) -> bool:
        """Whether it is told: it wasn't, or what had failed is there now."""
        path = delivery.path
        key = hash((path, "failed")) if delivery.status == "failed" else hash(path)
        is_known = self._knows(key) or (
            delivery.status == "skipped" and self._knows(_of_folder(path[: path.rfind("/") + 1]))
        )
        if not is_known:
            self._note([key])
        return not is_known

    def fresh_of_same(self, batch: SameResults) -> Batch:
        """Those that are told."""
        if batch.status == "skipped":
            folder = _of_folder(batch.before)
            if self._knows(folder):
                return ()
            if not self._before:
                self._note([folder])
                return batch
        if self._before:
            return [each for each in batch if self.is_fresh(each)]
        self._note(map(hash, batch.paths()))
        return batch

    def _note(self, keys: Iterable[int]) -> None:
        room = MOST_TOLD - len(self._before) - len(self._now)
        self._now.extend(islice(keys, max(room, 0)))

    def _knows(self, key: int) -> bool:
        at = bisect_left(self._before, key)
        return at < len(self._before) and self._before[at] == key


def _of_folder(before: str) -> int:
    """The key of a folder, from what stands before a name in it."""
    return hash((before,))
