"""Frames to messages and back, however they are cut; and what isn't a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import pytest

from twisted_ft.errors import OverLimit, ProtocolError, WrongProtocol
from twisted_ft.wire.frames import (
    DATA,
    DATA_LIMIT,
    HEADER_SIZE,
    MAGIC,
    MESSAGE,
    FrameReader,
    decode,
    encode,
    header,
    read_header,
)
from twisted_ft.wire.messages import (
    Abort,
    Accept,
    Attributes,
    Changed,
    Done,
    End,
    Entries,
    Entry,
    Get,
    Hello,
    Limits,
    List,
    MakeFolder,
    Message,
    Offer,
    Receipt,
    Refuse,
    Remove,
    Rename,
    Welcome,
    Working,
)

Cut = Callable[[bytes], list[bytes]]
LIMITS = Limits(1 << 20, 64, 60)
FILE = Attributes(b"a/\xff", 2**63 - 1, -(2**63), 0o7777, b"v" * 255)
CASES: dict[str, tuple[Message, list[object]]] = {
    "hello": (
        Hello((1, 2), "x/1", ("f",), LIMITS),
        ["hello", [1, 2], "x/1", ["f"], [1 << 20, 64, 60]],
    ),
    "welcome": (Welcome(1, "", (), LIMITS), ["welcome", 1, "", [], [1 << 20, 64, 60]]),
    "working": (Working(), ["working"]),
    "get": (Get(1, b""), ["get", 1, b""]),
    "offer": (
        Offer(2, FILE),
        ["offer", 2, [b"a/\xff", 2**63 - 1, -(2**63), 0o7777, b"v" * 255], "time"],
    ),
    "accept": (Accept(3, 2**63 - 1), ["accept", 3, 2**63 - 1]),
    "done": (Done(1, b"d" * 32, 5), ["done", 1, b"d" * 32, 5]),
    "receipt": (Receipt(1, b"d" * 32), ["receipt", 1, b"d" * 32]),
    "refuse": (Refuse(0, "busy", "Später"), ["refuse", 0, "busy", "Später"]),
    "abort": (Abort(2**53, "x", ""), ["abort", 2**53, "x", ""]),
    "list": (List(5, b"p" * 4096, True), ["list", 5, b"p" * 4096, True, False]),
    "entries": (
        Entries(1, (Entry(b"a", "file", 5, 0, 0o644), Entry(b"b", "link", 0, 1, 0, b"a"))),
        ["entries", 1, [[b"a", "file", 5, 0, 0o644, b""], [b"b", "link", 0, 1, 0, b"a"]]],
    ),
    "no entries": (Entries(1, ()), ["entries", 1, []]),
    "end": (End(1, 0), ["end", 1, 0]),
    "make folder": (MakeFolder(1, b"a"), ["makefolder", 1, b"a"]),
    "rename": (Rename(1, b"p" * 4096, b"n" * 4096), ["rename", 1, b"p" * 4096, b"n" * 4096]),
    "remove": (Remove(1, b"a", False), ["remove", 1, b"a", False]),
    "remove deep": (Remove(1, b"a", True), ["remove", 1, b"a", True]),
    "changed": (Changed(2, 2**63 - 1), ["changed", 2, 2**63 - 1]),
}


def framed(payload: bytes) -> bytes:
    return header(MESSAGE, len(payload)) + payload


def heard(reader: FrameReader, pieces: Iterable[bytes]) -> list[Message | bytes]:
    """What comes out: messages, and data with its pieces joined."""
    out: list[Message | bytes] = []
    for piece in pieces:
        for event in reader.receive(piece):
            if not isinstance(event, (bytes, memoryview)):
                out.append(event)
            elif out and isinstance(out[-1], bytes):
                out[-1] += bytes(event)
            else:
                out.append(bytes(event))
    return out


def whole(stream: bytes) -> list[bytes]:
    return [stream]


def byte_by_byte(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def in_threes(stream: bytes) -> list[bytes]:
    return [stream[at : at + 3] for at in range(0, len(stream), 3)]


CUTS: list[Cut] = [whole, byte_by_byte, in_threes]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("case", CASES)
def test_a_message_in_any_pieces(case: str, cut: Cut) -> None:
    message, _ = CASES[case]
    assert heard(FrameReader(), cut(MAGIC + encode(message))) == [message]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("case", CASES)
def test_a_message_with_bytes_trailing(case: str, cut: Cut) -> None:
    message, _ = CASES[case]
    stream = MAGIC + encode(message) + header(DATA, 7) + b"content" + encode(message) + b"\x01"
    assert heard(FrameReader(), cut(stream)) == [message, b"content", message]


@pytest.mark.parametrize("case", CASES)
def test_layout(case: str) -> None:
    message, layout = CASES[case]
    frame = encode(message)
    assert frame[0] == MESSAGE
    assert int.from_bytes(frame[1:HEADER_SIZE], "big") == len(frame) - HEADER_SIZE
    assert msgspec.msgpack.decode(frame[HEADER_SIZE:]) == layout
    assert decode(msgspec.msgpack.encode(layout)) == message


@pytest.mark.parametrize("case", CASES)
def test_fields_at_the_end_that_a_later_version_adds_are_passed_over(case: str) -> None:
    message, layout = CASES[case]
    assert decode(msgspec.msgpack.encode([*layout, {"new": [1, None]}, 2.5])) == message


def test_a_list_of_a_client_that_is_older() -> None:
    old = msgspec.msgpack.encode(["list", 5, b"p", True])
    assert decode(old) == List(5, b"p", True, partial=False)


def test_a_done_of_a_sender_that_is_older() -> None:
    old = msgspec.msgpack.encode(["done", 1, b"d" * 32])
    assert decode(old) == Done(1, b"d" * 32, None)


def test_entries_of_a_server_that_is_older() -> None:
    old = msgspec.msgpack.encode(["entries", 1, [[b"b", "link", 0, 1, 0o777]]])
    assert decode(old) == Entries(1, (Entry(b"b", "link", 0, 1, 0o777, b""),))


@pytest.mark.parametrize("case", sorted({*CASES} - {"list", "offer", "done"}))
def test_a_message_without_its_last_field(case: str) -> None:
    _, layout = CASES[case]
    with pytest.raises(ProtocolError):
        decode(msgspec.msgpack.encode(layout[:-1]))


BAD_PAYLOADS: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"\xc1",
    "truncated": b"\x93\xa3get\x01",
    "bytes behind it": b"\x91\xa7working\x00",
    "a number": b"\x01",
    "a map": b"\x81\xa7working\x01",
    "an empty array": b"\x90",
    "no such message": b"\x91\xa5salut",
    "a tag that is a number": b"\x91\x01",
    "a tag without end": b"\x91\xdb\x00\x01\x00\x00" + b"a" * 65536,
    "text that isn't UTF-8": b"\x94\xa6refuse\x01\xa1a\xa1\xff",
    "an array of 4294967295": b"\x95\xa5hello\xdd\xff\xff\xff\xff",
    "an array of 67108864": b"\x93\xa7entries\x01\xdd\x04\x00\x00\x00" + b"\x01" * 4096,
    "a path of 4294967295": b"\x93\xa3get\x01\xc6\xff\xff\xff\xff",
    "arrays in arrays": b"\x92\xa7working" + b"\x91" * 500_000,
    "maps in maps": b"\x92\xa7working" + b"\x81\x01" * 250_000,
    "an extension": b"\x93\xa3get\x01\xd4\x01\x00",
}
BAD_FIELDS: dict[str, list[object]] = {
    "path as text": ["get", 1, "a"],
    "path of 4097": ["get", 1, b"a" * 4097],
    "exchange below 0": ["get", -1, b"a"],
    "exchange over 2**53": ["get", 2**53 + 1, b"a"],
    "exchange as text": ["get", "1", b"a"],
    "offset below 0": ["accept", 1, -1],
    "offset over 2**63": ["accept", 1, 2**63],
    "offset as float": ["accept", 1, 1.0],
    "offset as bool": ["accept", 1, True],
    "offset nil": ["accept", 1, None],
    "digest of 31": ["done", 1, b"d" * 31],
    "digest of 33": ["receipt", 1, b"d" * 33],
    "code of 65": ["refuse", 1, "c" * 65, ""],
    "text of 2001": ["abort", 1, "c", "t" * 2001],
    "agent of 201": ["hello", [1], "a" * 201, [], [1 << 20, 64, 60]],
    "65 versions": ["hello", [1] * 65, "", [], [1 << 20, 64, 60]],
    "33 features": ["hello", [1], "", ["f"] * 33, [1 << 20, 64, 60]],
    "too small a limit on messages": ["welcome", 1, "", [], [(1 << 14) - 1, 64, 60]],
    "too large a limit on messages": ["welcome", 1, "", [], [1 << 24, 64, 60]],
    "no exchanges": ["welcome", 1, "", [], [1 << 20, 0, 60]],
    "no silence": ["welcome", 1, "", [], [1 << 20, 64, 0]],
    "size below 0": ["offer", 1, [b"a", -1, 0, 0, b""]],
    "mtime over 2**63": ["offer", 1, [b"a", 0, 2**63, 0, b""]],
    "mode over 7777": ["offer", 1, [b"a", 0, 0, 0o10000, b""]],
    "version of 256": ["offer", 1, [b"a", 0, 0, 0, b"v" * 256]],
    "attributes flat": ["offer", 1, b"a", 0, 0, 0, b""],
    "target of 4097": ["entries", 1, [[b"a", "link", 0, 0, 0, b"t" * 4097]]],
    "target as text": ["entries", 1, [[b"a", "link", 0, 0, 0, "t"]]],
    "65537 entries": ["entries", 1, [[b"", "", 0, 0, 0]] * 65537],
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS)
def test_a_payload_that_is_no_message(payload: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        heard(FrameReader(), [MAGIC, framed(payload)])
    assert len(caught.value.text) < 300


@pytest.mark.parametrize("layout", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_a_field_out_of_bounds(layout: list[object]) -> None:
    with pytest.raises(ProtocolError):
        decode(msgspec.msgpack.encode(layout))


@pytest.mark.parametrize("kind", sorted(set(range(256)) - {MESSAGE, DATA}))
def test_a_frame_of_unknown_kind(kind: int) -> None:
    with pytest.raises(ProtocolError, match=f"unknown kind {kind}"):
        heard(FrameReader(), [MAGIC, header(kind, 1)])


def test_a_message_over_the_limit_is_known_by_its_header() -> None:
    reader = FrameReader(limit=100)
    assert heard(reader, [MAGIC, header(MESSAGE, 101)[:3]]) == []
    with pytest.raises(OverLimit, match="101 bytes; at most 100"):
        heard(reader, [header(MESSAGE, 101)[3:]])


def test_a_message_at_the_limit() -> None:
    message = Get(1, b"a" * 90)
    size = len(encode(message)) - HEADER_SIZE
    assert heard(FrameReader(limit=size), [MAGIC + encode(message, limit=size)]) == [message]
    with pytest.raises(OverLimit):
        encode(message, limit=size - 1)


def test_data_comes_in_the_pieces_in_which_it_arrives() -> None:
    reader = FrameReader()
    list(reader.receive(MAGIC + header(DATA, 6)))
    first, second = b"abc", b"def"
    assert next(iter(reader.receive(first))) is first, "a piece was copied"
    assert next(iter(reader.receive(second))) is second, "a piece was copied"


def test_the_longest_data_frame() -> None:
    reader = FrameReader(limit=100)
    list(reader.receive(MAGIC + header(DATA, DATA_LIMIT)))
    pieces = [bytes(DATA_LIMIT // 15)] * 15
    assert heard(reader, pieces) == [bytes(DATA_LIMIT)]
    assert heard(reader, [encode(Working())]) == [Working()]


@pytest.mark.parametrize("cut", CUTS)
def test_data_without_data(cut: Cut) -> None:
    with pytest.raises(ProtocolError, match="without data"):
        heard(FrameReader(), cut(MAGIC + header(DATA, 0)))


# -- what is taken off the stream by other means ------------------------------------------------


@pytest.mark.parametrize(
    ("begun", "read"),
    [
        (header(MESSAGE, 5), (MESSAGE, 5)),
        (header(MESSAGE, 0x010203) + b"and more", (MESSAGE, 0x010203)),
        (header(MESSAGE, 0), (MESSAGE, 0)),
        (header(DATA, DATA_LIMIT), (DATA, DATA_LIMIT)),
        (header(255, 5), (255, 5)),
        (header(MESSAGE, 0x010203)[:3], None),
        (b"", None),
    ],
)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_header(
    begun: bytes, read: tuple[int, int] | None, kind: Callable[[bytes], bytes]
) -> None:
    frame = read_header(kind(begun))
    assert frame == read
    assert frame is None or frame.size == HEADER_SIZE + frame.length


def test_what_has_come_of_a_message_is_let_go() -> None:
    """However much that is; what is received next begins a frame."""
    first, second = encode(Get(1, b"first")), encode(Get(3, b"second"))
    for length in range(HEADER_SIZE + 1, len(first)):
        reader = FrameReader()
        assert heard(reader, [MAGIC + first[:length]]) == []
        assert reader.amid_message
        assert reader.let_go() == first[:length]
        assert not reader.amid_message
        assert heard(reader, [second]) == [Get(3, b"second")]
        assert reader.let_go() == b""


def test_what_was_let_go_can_be_given_back() -> None:
    reader = FrameReader()
    message = encode(Get(1, b"a"))
    heard(reader, [MAGIC + message[:-1]])
    begun = reader.let_go()
    assert heard(reader, [begun, message[-1:] + header(DATA, 2) + b"ab"]) == [Get(1, b"a"), b"ab"]


HTTP = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STRANGERS: dict[bytes, str] = {
    HTTP: "HTTP",
    HTTP_2: "HTTP",
    b"OPTIONS * HTTP/1.1\r\n\r\n": "HTTP",
    b"HTTP/1.1 400 Bad Request\r\n": "HTTP",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "opened with TLS",
    b"\x15\x03\x01\x00\x02\x02\x46": "fts://",
    b"SSH-2.0-OpenSSH_9.9\r\n": "SSH",
    b"220 mail.example ESMTP\r\n": "FTP or SMTP",
    b"RFB 003.008\n": "VNC",
    b"@RSYNCD: 31.0\n": "rsync",
    b"FT/1\n\x1a\n": "damaged",
    b"FT/1\r\r\n\x1a": "damaged",
    b"FT/2\r\n\x1a\n": "another version",
    b"\x00" * 20: "doesn't speak FT/1",
    b"GETTING": "doesn't speak FT/1",
    b"Foobar": "doesn't speak FT/1",
    b"\r\n\r\n": "doesn't speak FT/1",
    b"\xff\xfb\x1f": "doesn't speak FT/1",
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("stream", STRANGERS, ids=repr)
def test_a_stranger_is_known_by_its_first_bytes(stream: bytes, cut: Cut) -> None:
    with pytest.raises(WrongProtocol, match=STRANGERS[stream]) as caught:
        heard(FrameReader(), cut(stream))
    assert caught.value.answer.startswith(b"HTTP/1.1 400 ") == (
        "HTTP" in STRANGERS[stream] and not stream.startswith(b"HTTP")
    )


def test_an_http_answer_is_as_long_as_it_says() -> None:
    with pytest.raises(WrongProtocol) as caught:
        heard(FrameReader(), [HTTP])
    head, _, body = caught.value.answer.partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"


@pytest.mark.parametrize("length", range(len(MAGIC)))
def test_a_part_of_the_magic_is_no_stranger_yet(length: int) -> None:
    assert heard(FrameReader(), [MAGIC[:length]]) == []
