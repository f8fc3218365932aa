"""A tree on its way out, parcel by parcel: what to say next, of all that is below a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import msgspec
from msgspec.structs import replace

from twisted_ft.errors import FileTransferError, NotADirectory, NotFound
from twisted_ft.stores.interfaces import PLAIN, Packer, Packing
from twisted_ft.stores.names import join
from twisted_ft.stores.states import NO_TIME, States, says_nothing
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import (
    SUM_LIMIT,
    Described,
    Item,
    Outcome,
    Part,
    Settled,
    Summed,
    Unsendable,
    ending,
    shortened,
)
from twisted_ft.wire.sizes import BESIDE_PARTS, MOST_PART, MOST_WHOLE, item_size, part_size

PARCEL_SIZE = 1 << 20
"""Bytes in a parcel, at most; fewer, where the other side takes fewer."""
PARCEL_ITEMS = 1 << 10
"""Items in a parcel, at most."""
_STATE_SIZE = 192
"""Bytes of a parcel for a file that is summed: it takes none, but its state is held until there is
an answer, and the other side looks at it meanwhile."""
_TEXT_SIZE = 1 << 12
"""Bytes of the text of an Unsendable, at most, so that any has room in the shortest parcel."""

FolderEnd = tuple[bytes, Settled]
"""A folder of which all has been said: the one that it is in, and what it is to be like."""
Chosen = Callable[[bytes, Item], bool]
"""Whether an item, whose folder is named from the tree's root, is to go."""


class SendOptions(msgspec.Struct, frozen=True):
    """How a tree is sent."""

    small: int = PARCEL_SIZE
    """bytes in a file that travels whole, at most; fewer, where it doesn't fit into a parcel"""
    ask: bool = False
    """whether the receiver is asked of every file first, in new folders too"""
    packing: Packing = PLAIN
    says_ends: bool = True
    """whether the receiver hears at once that all of a folder has been said"""
    force: bool = False
    """whether files go that the receiver has; the sender decides that by itself"""

    @property
    def sums(self) -> bool:
        """Whether the files of a folder may be compared all at once, by their sizes and times."""
        return not (self.ask or self.packing.digests)

    def within(self, message: int) -> SendOptions:
        """This one, for a peer that takes messages of ``message`` bytes."""
        small = min(self.small, parcel_size(message) - MOST_PART - MOST_WHOLE)
        return replace(self, small=small)


def insisting(parts: Sequence[Part], outcomes: bytes) -> bytes:
    """Outcomes in which files that the receiver has are wanted all the same."""
    if Outcome.HELD not in outcomes:
        return outcomes
    changed = bytearray(outcomes)
    for number, item in enumerate(item for part in parts for item in part.items):
        is_file = type(item) is Summed or (type(item) is Described and item.kind == "file")
        if is_file and outcomes[number] == Outcome.HELD:
            changed[number] = Outcome.WANTED
    return bytes(changed)


def parcel_size(message: int) -> int:
    """Bytes of parts in a parcel, for a peer that takes messages of ``message`` bytes."""
    return min(PARCEL_SIZE, message) - BESIDE_PARTS


class ParcelDraft(msgspec.Struct):
    """What a parcel is filled with; ``room`` is how many bytes it still takes."""

    room: int
    items_left: int = PARCEL_ITEMS
    gathered: list[tuple[bytes, list[Item]]] = []
    ends: list[FolderEnd] = []
    """folders that end in it, where that isn't said"""

    def parts(self) -> tuple[Part, ...]:
        """What to say."""
        return tuple(Part(folder, tuple(items)) for folder, items in self.gathered)

    def add(self, folder: bytes, item: Item) -> bool:
        """Add an item, where there is room for it; there is for the first."""
        if type(item) is Unsendable:
            item = replace(item, text=ending(shortened(item.text), _TEXT_SIZE))
        if not self.gathered or self.gathered[-1][0] != folder:
            self.gathered.append((folder, []))
            self.room -= part_size(folder)
        self.room -= _room_of(item)
        if (self.room < 0 and self.items_left < PARCEL_ITEMS) or not self.items_left:
            if not self.gathered[-1][1]:
                self.gathered.pop()
            return False
        self.items_left -= 1
        self.gathered[-1][1].append(item)
        return True


def _room_of(item: Item) -> int:
    """Bytes of a parcel that an item takes."""
    size = item_size(item)
    return size + item.files * _STATE_SIZE if type(item) is Summed else size


