"""What peers say to each other: the protocol's nouns.

A message travels as one MessagePack array whose first element is its tag, as in
``["accept", 1, 0]``.  Fields may be added at the end of an array in a later version;
a peer passes over those it doesn't know.  Limits on single fields are checked when a
message is decoded, so that nothing behind this module meets a negative size or a name
without end.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple, Union

import msgspec

Path = Annotated[bytes, msgspec.Meta(max_length=4096)]
"""Names joined by ``/``, relative to the root, as bytes: POSIX names need not be UTF-8."""
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of bytes."""
Nanoseconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A time since 1970-01-01T00:00Z."""
Mode = Annotated[int, msgspec.Meta(ge=0, le=0o7777)]
"""POSIX permission bits."""
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Which exchange a message belongs to; 0 is the connection itself."""
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""A BLAKE3 digest: 32 bytes."""
Code = Annotated[str, msgspec.Meta(max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]


class _Array(msgspec.Struct, array_like=True, frozen=True, kw_only=False):
    """Encoded as an array of its fields, in their order."""


class Limits(_Array):
    """What the side that says it holds itself, and the other, to."""

    message: Annotated[int, msgspec.Meta(ge=4096)]
    """bytes in a MESSAGE's payload that it takes at most"""
    exchanges: Annotated[int, msgspec.Meta(ge=1)]
    """exchanges that it keeps open at once at most"""
    silence: Annotated[int, msgspec.Meta(ge=1)]
    """seconds that it waits when it is the other side's turn"""


class Attributes(_Array):
    """One state of one file: its name, its size, and what else must survive the journey."""

    path: Path
    size: Size
    mtime: Nanoseconds
    mode: Mode
    version: Annotated[bytes, msgspec.Meta(max_length=255)]
    """the sender's opaque name for this state of the file; equal versions are equal bytes"""


class Entry(_Array):
    """One line of a listing."""

    path: Path
    kind: Annotated[str, msgspec.Meta(max_length=16)]
    """``file``, ``directory``, ``link`` or ``other``"""
    size: Size
    mtime: Nanoseconds
    mode: Mode


class _Message(_Array, tag_field="tag", tag=str.lower):
    """One thing said, by one side to the other."""


# -- the connection (exchange 0) ---------------------------------------------------------


class Hello(_Message):
    """The client's greeting."""

    versions: tuple[int, ...]
    agent: Text
    features: tuple[Text, ...]
    limits: Limits


class Welcome(_Message):
    """The server's greeting, with the version that is spoken from here on."""

    version: int
    agent: Text
    features: tuple[Text, ...]
    limits: Limits


class Working(_Message):
    """It is my turn, and I am still at it: the other side's patience starts anew."""


# -- transfers ---------------------------------------------------------------------------


class Get(_Message):
    """Asks for a file."""

    exchange: Number
    path: Path


class Offer(_Message):
    """The name and the size: this file can be sent now."""

    exchange: Number
    file: Attributes


class Accept(_Message):
    """Go on from here."""

    exchange: Number
    offset: Size


class Done(_Message):
    """All of it has been sent, and this is the digest of the whole file."""

    exchange: Number
    blake3: Digest


class Receipt(_Message):
    """The receiver has verified it, synced it and put it in its place."""

    exchange: Number
    blake3: Digest


class Refuse(_Message):
    """Not this one, and why; in exchange 0: the connection ends."""

    exchange: Number
    code: Code
    text: Text


class Abort(_Message):
    """The sender can't go on with what it offered, and why."""

    exchange: Number
    code: Code
    text: Text


# -- listings ----------------------------------------------------------------------------


class List(_Message):
    """Asks what is in a folder."""

    exchange: Number
    path: Path


class Entries(_Message):
    """Some of what is there; more may follow."""

    exchange: Number
    entries: tuple[Entry, ...]


class End(_Message):
    """That was all of it: so many entries."""

    exchange: Number
    count: Size


Message = Union[
    Hello, Welcome, Working, Get, Offer, Accept, Done, Receipt, Refuse, Abort, List, Entries, End
]


class Data(NamedTuple):
    """File bytes of one exchange, as they came off the wire: part of a DATA frame, not a copy."""

    exchange: int
    content: bytes | memoryview


def exchange_of(message: Message) -> int:
    """The exchange that a message belongs to; 0 for what concerns the connection itself."""
    return getattr(message, "exchange", 0)
