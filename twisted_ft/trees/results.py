"""From what became of the items of a parcel to results: the same, whichever way a tree goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import cast

import msgspec

from twisted_ft.delivery import Delivery
from twisted_ft.errors import (
    FileTransferError,
    NotADirectory,
    NotAFile,
    Side,
    SourceChanged,
    Unsupported,
    error_for,
)
from twisted_ft.sides import TreeSides
from twisted_ft.stores.names import join
from twisted_ft.stores.states import States
from twisted_ft.trees.deliveries import Batch, SameResults, Tally, failed
from twisted_ft.trees.settling import Settling
from twisted_ft.wire.messages import (
    Described,
    Failing,
    Item,
    Link,
    Outcome,
    Part,
    Summed,
    Unsendable,
    Whole,
)

MOST_AWAITED = 1 << 17
"""Small files that are wanted and haven't come, at most.  A sender sends what is wanted before it
describes more, and has 6 parcels of 1,024 items, and sums of 32,768 files, without an answer."""
MOST_LOST = 1 << 12
"""Folders that are remembered as such in whose place is something else, at most."""
_DONE, _HELD, _WANTED, _FAILED = Outcome.DONE, Outcome.HELD, Outcome.WANTED, Outcome.FAILED


class Large(msgspec.Struct, frozen=True):
    """A file that the receiver lacks and that is too large for a parcel."""

    folder: bytes
    item: Described

    @property
    def path(self) -> bytes:
        """From the tree's root."""
        return join(self.folder, self.item.name)


