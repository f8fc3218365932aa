"""What peers say to each other: the protocol's nouns.

A message travels as one MessagePack array whose first element is its tag, as in
``["accept", 1, 0]``.  Fields may be added at the end of an array in a later version;
a peer passes over those it doesn't know.  Limits on single fields are checked when a
message is decoded, so that nothing behind this module meets a negative size or a name
without end.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple, TypeVar

import msgspec

PATH_LIMIT = 4096
Path = Annotated[bytes, msgspec.Meta(max_length=PATH_LIMIT)]
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
Version = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A version of the protocol."""
Code = Annotated[str, msgspec.Meta(max_length=64)]
"""A word that programs rely on."""
TEXT_LIMIT = 2000
Text = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
"""A sentence for people."""
Agent = Annotated[str, msgspec.Meta(max_length=200)]
"""The name and version of a program."""
Features = Annotated[tuple[Code, ...], msgspec.Meta(max_length=32)]
"""What a side can do, or wants, beyond its version of the protocol."""

NAME_LIMIT = 255
Name = Annotated[bytes, msgspec.Meta(max_length=NAME_LIMIT)]
"""One name in a folder; empty only for the root of a tree."""
Kind = Annotated[str, msgspec.Meta(max_length=16)]
"""What an entry is: a word."""
BY_TIME, BY_SIZE, BY_NOTHING = "time", "size", "nothing"
"""What makes a file that a receiver has worth comparing with the one that is offered, by digest:
the same size and time; the same size; or nothing, and it is to be sent whatever is there."""

PART_LIMIT = 1 << 12
"""Items of one folder in a Parcel, and folders, at most."""
PARCEL_LIMIT = 1 << 12
"""Items in a whole Parcel, at most."""
SIZE_LIMIT = 2**63 - 1
"""Bytes in the largest file that can be said; so many may come where no size is said."""
SUM_LIMIT = 1 << 12
"""Files that are Summed together, at most."""
LEAST_MESSAGE = 1 << 14
"""Bytes of a message that every peer takes: any but Entries, Parcel and Receipts is shorter."""
MOST_MESSAGE = (1 << 24) - 1
"""Bytes of a message, at most: what a frame's header can say."""


class _Array(msgspec.Struct, array_like=True, frozen=True):
    """Encoded as an array of its fields, in their order."""


class Limits(_Array, frozen=True):
    """What the side that says it holds itself, and the other, to."""

    message: Annotated[int, msgspec.Meta(ge=LEAST_MESSAGE, le=MOST_MESSAGE)]
    """bytes in a MESSAGE's payload that it takes at most"""
    exchanges: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    """exchanges opened by the other side that it keeps at once at most"""
    silence: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    """seconds that it waits when it is the other side's turn"""


class Attributes(_Array, frozen=True):
    """One state of one file: its name, its size, and what else must survive the journey."""

    path: Path
    size: Size | None
    """None: nobody knows it before the end; Done says it"""
    mtime: Nanoseconds
    mode: Mode
    version: Annotated[bytes, msgspec.Meta(max_length=255)]
    """the sender's opaque name for this state of the file; equal versions are equal bytes"""


class Entry(_Array, frozen=True):
    """One line of a listing."""

    path: Path
    kind: Kind
    """``file``, ``directory``, ``link``, ``other``, or ``unreadable``: a folder of which not all is
    listed; or ``partial``: what is kept of a file that was cut off, with the path of the file"""
    size: Size
    mtime: Nanoseconds
    mode: Mode
    target: Path = b""
    """where a link leads, as it says itself; empty for anything else, and where that may not be
    read, can't be, or isn't said, as by earlier versions"""


class _Message(_Array, frozen=True, tag_field="tag"):
    """One thing said, by one side to the other."""


# -- the connection (exchange 0) ---------------------------------------------------------


class Hello(_Message, frozen=True, tag="hello"):
    """The client's greeting."""

    versions: Annotated[tuple[Version, ...], msgspec.Meta(max_length=64)]
    agent: Agent
    features: Features
    limits: Limits


class Welcome(_Message, frozen=True, tag="welcome"):
    """The server's greeting, with the version that is spoken from here on."""

    version: Version
    agent: Agent
    features: Features
    limits: Limits


