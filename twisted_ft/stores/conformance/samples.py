"""Files and names to try a store on, and short ways to do so; ``conformance`` is made of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from blake3 import blake3

from twisted_ft.stores.interfaces import (
    PLAIN,
    Packer,
    Packing,
    Source,
    Store,
    Unpacker,
)
from twisted_ft.stores.piecewise import packer_of
from twisted_ft.stores.states import CLOCK_TICK
from twisted_ft.wire.messages import (
    SUM_LIMIT,
    Attributes,
    Described,
    Item,
    Outcome,
    Part,
    Summed,
    Whole,
)

SIZES = [0, 1, *(around + by for around in (1 << 16, 1 << 18, 1 << 20) for by in (-1, 0, 1))]
"""Bytes in a file: none, one, and about the limits of the pieces that are moved at once."""

GOOD_NAMES = [
    b"with spaces ",
    b"-rf",
    b"--",
    b"~",
    b"...",
    b".hidden",
    b"a\\b",
    b"new\nline",
    b"n" * 255,
    "composed \u00e9".encode(),
    "decomposed e\u0301".encode(),
    "\u65e5\u672c\u8a9e".encode(),
    b"latin-1 \xe9",
    b"\xff\xfe",
]
"""Names that a file may have.  A store that can't hold one says BadName, and changes none."""

BAD_NAMES = [
    b"..",
    b"../secret",
    b"folder/../../secret",
    b"folder/..",
    b".",
    b"./file",
    b"folder/./inner",
    b"/etc/passwd",
    b"//file",
    b"folder//inner",
    b"folder/",
    b"nul\0byte",
    b"file\0",
    b"n" * 256,
    b"folder/" + b"n" * 256,
    b"/".join([b"n" * 100] * 41),
    b".ft-0123456789abcdef0123456789abcdef.part",
    b".FT-0123456789ABCDEF0123456789ABCDEF.FROM",
]
"""Names that must be refused, whatever the store holds."""

TIME = 1_700_000_000_123_456_700
"""Nanoseconds since 1970; whole steps of 100, as NTFS has them."""


def content_of(size: int) -> bytes:
    """``size`` bytes, in which each stretch of eight says where it belongs."""
    return b"".join(b"%07x\n" % number for number in range(size // 8 + 1))[:size]


def described(path: bytes, content: bytes, version: bytes = b"1") -> Attributes:
    """What a sender says of a file before it sends it."""
    return Attributes(path=path, size=len(content), mtime=TIME, mode=0o640, version=version)


def tick() -> None:
    """Let the clock tick: the time of what has just changed says nothing (CLOCK_TICK)."""
    time.sleep(CLOCK_TICK / 1e9)


def put(store: Store, file: Attributes, content: bytes, overwrite: bool = True) -> None:
    """Receive all of a file."""
    sink = store.sink(file, overwrite)
    sink.write([content[sink.offset :]])
    sink.publish()


def content_in(store: Store, path: bytes) -> bytes:
    """All of a file."""
    with opened(store, path) as source:
        return source.read(0, source.check())


@contextmanager
def opened(store: Store, path: bytes) -> Iterator[Source]:
    """A source, which is closed at the end."""
    source = store.source(path)
    try:
        yield source
    finally:
        source.close()


def names_in(store: Store, path: bytes = b"") -> list[bytes]:
    """The paths that a listing names."""
    return [entry.path for entry in store.entries(path)]


# -- trees -----------------------------------------------------------------------------------


def whole(name: bytes, content: bytes, mtime: int = TIME, mode: int = 0o640) -> Whole:
    """A small file as it travels."""
    return Whole(name, mtime, mode, content, blake3(content).digest())


def file_described(
    name: bytes, content: bytes, mtime: int = TIME, digest: bytes = b""
) -> Described:
    """A file that can be had."""
    return Described(name, "file", len(content), mtime, 0o640, digest)


def folder_described(name: bytes) -> Described:
    """A folder that can be had."""
    return Described(name, "directory", 0, TIME, 0o755)


def summed(store: Store, folder: bytes, name: bytes | None = None) -> Summed:
    """The plain files in a folder of a store, all at once, in a folder ``name``."""
    found = packer_of(store).states(folder, SUM_LIMIT, PLAIN)
    assert found is not None
    return found[0].summed(folder if name is None else name)


def packed(
    packer: Packer, folder: bytes, small: int, packing: Packing = PLAIN
) -> dict[bytes, Item]:
    """What is in a folder, by name; nothing comes twice."""
    items = list(packer.items(folder, small, packing))
    by_name = {item.name: item for item in items}
    assert len(by_name) == len(items)
    return by_name


def unpacked(unpacker: Unpacker, *parts: tuple[bytes, list[Item]]) -> list[str]:
    """What became of each item: ``done``, ``held``, ``wanted``, ``declined``, or a failure's code.

    Each failure has a text that is fit for a terminal.
    """
    said = [Part(folder, tuple(items)) for folder, items in parts]
    outcomes, failures = unpacker.unpack(said)
    assert len(outcomes) == sum(len(part.items) for part in said)
    assert outcomes.count(Outcome.FAILED) == len(failures)
    assert all(each.text.isprintable() for each in failures)
    codes = iter(failures)
    return [
        next(codes).code if outcome == Outcome.FAILED else Outcome(outcome).name.lower()
        for outcome in outcomes
    ]
