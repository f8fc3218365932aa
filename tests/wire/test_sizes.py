"""What things take in a message: never more than is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.longest import MOST, WIDE, codes, entries, exchanges, items, paths, texts
from twisted_ft.wire.frames import HEADER_SIZE, decode, encode
from twisted_ft.wire.messages import (
    LEAST_MESSAGE,
    MOST_MESSAGE,
    NAME_LIMIT,
    PARCEL_LIMIT,
    PATH_LIMIT,
    SUM_LIMIT,
    TEXT_LIMIT,
    Described,
    Entries,
    Entry,
    Failing,
    Item,
    Link,
    Outcome,
    Parcel,
    Part,
    Receipts,
    Summed,
    Unsendable,
    Whole,
    ending,
    shortened,
)
from twisted_ft.wire.sizes import (
    BESIDE_ENTRIES,
    BESIDE_FAILURES,
    BESIDE_PARTS,
    MOST_ENTRY,
    MOST_PART,
    MOST_WHOLE,
    REASONS,
    entry_size,
    fitted,
    item_size,
    part_size,
)


def encoded(thing: object) -> int:
    return len(msgspec.msgpack.encode(thing))


@given(entries)
def test_an_entry(entry: Entry) -> None:
    assert encoded(entry) <= entry_size(entry) <= MOST_ENTRY


@given(items)
def test_an_item(item: Item) -> None:
    assert encoded(item) <= item_size(item)
    if isinstance(item, Whole):
        assert item_size(item) <= MOST_WHOLE + len(item.content)


@pytest.mark.parametrize(
    "item",
    [
        Whole(bytes(NAME_LIMIT), -(2**63), 0o7777, bytes(1 << 16), bytes(32)),
        Described(bytes(NAME_LIMIT), WIDE * 16, MOST, -(2**63), 0o7777, bytes(32)),
        Link(bytes(NAME_LIMIT), -(2**63), bytes(PATH_LIMIT)),
        Unsendable(bytes(NAME_LIMIT), WIDE * 64, WIDE * TEXT_LIMIT),
        Summed(bytes(NAME_LIMIT), SUM_LIMIT, bytes(32)),
    ],
)
def test_the_longest_is_as_long_as_is_said(item: Item) -> None:
    assert encoded(item) == item_size(item)


@given(exchanges, st.lists(entries, max_size=3), st.sampled_from([0, 20, 1 << 16]))
def test_entries_together(exchange: int, some: list[Entry], more: int) -> None:
    many = (*some, *[Entry(b"", "", 0, 0, 0)] * (more - len(some)))
    length = encoded(Entries(exchange, many))
    assert length <= BESIDE_ENTRIES + sum(map(entry_size, many))


@given(exchanges, paths, st.lists(st.tuples(paths, st.lists(items, max_size=3)), max_size=3))
def test_a_parcel(exchange: int, root: bytes, said: list[tuple[bytes, list[Item]]]) -> None:
    parts = tuple(Part(folder, tuple(some)) for folder, some in said)
    size = sum(part_size(folder) + sum(map(item_size, some)) for folder, some in said)
    assert encoded(Parcel(exchange, exchange, root, parts)) <= BESIDE_PARTS + size
    assert all(part_size(folder) <= MOST_PART for folder, _ in said)


# -- failures ------------------------------------------------------------------------------

failures = st.lists(st.builds(Failing, codes, texts(3 * TEXT_LIMIT)), max_size=30)


@given(exchanges, failures, st.sampled_from([LEAST_MESSAGE, 1 << 16, MOST_MESSAGE]))
def test_failures_have_room_in_a_message(exchange: int, some: list[Failing], message: int) -> None:
    outcomes = bytes([Outcome.FAILED]) * len(some)
    fitting = fitted(some, message - BESIDE_FAILURES - len(outcomes))
    assert [each.code for each in fitting] == [each.code for each in some]
    assert sum(len(each.text.encode()) for each in fitting) <= REASONS
    receipts = Receipts(exchange, outcomes, fitting)
    assert decode(encode(receipts, message)[HEADER_SIZE:]) == receipts


def test_a_whole_parcel_of_failures_for_a_long_path() -> None:
    """In all no more than two messages like that which brought them."""
    text = "/".join(["x" * 200] * 20) + ": a name can't be that"
    some = [Failing("bad-name", text)] * PARCEL_LIMIT
    fitting = fitted(some, MOST_MESSAGE)
    assert len(fitting) == PARCEL_LIMIT
    assert sum(len(each.text) for each in fitting) <= REASONS
    assert all(text.endswith(each.text.removeprefix("...")) for each in fitting)
    assert all(each.text.startswith("...") for each in fitting)


def test_short_texts_leave_their_room_to_long_ones() -> None:
    some = [*[Failing("a", "short")] * 1000, Failing("b", "x" * TEXT_LIMIT)]
    assert fitted(some, MOST_MESSAGE) == tuple(some)


@pytest.mark.parametrize("size", [-5, 0, 1, 3, 4, 5, 7, 8, 100])
@pytest.mark.parametrize("text", ["", "abc", "path: reason", WIDE * 10, "\udc80" * 20])
def test_the_end_of_a_text(text: str, size: int) -> None:
    end = ending(text, size)
    assert len(end.encode()) <= max(0, size)
    whole = shortened(text)
    assert whole.endswith(end.removeprefix("..."))
    if len(whole.encode()) <= size:
        assert end == whole


def test_unpaired_surrogates_are_sayable() -> None:
    some: list[Any] = [Failing("a", "\udc80")]
    assert fitted(some, 100)[0].text == "\\udc80"