class Working(_Message, frozen=True, tag="working"):
    """It is my turn, and I am still at it: the other side's patience starts anew."""


# -- transfers ---------------------------------------------------------------------------


class Get(_Message, frozen=True, tag="get"):
    """Asks for a file."""

    exchange: Number
    path: Path


class Offer(_Message, frozen=True, tag="offer"):
    """The name and the size: this file can be sent now."""

    exchange: Number
    file: Attributes
    compare: Kind = BY_TIME
    """what makes a file that the receiver has worth comparing with this one"""


class Accept(_Message, frozen=True, tag="accept"):
    """Go on from here."""

    exchange: Number
    offset: Size


class Done(_Message, frozen=True, tag="done"):
    """All of it has been sent, and this is the digest of the whole file."""

    exchange: Number
    blake3: Digest
    size: Size | None = None
    """bytes that the file has by now: where the Offer said no size, all that were sent; more than
    the Offer said, where it has grown since; None from earlier versions, which don't say"""


class Receipt(_Message, frozen=True, tag="receipt"):
    """The receiver has verified it, synced it and put it in its place."""

    exchange: Number
    blake3: Digest


class Refuse(_Message, frozen=True, tag="refuse"):
    """Not this one, and why; in exchange 0: the connection ends."""

    exchange: Number
    code: Code
    text: Text


class Abort(_Message, frozen=True, tag="abort"):
    """The sender can't go on with what it offered, and why."""

    exchange: Number
    code: Code
    text: Text


# -- listings ----------------------------------------------------------------------------


class List(_Message, frozen=True, tag="list"):
    """Asks what is in a folder, or ``deep``: in it and in all folders below."""

    exchange: Number
    path: Path
    deep: bool
    partial: bool = False
    """asks instead for what is kept there of transfers that were cut off"""


class Entries(_Message, frozen=True, tag="entries"):
    """Some of what is there; more may follow."""

    exchange: Number
    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=1 << 16)]


class More(_Message, frozen=True, tag="more"):
    """Those have been taken; some more of them can be."""

    exchange: Number


class End(_Message, frozen=True, tag="end"):
    """That was all of it: so many entries."""

    exchange: Number
    count: Size


# -- trees -------------------------------------------------------------------------------


class _Item(_Array, frozen=True, tag_field="tag", gc=False):
    """One thing in a folder, on its way to the other side."""


class Whole(_Item, frozen=True, tag="whole", gc=False):
    """A small file, with its content."""

    name: Name
    mtime: Nanoseconds
    mode: Mode
    content: bytes
    blake3: Digest


class Described(_Item, frozen=True, tag="described", gc=False):
    """A file or a folder that can be had, or what is neither."""

    name: Name
    kind: Kind
    size: Size
    mtime: Nanoseconds
    mode: Mode
    blake3: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    """the digest of a file, where it is to be compared by it; else nothing"""


class Link(_Item, frozen=True, tag="link", gc=False):
    """A symbolic link."""

    name: Name
    mtime: Nanoseconds
    target: Path


class Unsendable(_Item, frozen=True, tag="unsendable", gc=False):
    """What can't be sent, and why."""

    name: Name
    code: Code
    text: Text


class Settled(_Item, frozen=True, tag="settled", gc=False):
    """A folder in which everything has arrived: these are its time and its permissions."""

    name: Name
    mtime: Nanoseconds
    mode: Mode


class Summed(_Item, frozen=True, tag="summed", gc=False):
    """The plain files in a folder, all at once: nobody describes them, if they are held so."""

    name: Name
    """the folder's"""
    files: Annotated[int, msgspec.Meta(ge=0, le=SUM_LIMIT)]
    """how many they are"""
    blake3: Digest
    """of their names, sizes and times"""


Item = Whole | Described | Link | Unsendable | Settled | Summed


class Part(_Array, frozen=True):
    """Some of what is in one folder; that is named from the tree's root, which is empty."""

    folder: Path
    items: Annotated[tuple[Item, ...], msgspec.Meta(max_length=PART_LIMIT)]


