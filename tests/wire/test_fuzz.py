"""Whatever a peer sends: a ProtocolError or nothing, and never more in memory than the limit."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_ft.errors import ProtocolError
from twisted_ft.wire.conversation import Conversation, Side
from twisted_ft.wire.frames import DATA, MAGIC, MESSAGE, FrameReader, decode, encode, header
from twisted_ft.wire.messages import LEAST_MESSAGE, Hello, Limits, Message, Refuse, Welcome, Working

LIMITS = Limits(message=LEAST_MESSAGE, exchanges=4, silence=1)

numbers = st.integers(-1, 9) | st.integers(-(2**63), 2**64 - 1)
texts = st.text(max_size=8)
blobs = st.binary(max_size=8) | st.binary(min_size=32, max_size=32)
files = st.tuples(blobs, numbers, numbers, numbers, blobs)
limits = st.tuples(st.integers(0, 1 << 25), numbers, numbers)
items = st.lists(
    st.tuples(st.just("settled"), blobs, numbers, numbers)
    | st.tuples(st.just("whole"), blobs, numbers, numbers, blobs, blobs),
    max_size=2,
)
LAYOUTS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "hello": (st.lists(numbers, max_size=3), texts, st.lists(texts, max_size=2), limits),
    "welcome": (numbers, texts, st.lists(texts, max_size=2), limits),
    "working": (),
    "get": (numbers, blobs),
    "offer": (numbers, files),
    "accept": (numbers, numbers),
    "done": (numbers, blobs),
    "receipt": (numbers, blobs),
    "refuse": (numbers, texts, texts),
    "abort": (numbers, texts, texts),
    "list": (numbers, blobs, st.booleans()),
    "entries": (
        numbers,
        st.lists(st.tuples(blobs, texts, numbers, numbers, numbers, blobs), max_size=2),
    ),
    "more": (numbers,),
    "end": (numbers, numbers),
    "fetch": (numbers, blobs, numbers, st.booleans(), st.booleans(), st.booleans()),
    "parcel": (numbers, numbers, blobs, st.lists(st.tuples(blobs, items), max_size=2)),
    "receipts": (numbers, blobs, st.lists(st.tuples(texts, texts), max_size=2)),
    "makefolder": (numbers, blobs),
    "rename": (numbers, blobs, blobs),
    "remove": (numbers, blobs, st.booleans()),
    "changed": (numbers, numbers),
}
layouts = st.sampled_from(sorted(LAYOUTS)).flatmap(
    lambda tag: st.tuples(st.just(tag), *LAYOUTS[tag])
)
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | numbers | texts | blobs | st.sampled_from([*LAYOUTS]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


def framed(kind: int, payload: bytes) -> bytes:
    return header(kind, len(payload)) + payload


def likely(number: int) -> list[tuple[Any, ...]]:
    """What an honest peer may say in an exchange, in no order."""
    digest, settled = b"d" * 32, ("settled", b"a", 0, 0)
    return [
        ("get", number, b"a"),
        ("offer", number, (b"a", 5, 0, 0, b"v")),
        ("offer", number, (b"a", 0, 0, 0, b"v")),
        ("accept", number, 0),
        ("accept", number, 4),
        ("done", number, digest),
        ("receipt", number, digest),
        ("refuse", number, "x", ""),
        ("abort", number, "x", ""),
        ("list", number, b"", False),
        ("list", number, b"a", True),
        ("entries", number, ()),
        ("entries", number, ((b"a", "link", 0, 0, 0, b"b"),)),
        ("entries", number, ((b"a/b", "file", 0, 0, 0), (b"a/c", "directory", 0, 0, 0))),
        ("more", number),
        ("end", number, 0),
        ("end", number, 1),
        ("end", number, 2),
        ("fetch", number, b"a", 0, False, False, False),
        ("parcel", number, 1, b"", ((b"", (settled,)),)),
        ("parcel", number, 2, b"", ((b"", (settled, settled)),)),
        ("receipts", number, b"\0", ()),
        ("receipts", number, b"\0\3", (("x", ""),)),
        ("makefolder", number, b"a"),
        ("rename", number, b"a", b"b"),
        ("remove", number, b"a", True),
        ("changed", number, 1),
        ("working",),
    ]


likely_words = st.integers(1, 4).flatmap(lambda number: st.sampled_from(likely(number)))
messages = (likely_words | layouts | anything).map(msgspec.msgpack.encode)
frames = (
    messages.map(lambda payload: framed(MESSAGE, payload))
    | st.binary(min_size=1, max_size=9).map(lambda content: framed(DATA, content))
    | st.binary(max_size=9)
)


def feed(conversation: Conversation, stream: bytes, cut: int) -> None:
    """Everything in ``stream``, in pieces of ``cut`` bytes, until the peer breaks the protocol."""
    try:
        for at in range(0, len(stream), cut):
            for _ in conversation.receive(stream[at : at + cut]):
                pass
    except ProtocolError as error:
        conversation.refuse_connection(error.code, error.text)


def greeted(side: Side) -> Conversation:
    conversation = Conversation(side, "fuzz/1", LIMITS)
    if side is Side.CLIENT:
        conversation.hello()
        list(conversation.receive(MAGIC + encode(Welcome(1, "", (), LIMITS))))
    else:
        list(conversation.receive(MAGIC + encode(Hello((1,), "", (), LIMITS))))
        conversation.welcome()
    return conversation


@given(st.binary(max_size=200))
def test_a_payload(payload: bytes) -> None:
    try:
        message = decode(payload)
    except ProtocolError:
        return
    assert decode(encode(message)[4:]) == message


@given(layouts)
def test_a_message_that_can_be_read_can_be_said_again(layout: tuple[Any, ...]) -> None:
    try:
        message: Message = decode(msgspec.msgpack.encode(layout))
    except ProtocolError:
        return
    assert decode(encode(message)[4:]) == message


@given(st.sampled_from(Side), st.binary(max_size=100), st.integers(1, 50))
def test_a_stream_of_anything(side: Side, stream: bytes, cut: int) -> None:
    feed(Conversation(side, "fuzz/1"), stream, cut)
    feed(Conversation(side, "fuzz/1"), MAGIC + stream, cut)
    feed(greeted(side), stream, cut)


@settings(max_examples=400)
@given(st.sampled_from(Side), st.lists(frames, max_size=30), st.integers(1, 300), st.booleans())
def test_a_stream_of_frames(side: Side, said: list[bytes], cut: int, greets: bool) -> None:
    conversation = greeted(side) if greets else Conversation(side, "fuzz/1", LIMITS)
    feed(conversation, b"".join(said) if greets else MAGIC + b"".join(said), cut)
    opened_by_peer = sum(1 for number in range(10) if conversation.state_of(number).name != "ENDED")
    assert opened_by_peer <= LIMITS.exchanges


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.sampled_from(Side), likely_words | st.tuples(st.integers(1, 4), blobs)),
        max_size=40,
    )
)
def test_what_one_end_may_say_the_other_takes(
    words: list[tuple[Side, tuple[Any, ...]]],
) -> None:
    """Each word that may be said is heard at once; what may not be said changes nothing."""
    ends = {side: Conversation(side, "fuzz/1", LIMITS) for side in Side}
    client, server = ends[Side.CLIENT], ends[Side.SERVER]
    list(server.receive(client.hello()))
    list(client.receive(server.welcome()))
    for side, word in words:
        speaks, hears = ends[side], server if side is Side.CLIENT else client
        try:
            said = stream_of(speaks, word)
        except ProtocolError:
            pass
        else:
            list(hears.receive(said))
        for number in range(1, 5):
            assert client.state_of(number) is server.state_of(number)
            assert client.body_left(number) == server.body_left(number)


def stream_of(speaks: Conversation, word: tuple[Any, ...]) -> bytes:
    """The bytes that say a word, or are some of a body."""
    if isinstance(word[0], str):
        return speaks.say(decode(msgspec.msgpack.encode(word)))
    number, content = word
    return speaks.data_header(number, len(content)) + content if content else b""


@given(st.lists(frames, min_size=1, max_size=8), st.integers(0, 200), st.integers(0, 255))
def test_a_good_stream_with_one_byte_changed(said: list[bytes], at: int, byte: int) -> None:
    stream = bytearray(b"".join(said) + encode(Working()))
    stream[at % len(stream)] = byte
    feed(greeted(Side.SERVER), bytes(stream), 7)


def held(opening: bytes, piece: bytes, times: int) -> int:
    """The most memory, in bytes, that a reader with a limit of 64 KiB needs for a stream."""
    reader = FrameReader(limit=1 << 16)
    list(reader.receive(MAGIC + opening))
    tracemalloc.start()
    for _ in range(times):
        for _ in reader.receive(piece):
            pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_data_is_not_gathered() -> None:
    assert held(header(DATA, (1 << 24) - 1), bytes(1 << 10), times=1 << 10) < 1 << 14


def test_no_more_is_gathered_than_one_message() -> None:
    assert held(header(MESSAGE, 1 << 16), bytes(1 << 10), times=63) < 1 << 17


def test_messages_are_let_go_of() -> None:
    assert held(b"", encode(Refuse(1, "x", "y" * 1000)), times=1 << 10) < 1 << 15
