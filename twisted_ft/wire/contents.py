"""What has to come in an exchange before its last word: a body, a listing, a tree, a parcel.

The tables (``machine.py``) say who may speak; here is counted whether what is said adds up.  Both
ends count what they say and what they hear, so that neither takes a part for the whole.  There is
one class for each kind of exchange.  What doesn't add up is a ProtocolError, and isn't counted.
"""

from __future__ import annotations

from twisted_ft.errors import ProtocolError
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import (
    PARCEL_LIMIT,
    SIZE_LIMIT,
    Accept,
    Data,
    Done,
    End,
    Entries,
    Entry,
    Fetch,
    Get,
    List,
    Message,
    Offer,
    Outcome,
    Parcel,
    Receipt,
    Receipts,
)


class Contents:
    """What an exchange brings that has nothing to count."""

    left = 0
    """bytes that are to come of a body"""
    offset = 0
    """bytes of a file that its receiver had before"""
    is_stream = False
    """whether nobody knows how much is to come of a body; ``left`` is then what may"""

    def add(self, message: Message) -> None:
        """One side says ``message``, and the tables let it."""

    def add_data(self, size: int) -> None:
        """``size`` bytes of the body go, or come."""


class FileContents(Contents):
    """One file: the one that was asked for, all of it, and a receipt for what was sent."""

    def __init__(self) -> None:
        self._asked: bytes | None = None
        self._digest = b""
        self._size = 0
        """bytes of the file, at most"""

    def add(self, message: Message) -> None:
        """See Contents."""
        if isinstance(message, Get):
            self._asked = message.path
        elif isinstance(message, Offer):
            self._offer(message)
        elif isinstance(message, Accept):
            self._accept(message.offset)
        elif isinstance(message, Done):
            self._done(message)
        elif isinstance(message, Receipt) and message.blake3 != self._digest:
            raise ProtocolError("the receipt is for other bytes than were sent")

    def _offer(self, offer: Offer) -> None:
        path = offer.file.path
        if self._asked is not None and path != self._asked:
            raise ProtocolError(f"{escaped(self._asked)} was asked for, {escaped(path)} offered")
        size = offer.file.size
        self.is_stream = size is None
        self._size = self.left = SIZE_LIMIT if size is None else size

    def _accept(self, offset: int) -> None:
        if self.is_stream and offset:
            raise ProtocolError(f"nothing of a file of unknown size is kept, and no {offset} bytes")
        if offset > self.left:
            raise ProtocolError(
                f"the receiver wants to go on from {offset}, behind the end at {self.left}"
            )
        self.offset = offset
        self.left -= offset

    def _done(self, done: Done) -> None:
        if self.is_stream:
            came = self._size - self.left
            if done.size != came:
                raise ProtocolError(f"the sender is done with {done.size} bytes, and sent {came}")
        elif self.left:
            raise ProtocolError(f"the sender is done, but {self.left} bytes are missing")
        elif done.size is not None and done.size < self._size:
            raise ProtocolError(f"the sender is done with {done.size} bytes of {self._size}")
        self._digest = done.blake3

    def add_data(self, size: int) -> None:
        """See Contents."""
        if size > self.left:
            raise ProtocolError("more data than the size that was offered")
        self.left -= size


_Key = tuple[list[bytes], bool, bytes]
"""Where an entry stands in a listing: by the names of its folder, and by its own name there.

What stands for the rest of a folder that can't be read comes last in it, and has no name there.
"""
_BEFORE_ALL: _Key = ([], False, b"")