class Results:
    """Turns outcomes into results, and counts them.

    :param place: where the tree goes, with what stands between it and a name in it
    :param small: bytes in a file that comes in a parcel, at most
    :param now: the time, in seconds
    :param sides: the tree's paths, for what has failed
    :param receiver: which side it goes to
    :param leaves_out: whether something that was declined isn't even to be named
    :param declined: why else a file was declined
    """

    def __init__(
        self,
        place: str,
        small: int,
        tally: Tally,
        settling: Settling,
        now: Callable[[], float],
        sides: TreeSides,
        receiver: Side,
        leaves_out: Callable[[bytes, Item], bool] = lambda _folder, _item: False,
        declined: str = "the other side hasn't taken it",
    ) -> None:
        self._place, self._small = place, small
        self._tally, self._settling, self._now = tally, settling, now
        self._leaves_out, self._why_declined = leaves_out, declined
        self._sides, self._receiver = sides, receiver
        self._sender: Side = "there" if receiver == "here" else "here"
        self._last = now()
        self._awaited: set[bytes] = set()
        """small files that are wanted and haven't come"""
        self._lost: set[str] = set()
        """where folders are to be, and something else is: of what is in them no more is told"""

    @property
    def too_many_awaited(self) -> bool:
        """Whether the sender describes files without end, and sends none."""
        return len(self._awaited) > MOST_AWAITED

    def said(self, parts: Sequence[Part]) -> None:
        """These are under way."""
        for part in parts:
            self._settling.begin(part.folder, len(part.items))
            if Described in map(type, part.items):
                for item in part.items:
                    if isinstance(item, Described) and item.kind == "directory" and item.name:
                        self._settling.begin_folder(part.folder, item.name)

    def of(
        self, parts: Sequence[Part], outcomes: bytes, failures: Sequence[Failing]
    ) -> tuple[list[Batch], list[Large]]:
        """What became of each file of a parcel; and which are to be moved by themselves."""
        now = self._now()
        seconds, self._last = now - self._last, now
        batches: list[Batch] = []
        results: list[Delivery] = []
        large: list[Large] = []
        reasons = iter(failures)
        position = 0
        for part in parts:
            count = len(part.items)
            own = outcomes[position : position + count]
            position += count
            if self._all_came(part, own):
                batches.append(self._arrivals(part, seconds))
            else:
                self._part(part, own, reasons, seconds, results, large)
            self._settling.end(part.folder, count)
        if self._lost:
            results = [each for each in results if not self._is_lost(each)]
        return [*batches, results], large

    def _is_lost(self, delivery: Delivery) -> bool:
        """Whether something has failed since a folder has that it is in."""
        path = delivery.path if delivery.status == "failed" else ""
        while path := path.rpartition("/")[0]:
            if path in self._lost:
                return True
        return False

    def alike(self, folder: bytes, states: States) -> SameResults:
        """All plain files of a folder are there already."""

        def files() -> Iterable[tuple[bytes, int, None]]:
            return zip(states.names, states.sizes, repeat(None))

        skipped = SameResults(self._before(folder), len(states), states.size, files, "skipped")
        self._tally.files += len(skipped)
        self._tally.bytes += skipped.size
        self._tally.current = join(folder, states.last) if len(states) else folder
        self._tally.ended(len(skipped), skipped.size)
        return skipped

    def _all_came(self, part: Part, outcomes: bytes) -> bool:
        """Whether all of a part are files that have arrived, and none of them was described."""
        all_done = not outcomes.strip(bytes([_DONE]))
        return all_done and not self._awaited and {*map(type, part.items)} == {Whole}

    def _arrivals(self, part: Part, seconds: float) -> SameResults:
        """Files of one folder, all of which have arrived."""
        items = cast(Sequence[Whole], part.items)
        sizes = [len(item.content) for item in items]
        names = [item.name for item in items]
        digests = [item.blake3 for item in items]

        def files() -> Iterable[tuple[bytes, int, bytes]]:
            return zip(names, sizes, digests, strict=True)

        before = self._before(part.folder)
        arrived = SameResults(before, len(names), sum(sizes), files, "done", seconds)
        self._tally.files += len(items)
        self._tally.bytes += arrived.size
        self._tally.current = join(part.folder, names[-1])
        self._tally.ended(len(items), arrived.size)
        return arrived

    def _before(self, folder: bytes) -> str:
        """What stands before a name in a folder."""
        return self._place + os.fsdecode(folder) + "/" * bool(folder)

    def never_came(self) -> list[Delivery]:
        """The result of each small file that was wanted, and hasn't come by the end."""
        awaited, self._awaited = self._awaited, set()
        text = "it was described, and then it didn't come; try again"
        return [
            failed(
                self._place + os.fsdecode(path),
                0,
                self._sides.of(path).located(SourceChanged(text).at(self._sender)),
            )
            for path in awaited
        ]

    def _error(self, path: bytes, said: Failing | Unsendable, side: Side) -> FileTransferError:
        """Why something in the tree has failed on a side, which has said so."""
        return self._sides.of(path).located(error_for(said.code, said.text, side))

    def _part(
        self,
        part: Part,
        outcomes: bytes,
        reasons: Iterator[Failing],
        seconds: float,
        results: list[Delivery],
        large: list[Large],
    ) -> None:
        before = self._before(part.folder)
        decode, awaited = os.fsdecode, self._awaited
        files = known = ended = size = 0
        for item, outcome in zip(part.items, outcomes, strict=True):
            if type(item) is Whole and outcome == _DONE:
                length = len(item.content)
                digest = item.blake3.hex()
                path = before + decode(item.name)
                results.append(Delivery(path, length, length, 0, digest, seconds, "done"))
                if awaited:
                    self._arrived(part.folder, item)
                else:
                    files += 1
                    known += length
                ended += 1
                size += length
            elif type(item) is Described and outcome == _HELD and item.kind == "file":
                path = before + decode(item.name)
                results.append(Delivery(path, item.size, 0, 0, None, 0.0, "skipped"))
                files += 1
                known += item.size
                ended += 1
                size += item.size
            else:
                reason = next(reasons) if outcome == _FAILED else None
                if type(item) is not Summed:  # of which more is said, in ``alike`` or by itself
                    self._other(part.folder, item, outcome, reason, before, results, large)
        self._tally.files += files
        self._tally.bytes += known
        self._tally.current = join(part.folder, part.items[-1].name)
        self._tally.ended(ended, size)

    def _arrived(self, folder: bytes, item: Item) -> None:
        """A file has come: one that was wanted, or one that nobody had spoken of."""
        path = join(folder, item.name)
        if path in self._awaited:
            self._awaited.discard(path)
            self._settling.end(folder)
        elif isinstance(item, Whole):
            self._tally.known(path, len(item.content))

    def _other(
        self,
        folder: bytes,
        item: Item,
        outcome: int,
        reason: Failing | None,
        before: str,
        results: list[Delivery],
        large: list[Large],
    ) -> None:
        """What isn't a small file that has arrived."""
        path = before + os.fsdecode(item.name)
        if isinstance(item, Described) and item.kind == "directory":
            self._end_folder(folder, item, outcome)
            if reason is not None:
                error = self._error(join(folder, item.name), reason, self._receiver)
                results.append(failed(path, 0, error))
                if reason.code == NotADirectory.code and len(self._lost) < MOST_LOST:
                    self._lost.add(path)
        elif outcome == Outcome.DECLINED and self._leaves_out(folder, item):
            return
        elif isinstance(item, Described) and item.kind == "file":
            self._file(folder, item, outcome, reason, path, results, large)
        elif reason is not None:
            self._arrived(folder, item)
            self._tally.ended(int(isinstance(item, Whole)), _size(item))
            error = self._error(join(folder, item.name), reason, self._receiver)
            results.append(failed(path, _size(item), error))
        elif isinstance(item, Whole):
            self._arrived(folder, item)
            if outcome == _HELD:
                results.append(Delivery(path, len(item.content), 0, 0, None, 0.0, "skipped"))
            else:
                results.append(self._declined(folder, item, path))
        elif isinstance(item, Unsendable):
            self._arrived(folder, item)
            error = self._error(join(folder, item.name), item, self._sender)
            results.append(failed(path, 0, error))
        elif isinstance(item, (Link, Described)):
            self._link(folder, item, outcome, path, results)

    def _end_folder(self, above: bytes, item: Described, outcome: int) -> None:
        if outcome not in (_DONE, _HELD, Outcome.EMPTY):
            self._settling.drop_folder(above, item.name)
        elif item.name:
            self._settling.end_folder(above, item.name)

    def _file(
        self,
        folder: bytes,
        item: Described,
        outcome: int,
        reason: Failing | None,
        path: str,
        results: list[Delivery],
        large: list[Large],
    ) -> None:
        name = join(folder, item.name)
        if name in self._awaited:  # it was small when it was described first
            self._arrived(folder, item)
        elif outcome in (_WANTED, _FAILED):
            self._tally.known(name, item.size)
        if reason is not None:
            self._tally.ended(1, item.size)
            error = self._error(name, reason, self._receiver)
            results.append(failed(path, item.size, error))
        elif outcome == _WANTED:
            self._settling.begin(folder)
            if item.size > self._small:
                large.append(Large(folder, item))
            else:
                self._awaited.add(name)
        elif outcome == Outcome.DECLINED:
            self._tally.known(name, item.size)
            self._tally.ended(1, item.size)
            results.append(self._declined(folder, item, path))

    def _declined(self, folder: bytes, item: Item, path: str) -> Delivery:
        """The result for a file that is wanted, but not so."""
        error = Unsupported(self._why_declined).at(self._receiver)
        return failed(path, _size(item), self._sides.of(join(folder, item.name)).located(error))

    def _link(
        self,
        folder: bytes,
        item: Link | Described,
        outcome: int,
        path: str,
        results: list[Delivery],
    ) -> None:
        if outcome in (_DONE, _HELD):
            status = "done" if outcome == _DONE else "skipped"
            results.append(Delivery(path, 0, 0, 0, None, 0.0, status))
        else:
            is_link = isinstance(item, Link) or item.kind == "link"
            what = "a symbolic link" if is_link else "neither a file nor a folder"
            error = self._sides.of(join(folder, item.name)).located(NotAFile(what).at(self._sender))
            results.append(failed(path, 0, error, "left out"))


def _size(item: Item) -> int:
    return len(item.content) if isinstance(item, Whole) else getattr(item, "size", 0)
