"""What things take in a message, at most, by the rules of MessagePack.

Each is a bound for whatever keeps to the limits on its fields (``messages.py``), so that what has
room by it is within a peer's limit.  See the MessagePack specification, "Formats": a number takes
up to 9 bytes; a string, bytes or an array has up to 5 before what is in it, fewer where it is known
to be short; a character takes up to 4 (UTF-8, RFC 3629).
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted_ft.wire.messages import (
    NAME_LIMIT,
    PATH_LIMIT,
    TEXT_LIMIT,
    Described,
    Entry,
    Failing,
    Item,
    Link,
    Part,
    Unsendable,
    Whole,
    ending,
)

_NUMBER = 9
"""Bytes of a number of up to 64 bits."""
_SMALL = 3
"""Bytes of a number of up to 16 bits: a mode, or how many files."""
_ARRAY = 1
"""Bytes before the fields of what has up to 15."""
_LIST = 3
"""Bytes before up to 65,535 things in a list."""
_SHORT = 2
"""Bytes before up to 255 bytes: a name, a digest, a kind."""
_LONG = 3
"""Bytes before up to 65,535 bytes: a path, a code, a text, outcomes."""
_CONTENT = 5
"""Bytes before the content of a file."""
_DIGEST = _SHORT + 32


def _tag(tag: str) -> int:
    return _ARRAY + 1 + len(tag)


# -- listings ----------------------------------------------------------------------------

BESIDE_ENTRIES = _tag("entries") + _NUMBER + 5
"""Bytes of Entries beside the entries in it."""
_ENTRY = _ARRAY + 2 * _LONG + _SHORT + 2 * _NUMBER + _SMALL
MOST_ENTRY = _ENTRY + 2 * PATH_LIMIT + 4 * 16
"""Bytes of an entry."""


def entry_size(entry: Entry) -> int:
    """Bytes of an entry."""
    return _ENTRY + len(entry.path) + _text(entry.kind) + len(entry.target)


# -- trees -------------------------------------------------------------------------------

BESIDE_PARTS = _tag("parcel") + 2 * _NUMBER + _LONG + PATH_LIMIT + _LIST
"""Bytes of a Parcel beside its parts, whatever its root."""
_PART = _ARRAY + _LONG + _LIST
MOST_PART = _PART + PATH_LIMIT
"""Bytes of a part beside its items."""
_WHOLE = _tag("whole") + _SHORT + _NUMBER + _SMALL + _CONTENT + _DIGEST
MOST_WHOLE = _WHOLE + NAME_LIMIT
"""Bytes of a Whole beside its content."""
_DESCRIBED = _tag("described") + 3 * _SHORT + 2 * _NUMBER + _SMALL
_LINK = _tag("link") + _SHORT + _NUMBER + _LONG
_UNSENDABLE = _tag("unsendable") + _SHORT + 2 * _LONG
_OTHER = max(_tag("settled") + _NUMBER, _tag("summed") + _DIGEST) + _SHORT + _SMALL


def part_size(folder: bytes) -> int:
    """Bytes of a part beside its items."""
    return _PART + len(folder)


def item_size(item: Item) -> int:
    """Bytes of an item."""
    if type(item) is Described:
        return _DESCRIBED + len(item.name) + _text(item.kind) + len(item.blake3)
    if type(item) is Whole:
        return _WHOLE + len(item.name) + len(item.content)
    if type(item) is Link:
        return _LINK + len(item.name) + len(item.target)
    if type(item) is Unsendable:
        return _UNSENDABLE + len(item.name) + _text(item.code) + _text(item.text)
    return _OTHER + len(item.name)


def content_size(parts: Sequence[Part]) -> int:
    """Bytes of files in a parcel."""
    return sum(len(item.content) for part in parts for item in part.items if type(item) is Whole)


# -- failures ----------------------------------------------------------------------------

BESIDE_FAILURES = _tag("receipts") + _NUMBER + _LONG + _LIST
"""Bytes of Receipts beside the outcomes and the failures in it."""
REASONS = 1 << 16
"""Bytes of texts of all failures in one Receipts, so that who sends names that can't be used hears
no more than was said; texts may name a long path each, and the sender knows it."""
_FAILING = _ARRAY + 2 * _LONG


def fitted(failures: Sequence[Failing], size: int) -> tuple[Failing, ...]:
    """The failures in ``size`` bytes, with as much of the ends of their texts as has room.

    That what can't be cut has room is for the caller to know.
    """
    left = min(REASONS, size - sum(_FAILING + _text(each.code) for each in failures))
    fitting = []
    for count, each in zip(range(len(failures), 0, -1), failures, strict=True):
        text = ending(each.text, min(TEXT_LIMIT, left // count))
        left -= len(text.encode())
        fitting.append(Failing(each.code, text))
    return tuple(fitting)


def _text(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)
