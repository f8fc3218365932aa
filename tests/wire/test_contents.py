"""What an exchange must bring, on both ends: neither says, nor takes, a part for the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.kit.saying import ROOT, D, F, H, whole
from twisted_ft import MemoryStore
from twisted_ft.errors import ProtocolError
from twisted_ft.stores.tree import entries_below
from twisted_ft.wire.contents import contents_of
from twisted_ft.wire.conversation import Conversation, Side
from twisted_ft.wire.frames import DATA, encode, header
from twisted_ft.wire.messages import (
    PARCEL_LIMIT,
    Accept,
    Attributes,
    Done,
    End,
    Entries,
    Entry,
    Failing,
    Fetch,
    Get,
    Item,
    List,
    Message,
    More,
    Offer,
    Parcel,
    Part,
    Receipt,
    Receipts,
    Refuse,
)

DIGEST, OTHER = b"d" * 32, b"e" * 32
FILE = Attributes(b"a", 5, 0, 0o644, b"v")


class Ends:
    """A client and a server, and what each of them makes of the same words."""

    def __init__(self) -> None:
        self.says = Conversation(Side.SERVER, "")
        self.hears = Conversation(Side.CLIENT, "")
        list(self.says.receive(self.hears.hello()))
        list(self.hears.receive(self.says.welcome()))

    def client(self, *messages: Message) -> None:
        for message in messages:
            list(self.says.receive(self.hears.say(message)))

    def server(self, *messages: Message) -> None:
        for message in messages:
            list(self.hears.receive(self.says.say(message)))

    def server_data(self, exchange: int, size: int) -> None:
        list(self.hears.receive(self.says.data_header(exchange, size) + bytes(size)))

    def server_breaks(self, message: Message, match: str) -> None:
        """The server may not say this; where it does, the client doesn't take it."""
        with pytest.raises(ProtocolError, match=match):
            self.says.say(message)
        with pytest.raises(ProtocolError, match=match):
            list(self.hears.receive(encode(message)))

    def client_breaks(self, message: Message, match: str) -> None:
        with pytest.raises(ProtocolError, match=match):
            self.hears.say(message)
        with pytest.raises(ProtocolError, match=match):
            list(self.says.receive(encode(message)))


@pytest.fixture
def ends() -> Ends:
    return Ends()


# -- a file --------------------------------------------------------------------------------


STREAM = replace(FILE, size=None)


def test_a_file_of_unknown_size(ends: Ends) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, STREAM))
    ends.client(Accept(1, 0))
    ends.server_data(1, 5)
    ends.server_data(1, 1 << 20)
    ends.server(Done(1, DIGEST, (1 << 20) + 5))
    ends.client(Receipt(1, DIGEST))


@pytest.mark.parametrize("size", [None, 0, 4, 6])
def test_a_file_of_unknown_size_of_which_another_number_comes(ends: Ends, size: int | None) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, STREAM))
    ends.client(Accept(1, 0))
    ends.server_data(1, 5)
    ends.server_breaks(Done(1, DIGEST, size), f"is done with {size} bytes, and sent 5")


def test_nothing_is_kept_of_a_file_of_unknown_size(ends: Ends) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, STREAM))
    ends.client_breaks(Accept(1, 3), "nothing of a file of unknown size is kept")


@pytest.mark.parametrize("size", [None, 5, 6, 1 << 40])
def test_a_file_may_have_grown(ends: Ends, size: int | None) -> None:
    """An earlier version doesn't say."""
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client(Accept(1, 2))
    ends.server_data(1, 3)
    ends.server(Done(1, DIGEST, size))


def test_a_file_may_not_have_become_shorter(ends: Ends) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client(Accept(1, 0))
    ends.server_data(1, 5)
    ends.server_breaks(Done(1, DIGEST, 4), "is done with 4 bytes of 5")


def test_another_file_than_was_asked_for(ends: Ends) -> None:
    ends.client(Get(1, b"b"))
    ends.server_breaks(Offer(1, FILE), "b was asked for, a offered")


def test_an_offset_behind_the_end(ends: Ends) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client_breaks(Accept(1, 6), "from 6, behind the end at 5")


@pytest.mark.parametrize("offset", [0, 3, 5])
def test_a_body_that_is_too_short(ends: Ends, offset: int) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client(Accept(1, offset))
    for left in range(5 - offset, 0, -1):
        assert ends.says.body_left(1) == ends.hears.body_left(1) == left
        with pytest.raises(ProtocolError, match=f"{left} bytes are missing"):
            ends.says.say(Done(1, DIGEST))
        ends.server_data(1, 1)
    ends.server(Done(1, DIGEST))
    ends.client(Receipt(1, DIGEST))
    assert ends.says.idle
    assert ends.hears.idle


def test_a_body_that_is_done_too_soon(ends: Ends) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client(Accept(1, 1))
    ends.server_data(1, 3)
    ends.server_breaks(Done(1, DIGEST), "1 bytes are missing")