class ListingContents(Contents):
    """The entries of a folder, or of a whole tree: in their order, each once, all of them."""

    def __init__(self) -> None:
        self._path = b""
        self._deep = False
        self._before = 0
        """bytes of an entry's path that stand before what is below the one that was asked for"""
        self._last = _BEFORE_ALL
        self._folder = b""
        """the folder of the last entry"""
        self._is_file = False
        """whether the one entry is what was asked for itself"""
        self._count = 0

    def add(self, message: Message) -> None:
        """See Contents."""
        if isinstance(message, List):
            self._path, self._deep = message.path, message.deep
            self._before = len(message.path) + 1 if message.path else 0
        elif isinstance(message, Entries):
            self._add_entries(message.entries)
        elif isinstance(message, End) and message.count != self._count:
            raise _incomplete("a listing", message.count, "entries", self._count)

    def _add_entries(self, entries: tuple[Entry, ...]) -> None:
        folder, last, is_file = self._folder, self._last, self._is_file
        for entry in entries:
            if is_file:
                raise _misplaced(entry, "goes on behind the one file that was asked for")
            if entry.path == self._path and entry.kind != "unreadable":
                self._check_file(entry, is_first=last is _BEFORE_ALL)
                is_file = True
                continue
            below = self._below(entry)
            here, name = _split(below, entry.kind == "unreadable")
            names = last[0] if here == folder else _names(here)
            key = (names, not name, name)
            if not last < key:
                raise _misplaced(entry, "is out of order")
            folder, last = here, key
        self._folder, self._last, self._is_file = folder, last, is_file
        self._count += len(entries)

    def _check_file(self, entry: Entry, is_first: bool) -> None:
        if not (is_first and self._path) or entry.kind == "directory":
            raise _misplaced(entry, "names the folder itself")

    def _below(self, entry: Entry) -> bytes:
        """An entry's path, from the folder that was asked for."""
        path, before = entry.path, self._before
        below = path[before:]
        if entry.kind == "unreadable":
            if not self._deep:
                raise _misplaced(entry, "stops")
            if path == self._path:  # not all of it is listed
                return below
        if before and not (path.startswith(self._path) and path[before - 1 : before] == b"/"):
            raise _misplaced(entry, "names something that isn't in the folder that was asked for")
        if not self._deep and b"/" in below:
            raise _misplaced(
                entry, "names something that isn't directly in the folder that was asked for"
            )
        if not all(below.split(b"/")):
            raise _misplaced(entry, "names nothing")
        return below


def _split(path: bytes, unreadable: bool) -> tuple[bytes, bytes]:
    """The folder that an entry stands in, and its name there; none, where it can't be read."""
    if unreadable:
        return path, b""
    folder, _, name = path.rpartition(b"/")
    return folder, name


def _names(folder: bytes) -> list[bytes]:
    return folder.split(b"/") if folder else []


class TreeContents(Contents):
    """All that is in a tree, whose parcels are exchanges of their own, after that of its root."""

    def __init__(self) -> None:
        self._count: int | None = None
        """items; None before the root has come"""

    def add(self, message: Message) -> None:
        """See Contents; a Parcel of the tree counts here, too."""
        if isinstance(message, Parcel):
            self._count = 0 if self._count is None else self._count + item_count(message)
        elif isinstance(message, End) and message.count != (self._count or 0):
            raise _incomplete("a tree", message.count, "items", self._count or 0)


class ParcelContents(Contents):
    """The items of one parcel: each has its outcome, and each that failed its reason."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, message: Message) -> None:
        """See Contents."""
        if isinstance(message, Parcel):
            self._count = item_count(message)
            if self._count > PARCEL_LIMIT:
                raise ProtocolError(f"a parcel has {PARCEL_LIMIT} items at most")
        elif isinstance(message, Receipts) and not self._are_matched(message):
            raise ProtocolError("the receipts are for other things than were sent")

    def _are_matched(self, receipts: Receipts) -> bool:
        outcomes = receipts.outcomes
        return (
            len(outcomes) == self._count
            and outcomes.count(Outcome.FAILED) == len(receipts.failures)
            and max(outcomes, default=0) <= max(Outcome)
        )


def item_count(parcel: Parcel) -> int:
    """How many items there are in a parcel."""
    return sum(len(part.items) for part in parcel.parts)


def _incomplete(what: str, said: int, things: str, came: int) -> ProtocolError:
    return ProtocolError(f"{what} should have {said} {things}, but has {came}")


def _misplaced(entry: Entry, what: str) -> ProtocolError:
    return ProtocolError(f"a listing that {what}: {escaped(entry.path)}")


_KINDS: dict[type[Message] | type[Data], type[Contents]] = {
    Get: FileContents,
    Offer: FileContents,
    List: ListingContents,
    Fetch: TreeContents,
    Parcel: ParcelContents,
}


def contents_of(opening: type[Message] | type[Data]) -> Contents:
    """What an exchange brings that begins with this word: nothing yet."""
    return _KINDS.get(opening, Contents)()