class Outcome(IntEnum):
    """What became of an item: a byte in Receipts."""

    DONE = 0
    """it is verified, durable and in its place; a folder: it is new"""
    HELD = 1
    """the receiver has it already"""
    WANTED = 2
    """of a file that was described: the receiver lacks it; of files that were summed: not all of
    them are the same here"""
    FAILED = 3
    """it can't be had; the reason is the next of those in Receipts"""
    DECLINED = 4
    """the receiver doesn't want it, nor what is in it"""
    EMPTY = 5
    """of a folder, be it described or summed: it was there, and nothing is in it"""


class Failing(_Array, frozen=True):
    """Why an item failed."""

    code: Code
    text: Text


class Fetch(_Message, frozen=True, tag="fetch"):
    """Asks for all that is in a folder, and in all folders below it."""

    exchange: Number
    path: Path
    small: Size
    """bytes in a file, at most, that is to come whole in a Parcel; larger ones are described"""
    ask: bool
    """whether to describe every file first, in new folders too"""
    links: bool
    """whether links are to come as links; else they are described"""
    digests: bool
    """whether files are described with their digests"""


class Parcel(_Message, frozen=True, tag="parcel"):
    """Some of a tree; each item has its outcome in the Receipts that answer it."""

    exchange: Number
    fetch: Number
    """the exchange that asked for it; 0 where nobody has"""
    root: Path
    """the folder that the tree goes into, where nobody has asked; else empty"""
    parts: Annotated[tuple[Part, ...], msgspec.Meta(max_length=PART_LIMIT)]


class Receipts(_Message, frozen=True, tag="receipts"):
    """What became of each item of a Parcel, in its order."""

    exchange: Number
    outcomes: Annotated[bytes, msgspec.Meta(max_length=PARCEL_LIMIT)]
    failures: Annotated[tuple[Failing, ...], msgspec.Meta(max_length=PARCEL_LIMIT)]
    """one for each FAILED among the outcomes"""


# -- changes -----------------------------------------------------------------------------


class MakeFolder(_Message, frozen=True, tag="makefolder"):
    """Asks for a new folder; the one that it is in must be there."""

    exchange: Number
    path: Path


class Rename(_Message, frozen=True, tag="rename"):
    """Asks for a new name for a file, a folder or a link."""

    exchange: Number
    path: Path
    new: Path


class Remove(_Message, frozen=True, tag="remove"):
    """Asks to remove a file or a link, or ``deep``: a folder with all that is in it."""

    exchange: Number
    path: Path
    deep: bool


class Changed(_Message, frozen=True, tag="changed"):
    """It is done, and durable: so many files, folders and links are concerned."""

    exchange: Number
    count: Size


Message = (
    Hello
    | Welcome
    | Working
    | Get
    | Offer
    | Accept
    | Done
    | Receipt
    | Refuse
    | Abort
    | List
    | Entries
    | More
    | End
    | Fetch
    | Parcel
    | Receipts
    | MakeFolder
    | Rename
    | Remove
    | Changed
)
Change = MakeFolder | Rename | Remove
"""What can be asked to be done to the tree."""
Opening = Get | Offer | List | Fetch | Parcel | Change
"""What begins an exchange."""
M = TypeVar("M", bound=Message)


class Data(NamedTuple):
    """File bytes of one exchange, as they came off the wire: part of a DATA frame, not a copy."""

    exchange: int
    content: bytes | memoryview


def exchange_of(message: Message) -> int:
    """The exchange that a message belongs to; 0 for what concerns the connection itself."""
    return getattr(message, "exchange", 0)


def sayable(message: M) -> M:
    """``message`` as a peer takes it: a text for people in it is cut to TEXT_LIMIT.

    Names that stand in a text may be longer than that, and needn't be Unicode.
    """
    if not isinstance(message, (Refuse, Abort)):
        return message
    return msgspec.structs.replace(message, text=shortened(message.text))


def shortened(text: str) -> str:
    """``text`` with TEXT_LIMIT characters at most, all of them Unicode."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 3] + "..."


def ending(text: str, size: int) -> str:
    """``text`` in ``size`` bytes at most: its end, where the reason stands behind a path."""
    content = text.encode(errors="backslashreplace")
    if len(content) > size:
        content = b"..." + content[3 - size :] if size > 3 else b""
    return content.decode(errors="ignore")