class _Folder(msgspec.Struct, frozen=True):
    """A folder to go through."""

    item: Described
    path: bytes
    new: bool
    """whether it is in one that is new to the receiver; then it hasn't been described, either"""
    states: States | None = None
    """those of its files, if they have been summed"""

    @property
    def end(self) -> FolderEnd:
        """What is said when all that is in it has been said."""
        above, _, name = self.path.rpartition(b"/")
        return above, Settled(name, self.item.mtime, self.item.mode)


class TreePlan:
    """What is in a folder and in all below it, folder by folder.  Its calls block.

    Of folders that the receiver has the files are summed, and where it doesn't have all of them so,
    they are described, and it says which it lacks; of those that are new to it, the small files
    come whole at once.

    :param base: the folder, in the store
    :param room: bytes in a parcel, at most
    :param chosen: whether an item is to go; called in threads
    """

    def __init__(
        self,
        packer: Packer,
        base: bytes,
        options: SendOptions,
        room: int,
        chosen: Chosen | None,
    ) -> None:
        self._packer, self._base, self._options = packer, base, options
        self._room, self._chosen = room, chosen
        self._sums = options.sums and chosen is None and not options.force
        self._pending: list[_Folder | FolderEnd] = []
        """folders to go through, and to end, the next one last"""
        self._folder: _Folder | None = None
        self._small = 0
        self._items: Iterator[Item] | None = None
        self._is_sum = False
        """whether the files of this folder are summed, and not spelled out"""
        self._below: list[_Folder] = []
        self._held_over: tuple[bytes, Item] | None = None
        self._asked_for: deque[tuple[bytes, Item | bytes]] = deque()
        self._summed: dict[bytes, _Folder] = {}
        """folders whose files are summed, by their paths, until there is an answer"""
        self._answered: deque[_Folder | FolderEnd] = deque()
        """of those, which to end, and which to go through file by file"""
        self._new: set[bytes] = set()
        self._barred: set[bytes] = set()

    # -- what the receiver has said; called on any thread ----------------------------------

    def is_new(self, folder: bytes) -> None:
        """The receiver had no such folder: what is in it needn't be asked for."""
        self._new.add(folder)

    def bar(self, folder: bytes) -> None:
        """The receiver doesn't take this folder, nor what is in it."""
        self._barred.add(folder)

    def want(self, folder: bytes, name: bytes) -> None:
        """The receiver lacks this small file, which was described."""
        self._asked_for.append((folder, name))

    def alike(self, folder: bytes) -> States | None:
        """The receiver has all files of this folder, which were summed: their states."""
        summed = self._summed.pop(folder, None)
        if summed is None:
            return None
        self._answered.append(summed.end)
        return summed.states

    def spell_out(self, folder: bytes) -> None:
        """The receiver hasn't all files of this folder, which were summed."""
        if (summed := self._summed.pop(folder, None)) is not None:
            self._answered.append(summed)

    def say(self, folder: bytes, item: Item) -> None:
        """This is to be said, too."""
        self._asked_for.append((folder, item))

    @property
    def has_more(self) -> bool:
        """Whether anything is left to say; asked while no thread is at it."""
        waiting = self._asked_for or self._answered or self._pending
        return bool(self._held_over or self._items or waiting)

    # -- what to say -----------------------------------------------------------------------

    def root(self) -> Described:
        """The folder itself, without a name.

        :raises FileTransferError: it isn't there, or isn't a folder
        """
        item = self._packer.describe(self._base)
        if not isinstance(item, Described) or item.kind != "directory":
            name = escaped(self._base) or "the root"
            raise NotADirectory(f"{name}: this is not a folder; leave -r out")
        self._pending = [_Folder(item, b"", new=False)]
        return replace(item, name=b"")

    def next_draft(self) -> ParcelDraft:
        """What is in the next parcel; nothing, where nothing is left to say for now."""
        draft = ParcelDraft(self._room)
        while self._add_next(draft):
            pass
        return draft

    def stop(self) -> None:
        """Have a thread that is at it end soon; called on any thread."""
        self._packer.stop()

    def close(self) -> None:
        """Give up what is held."""
        self._items = None
        self._packer.close()

    def _add_next(self, draft: ParcelDraft) -> bool:
        """Add something; False where the parcel is full, or nothing is left."""
        if self._held_over is not None:
            (folder, item), self._held_over = self._held_over, None
            return self._add(draft, folder, item)
        if self._asked_for:
            folder, wanted = self._asked_for.popleft()
            if isinstance(wanted, bytes):
                place = join(self._base, folder)
                wanted = self._packer.item(place, wanted, self._options.small)
            return self._add(draft, folder, _telling(wanted))
        if self._items is not None:
            return self._go_on(draft, self._items)
        return self._enter(draft)

    def _add(self, draft: ParcelDraft, folder: bytes, item: Item) -> bool:
        if draft.add(folder, item):
            return True
        self._held_over = (folder, item)
        return False

    def _enter(self, draft: ParcelDraft) -> bool:
        """Begin the next folder, or end one; False where the parcel is full, or nothing is left."""
        if self._answered:
            following = self._answered.popleft()
        elif self._pending:
            following = self._pending.pop()
        else:
            return False
        if not isinstance(following, _Folder):
            if self._options.says_ends:
                return self._add(draft, *following)
            draft.ends.append(following)
            return True
        path = following.path
        if path in self._barred:
            self._barred.discard(path)
            return True
        is_new = following.new or path in self._new
        self._new.discard(path)
        self._folder = following
        self._small = self._options.small if is_new and not self._options.ask else 0
        summed = None
        try:
            if following.states is not None:
                self._items = self._spelled(path, following.states)
            elif not is_new and self._sums:
                self._items, summed = self._sum(following)
            else:
                self._items = self._all_in(path)
        except FileTransferError as error:
            self._items = _failing(error)
        self._is_sum = summed is not None
        if following.new:
            return self._add(draft, following.end[0], following.item)
        return summed is None or self._add(draft, following.end[0], summed)

    def _all_in(self, path: bytes) -> Iterator[Item]:
        return self._packer.items(join(self._base, path), self._small, self._options.packing)

    def _sum(self, folder: _Folder) -> tuple[Iterator[Item], Summed | None]:
        """What is in a folder, and its files all at once, where they aren't too many.

        One file by itself is described in as few bytes, and with one answer less.
        """
        place, packing = join(self._base, folder.path), self._options.packing
        found = self._packer.states(place, SUM_LIMIT, packing)
        if found is None:
            return self._all_in(folder.path), None
        states, others = found[0].telling(), found[1]
        if len(states) < 2:
            return chain(states.described(), others), None
        end = folder.end
        summed = _Folder(folder.item, folder.path, new=False, states=states)
        self._folder = self._summed[folder.path] = summed
        return iter(others), states.summed(end[1].name)

    def _spelled(self, path: bytes, states: States) -> Iterator[Item]:
        """Files that were summed, one by one; where the folder has proved new, as they are now."""
        if not self._small:
            return states.described()
        names = {*states.names}
        return (item for item in self._all_in(path) if item.name in names)

    def _go_on(self, draft: ParcelDraft, items: Iterator[Item]) -> bool:
        """Add what comes next in the folder, up to its end."""
        assert self._folder is not None
        folder, chosen, is_new = self._folder.path, self._chosen, self._small > 0
        try:
            for item in map(_telling, items):
                if chosen is not None and not chosen(folder, item):
                    continue
                if type(item) is Described and item.kind == "directory":
                    self._below.append(_Folder(item, join(folder, item.name), is_new))
                    if is_new:
                        continue  # it is described when it is gone into
                if not draft.add(folder, item):
                    self._held_over = (folder, item)
                    return False
        except FileTransferError as error:
            if not folder:
                raise
            above, _, name = folder.rpartition(b"/")
            if not isinstance(error, NotFound):  # else it is gone since
                self.say(above, Unsendable(name, error.code, shortened(error.text)))
        self._leave(self._folder)
        return True

    def _leave(self, folder: _Folder) -> None:
        """What is in this folder has been said; those in it are next, and then it ends.

        Where its files were summed, it ends when there is an answer to that.
        """
        self._items = None
        if not self._is_sum:
            self._pending.append(folder.end)
        self._pending.extend(reversed(self._below))
        self._below = []


def _telling(item: Item) -> Item:
    """An item, without a time that proves nothing, as that of a file that has just changed."""
    if type(item) is Described and item.kind == "file" and says_nothing(item.mtime):
        return replace(item, mtime=NO_TIME)
    return item


def _failing(error: FileTransferError) -> Iterator[Item]:
    """What is in a folder that can't be read."""
    raise error
    yield