@pytest.mark.parametrize("refused", [False, True])
def test_a_body_that_is_too_long(ends: Ends, refused: bool) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client(Accept(1, 3))
    if refused:
        ends.client(Refuse(1, "no-space", ""))
    with pytest.raises(ProtocolError, match="more data"):
        ends.says.data_header(1, 3)
    with pytest.raises(ProtocolError, match="more data"):
        list(ends.hears.receive(header(DATA, 3) + bytes(3)))
    ends.says.data_header(1, 2)


def test_a_body_that_goes_and_comes_by_other_means(ends: Ends) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client(Accept(1, 0))
    ends.says.data_goes(1, 5)
    with pytest.raises(ProtocolError, match="more data"):
        ends.says.data_goes(1, 1)
    list(ends.hears.receive(header(DATA, 3) + b"x"))
    ends.hears.data_came(3, 1)
    assert ends.hears.body_left(1) == 1
    list(ends.hears.receive(b"x"))
    ends.server(Done(1, DIGEST))


def test_a_receipt_for_other_bytes(ends: Ends) -> None:
    ends.client(Get(1, b"a"))
    ends.server(Offer(1, FILE))
    ends.client(Accept(1, 5))
    ends.server(Done(1, DIGEST))
    ends.client_breaks(Receipt(1, OTHER), "other bytes")


# -- a listing -----------------------------------------------------------------------------


def entries(*paths: str) -> tuple[Entry, ...]:
    """Files of these paths; ``/`` at the end of one is a folder, ``?`` one that can't be read."""
    kinds = {"/": "directory", "?": "unreadable"}
    return tuple(
        Entry(each.rstrip("/?").encode(), kinds.get(each[-1:], "file"), 0, 0, 0) for each in paths
    )


@pytest.mark.parametrize(
    ("path", "deep", "paths"),
    [
        ("", False, ["a", "b/", "b0"]),
        ("", True, ["a/", "b", "c/", "a/x/", "a/y", "a/x/1", "c/1"]),
        ("", True, ["a/", "a0", "a/x", "a?"]),
        ("", True, ["a/", "b/", "a/1/", "a?", "a/1/2", "b?"]),
        ("", True, ["a/", "a-b/", "a/1", "a-b/1"]),
        ("d", False, ["d/a", "d/d"]),
        ("d", False, ["d"]),
        ("d", True, ["d"]),
        ("d/e", True, ["d/e/f/", "d/e/f/g"]),
        ("d", True, []),
        ("d", True, ["d/a/", "d/b", "d?", "d/a/1"]),
        ("d", True, ["d?"]),
        ("", True, ["a/", "?", "a/1"]),
    ],
)
def test_a_listing(ends: Ends, path: str, deep: bool, paths: list[str]) -> None:
    """In one message, and in a message for each."""
    listed = entries(*paths)
    ends.client(List(1, path.encode(), deep), List(3, path.encode(), deep))
    ends.server(Entries(1, listed), End(1, len(listed)))
    for each in listed:
        ends.server(Entries(3, (each,)))
        ends.client(More(3))
    ends.server(End(3, len(listed)))
    assert ends.hears.idle


@pytest.mark.parametrize(
    ("path", "deep", "paths", "what"),
    [
        ("", False, ["b", "a"], "out of order"),
        ("", False, ["a", "a"], "out of order"),
        ("", False, ["a/b"], "directly in"),
        ("", False, ["a?"], "stops"),
        ("d", False, ["d?"], "stops"),
        ("", False, [""], "names the folder itself"),
        ("", True, ["/a"], "names nothing"),
        ("", True, ["a/", "a//b"], "names nothing"),
        ("", True, ["a/", "a/1", "b"], "out of order"),
        ("", True, ["a/", "b/", "b/1", "a/1"], "out of order"),
        ("", True, ["a/", "a?", "a/1"], "out of order"),
        ("", True, ["a/", "a?", "a?"], "out of order"),
        ("d", False, ["e"], "isn't in the folder"),
        ("d", False, ["da"], "isn't in the folder"),
        ("d", True, ["da/x"], "isn't in the folder"),
        ("d", True, ["../d/x"], "isn't in the folder"),
        ("d", True, ["d/x/y", "d/x"], "out of order"),
        ("d", True, ["d/"], "names the folder itself"),
        ("d", True, ["d?", "d/a"], "out of order"),
        ("d", True, ["d/a", "d?", "d?"], "out of order"),
        ("d", True, ["d", "d?"], "goes on"),
        ("d", True, ["d", "d/x"], "goes on"),
        ("d", False, ["d", "d"], "goes on"),
        ("d", False, ["d/x", "d"], "names the folder itself"),
    ],
)
def test_a_listing_of_other_things(
    ends: Ends, path: str, deep: bool, paths: list[str], what: str
) -> None:
    """In one message, and in a message for each."""
    *good, bad = entries(*paths)
    ends.client(List(1, path.encode(), deep), List(3, path.encode(), deep))
    for each in good:
        ends.server(Entries(3, (each,)))
        ends.client(More(3))
    ends.server_breaks(Entries(3, (bad,)), f"a listing that .*{what}")
    ends.server_breaks(Entries(1, (*good, bad)), f"a listing that .*{what}")


