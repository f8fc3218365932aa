"""The end of a tree: what is in the way, or what the source doesn't have, is removed.

What is done is decided once, from the two trees beside each other; a dry run tells it, and any
other does it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from twisted_ft.delivery import Delivery
from twisted_ft.errors import ConnectionFailed, FileTransferError, Side
from twisted_ft.sides import TreeSides
from twisted_ft.stores.names import join
from twisted_ft.stores.refusals import file_in_the_way, folder_in_the_way
from twisted_ft.trees.comparing import Comparison, Removal
from twisted_ft.trees.deliveries import Deliveries, failed
from twisted_ft.trees.options import TreeOptions


@dataclass
class Decision:
    """What is to become of the destination."""

    failing: dict[bytes, bool] = field(default_factory=dict)
    """where a file and a folder meet, and what is there stays; whether the source has the folder"""
    first: list[Removal] = field(default_factory=list)
    """what is in the way: it is removed when all else has arrived"""
    last: list[Removal] = field(default_factory=list)
    """what only the destination has"""
    kept: list[Removal] = field(default_factory=list)
    """the same, where as many as may be are removed"""


def decided(found: Comparison, options: TreeOptions) -> Decision:
    """What is to be done about what is found: nothing is removed where something must fail."""
    most = options.max_delete
    in_the_way = sum(each.count for each in found.in_the_way)
    is_free = len(found.in_the_way) == len(found.clashes) and (most is None or in_the_way <= most)
    if not options.delete or not is_free:
        return Decision(failing=found.clashes)
    decision = Decision(first=found.in_the_way)
    left = None if most is None else most - in_the_way
    for each in found.extra:
        if left is None:
            decision.last.append(each)
        elif each.count <= left:
            left -= each.count
            decision.last.append(each)
        else:
            decision.kept.append(each)
    return decision


class Finishing:
    """Ends a tree, or tells of all of it what would be done.

    :param place: where the tree goes, with what stands between it and a name in it
    :param root: the path of that, in the words of the store that it is in
    :param sides: the tree's paths, for what fails
    :param side: where the destination is
    :param difference: finds out what is lacking, what is extra, and what is in the way
    :param remove: removes something of the destination, with all that is in it
    :param again: has what is at these paths, or below, moved once more
    """

    def __init__(
        self,
        deliveries: Deliveries,
        place: str,
        root: bytes,
        sides: TreeSides,
        side: Side,
        options: TreeOptions,
        difference: Callable[[], Awaitable[Comparison]],
        remove: Callable[[bytes], Awaitable[None]],
        again: Callable[[frozenset[bytes]], Awaitable[None]],
    ) -> None:
        self._deliveries, self._place, self._root = deliveries, place, root
        self._sides, self._side = sides, side
        self._options, self._difference = options, difference
        self._remove, self._again = remove, again

    async def finish(self) -> None:
        """Remove what is to be removed, if that is asked for and nothing has failed."""
        await self._deliveries.all_ended()
        if self._options.dry_run:
            await self._tell_all()
        elif self._options.delete and not self._deliveries.any_failed:
            await self._remove_all()
        self._deliveries.tell_held_back()

    async def _tell_all(self) -> None:
        found = await self._difference()
        decision = decided(found, self._options)
        for path, is_folder in decision.failing.items():
            why = file_in_the_way if is_folder else folder_in_the_way
            self._fail(path, 0, why(join(self._root, path)).at(self._side))
        await self._tell(decision.first, "would remove")
        for path, size in found.lacking:
            if not _is_at_or_below(path, decision.failing):
                self._add(Delivery(self._target(path), size, 0, 0, None, 0.0, "would send"))
                await self._deliveries.room()
        await self._tell(decision.last, "would remove")
        await self._tell(decision.kept, "kept")

    async def _remove_all(self) -> None:
        decision = decided(await self._difference(), self._options)
        if decision.failing:
            return
        if decision.first:
            await self._remove_each(decision.first)
            if self._deliveries.any_failed:
                return
            self._deliveries.forget_held_back()
            await self._again(frozenset(each.path for each in decision.first))
            await self._deliveries.all_ended()
        if self._deliveries.any_failed or self._deliveries.has_held_back:
            return
        await self._remove_each(decision.last)
        await self._tell(decision.kept, "kept")

    async def _remove_each(self, removals: Iterable[Removal]) -> None:
        for each in removals:
            try:
                await self._remove(each.path)
            except ConnectionFailed:
                raise
            except FileTransferError as error:
                self._fail(each.path, each.size, error)
            else:
                await self._tell([each], "removed")

    async def _tell(self, removals: Iterable[Removal], status: str) -> None:
        for each in removals:
            target, files, folders = self._target(each.path), each.files, each.folders
            self._add(
                Delivery(target, each.size, 0, 0, None, 0.0, status, files=files, folders=folders)
            )
            await self._deliveries.room()

    def _target(self, path: bytes) -> str:
        return self._place + os.fsdecode(path)

    def _add(self, delivery: Delivery) -> None:
        self._deliveries.add([delivery])

    def _fail(self, path: bytes, size: int, error: FileTransferError) -> None:
        self._add(failed(self._target(path), size, self._sides.of(path).located(error)))


def _is_at_or_below(path: bytes, places: dict[bytes, bool]) -> bool:
    while places and path:
        if path in places:
            return True
        path = path.rpartition(b"/")[0]
    return False