@pytest.mark.parametrize("count", [0, 1, 3, 500])
def test_a_listing_that_isnt_whole(ends: Ends, count: int) -> None:
    ends.client(List(1, b"", False))
    ends.server(Entries(1, entries("a", "b")))
    ends.server_breaks(End(1, count), f"should have {count} entries, but has 2")
    ends.server(End(1, 2))


_NAMES = st.sampled_from(["a", "a-", "a0", "b", "ab"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)


@given(st.sets(_PATHS, max_size=12), st.integers(1, 3))
def test_what_a_store_lists_is_in_order(paths: set[str], cut: int) -> None:
    """And nothing is, where two of its entries have changed places, or one is there twice."""
    above = {path for path in paths if any(each.startswith(path + "/") for each in paths)}
    store = MemoryStore({path.encode(): b"" for path in paths - above})
    listed = [*entries_below(store, b"")]

    def take(given: list[Entry]) -> None:
        contents = contents_of(List)
        contents.add(List(1, b"", True))
        for at in range(0, len(given), cut):
            contents.add(Entries(1, tuple(given[at : at + cut])))
        contents.add(End(1, len(given)))

    take(listed)
    for at in range(len(listed) - 1):
        with pytest.raises(ProtocolError, match="out of order"):
            take([*listed[:at], listed[at + 1], listed[at], *listed[at + 2 :]])
        with pytest.raises(ProtocolError, match="out of order"):
            take([*listed[: at + 1], *listed[at:]])


# -- a tree, and its parcels ---------------------------------------------------------------


def parcel(number: int, *items: Item, fetch: int = 1) -> Parcel:
    return Parcel(number, fetch, b"", (Part(b"", items),))


@pytest.mark.parametrize("count", [0, 1, 2, 4, 1000])
def test_a_tree_that_isnt_whole(ends: Ends, count: int) -> None:
    ends.client(Fetch(1, b"d", 100, False, False, False))
    ends.server(parcel(2, ROOT))
    ends.client(Receipts(2, D, ()))
    ends.server(parcel(4, whole(b"a"), whole(b"b")), parcel(6, whole(b"c")))
    ends.client(Receipts(4, D + D, ()), Refuse(6, "no-space", ""))
    ends.server_breaks(End(1, count), f"should have {count} items, but has 3")
    ends.server(End(1, 3))


@pytest.mark.parametrize("count", [1, 1000])
def test_a_tree_without_its_root(ends: Ends, count: int) -> None:
    ends.client(Fetch(1, b"d", 100, False, False, False))
    ends.server_breaks(End(1, count), f"should have {count} items, but has 0")


def test_parcels_of_others_are_no_part_of_a_tree(ends: Ends) -> None:
    """Of another tree, of none, and those that the asker says itself."""
    ends.client(Fetch(1, b"d", 100, False, False, False), Fetch(3, b"e", 0, False, False, False))
    ends.server(parcel(2, ROOT), parcel(4, ROOT, fetch=3))
    ends.server(parcel(6, whole(b"a"), fetch=3), parcel(8, whole(b"a"), fetch=0))
    ends.server(parcel(10, whole(b"a"), fetch=9))
    ends.client(parcel(5, whole(b"a"), fetch=1))
    ends.server(End(1, 0), End(3, 1))


@pytest.mark.parametrize(
    ("outcomes", "failures"),
    [(b"", 0), (D, 0), (D * 3, 0), (D + F, 0), (D + F, 2), (D + D, 1), (D + b"\x06", 0)],
)
def test_receipts_for_other_things(ends: Ends, outcomes: bytes, failures: int) -> None:
    ends.server(parcel(2, whole(b"a"), whole(b"b"), fetch=0))
    reasons = (Failing("storage", "no"),) * failures
    ends.client_breaks(Receipts(2, outcomes, reasons), "for other things")
    ends.client(Receipts(2, F + H, (Failing("storage", "no"),)))


def test_a_parcel_that_nobody_can_answer(ends: Ends) -> None:
    half = Part(b"", (whole(b"a", b""),) * (PARCEL_LIMIT // 2))
    ends.server(Parcel(2, 0, b"", (half, half)))
    ends.server_breaks(Parcel(4, 0, b"", (half, half, Part(b"", (ROOT,)))), "items at most")
    assert ends.says.open() == 2, "the number is as free as it was"
    ends.client(Receipts(2, D * PARCEL_LIMIT, ()))


def test_what_may_be_said(ends: Ends) -> None:
    assert not ends.hears.may_say(1, Refuse)
    ends.client(List(1, b"", False))
    assert not ends.hears.may_say(1, Refuse)
    assert ends.says.may_say(1, Refuse)
    assert ends.says.may_say(1, Entries)
    ends.server(Entries(1, ()))
    assert ends.hears.may_say(1, Refuse)
    assert not ends.says.may_say(1, Refuse)
    ends.hears.refuse_connection("busy", "")
    assert not ends.hears.may_say(1, Refuse)
