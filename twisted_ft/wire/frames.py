"""Frames to messages and back, and every limit on what a peer may make us hold.

::

    magic                                  once, in each direction
    kind: 1 byte | length: 3 bytes, big-endian | payload

A MESSAGE (kind 1) holds one MessagePack value; a DATA frame (kind 2) holds file bytes as
they are.  A message's length is checked on its header, before anything is kept; DATA is
passed on in the pieces in which it arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

import msgspec

from twisted_ft.errors import OverLimit, ProtocolError, WrongProtocol
from twisted_ft.wire.messages import Message

MAGIC = b"FT/1\r\n\x1a\n"
"""The first bytes in each direction; the line ends in it show a link that changes text."""
HEADER_SIZE = 4
MESSAGE = 1
DATA = 2
MESSAGE_LIMIT = 1 << 20
"""Bytes in a message's payload that are taken here, unless less is asked for."""
DATA_LIMIT = (1 << 24) - 1
"""Bytes in a DATA frame: what three bytes of length can say."""

_WORD = Struct(">I")
"""A header as one number: the kind is its first byte."""
_REASON = 200
"""Characters of a reason for which a message can't be read: a peer's bytes may be in it."""

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message, limit: int = MESSAGE_LIMIT) -> bytes:
    """A MESSAGE frame, header and all; OverLimit where it is over the peer's ``limit``."""
    frame = bytearray(HEADER_SIZE)
    _encoder.encode_into(message, frame, HEADER_SIZE)
    length = len(frame) - HEADER_SIZE
    if length > limit:
        raise OverLimit(f"a message of {length} bytes is over the other side's limit of {limit}")
    frame[:HEADER_SIZE] = header(MESSAGE, length)
    return bytes(frame)


def header(kind: int, length: int) -> bytes:
    """The four bytes before a payload of ``length`` bytes."""
    return bytes((kind,)) + length.to_bytes(3, "big")


class Header(NamedTuple):
    """What the four bytes before a payload say."""

    kind: int
    """MESSAGE, DATA, or what nobody knows"""
    length: int
    """bytes of the payload"""

    @property
    def size(self) -> int:
        """Bytes of the whole frame."""
        return HEADER_SIZE + self.length


def read_header(begun: bytes | bytearray | memoryview) -> Header | None:
    """The header that a frame begins with; None, where not all of it has come."""
    if len(begun) < HEADER_SIZE:
        return None
    (word,) = _WORD.unpack_from(begun)
    return Header(word >> 24, word & DATA_LIMIT)


def decode(payload: bytes | memoryview) -> Message:
    """The message in a MESSAGE frame's payload; ProtocolError where it is none."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)[:_REASON]
        raise ProtocolError(f"a message that can't be read: {reason}") from error


class FrameReader:
    """Takes bytes in whatever pieces they come, and gives the frames in them.

    A MESSAGE comes out decoded; of a DATA frame come the pieces as they arrive, never
    gathered.  Kept between calls is at most one message, and no more of it than ``limit``.
    """

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._greeted = False
        self._data_left = 0

    @property
    def data_left(self) -> int:
        """Bytes that are to come of the DATA frame under way; 0 where none is."""
        return self._data_left

    @property
    def amid_message(self) -> bool:
        """Whether a part of a message has come, and not all of it."""
        return len(self._held) > HEADER_SIZE

    def let_go(self) -> bytes:
        """What has come of a message; it is no longer held, and the rest of it comes another way.

        What is received next begins a frame: what was given here, or one that follows it.
        """
        held, self._held = self._held, bytearray()
        return bytes(held)

    def data_came(self, left: int) -> None:
        """DATA has come another way, from within a frame on; ``left`` bytes of one are to come."""
        if not self._data_left:
            raise ValueError("no DATA frame is under way")
        self._data_left = left

    def receive(self, data: bytes | memoryview) -> Iterator[Message | bytes | memoryview]:
        """Each message, and each piece of a DATA frame, that ``data`` completes or carries on."""
        rest: bytes | memoryview = data
        while len(rest):
            if self._data_left:
                piece = rest if len(rest) <= self._data_left else rest[: self._data_left]
                self._data_left -= len(piece)
                rest = memoryview(rest)[len(piece) :]
                yield piece
            elif not self._greeted:
                rest = self._hold(rest, len(MAGIC))
                self._check_magic()
            else:
                message, rest = self._frame(memoryview(rest))
                if message is not None:
                    yield message

    def _frame(self, rest: memoryview) -> tuple[Message | None, memoryview]:
        """Go on with a frame: its header first, then the payload of a MESSAGE."""
        if not self._held and (frame := self._whole_message(rest)):
            return decode(rest[HEADER_SIZE : frame.size]), rest[frame.size :]
        if len(self._held) < HEADER_SIZE:
            rest = self._hold(rest, HEADER_SIZE)
        frame = read_header(self._held)
        if frame is None:
            return None, rest
        self._check(frame)
        if frame.kind == DATA:
            self._held.clear()
            self._data_left = frame.length
            return None, rest
        rest = self._hold(rest, frame.size)
        if len(self._held) < frame.size:
            return None, rest
        held, self._held = self._held, bytearray()
        with memoryview(held) as whole:
            return decode(whole[HEADER_SIZE:]), rest

    def _whole_message(self, rest: memoryview) -> Header | None:
        """The header of a MESSAGE that has come all at once; None, where none has."""
        frame = read_header(rest)
        if frame is None or frame.kind != MESSAGE or frame.size > len(rest):
            return None
        return frame if frame.length <= self._limit else None

    def _check(self, frame: Header) -> None:
        """Raise ProtocolError for a frame that isn't taken."""
        if frame.kind == DATA:
            if not frame.length:
                raise ProtocolError("a DATA frame without data")
        elif frame.kind != MESSAGE:
            raise ProtocolError(f"a frame of unknown kind {frame.kind}")
        elif frame.length > self._limit:
            raise OverLimit(f"a message of {frame.length} bytes; at most {self._limit} are allowed")

    def _hold(self, rest: bytes | memoryview, wanted: int) -> memoryview:
        """Keep what is missing to have ``wanted`` bytes, and give back what lies behind it."""
        rest = memoryview(rest)
        missing = wanted - len(self._held)
        self._held += rest[:missing]
        return rest[missing:]

    def _check_magic(self) -> None:
        first = bytes(self._held)
        if first == MAGIC:
            self._held.clear()
            self._greeted = True
        elif not MAGIC.startswith(first) and not _may_become_known(first):
            raise _stranger(first)


_STRANGERS = {
    b"\x16": "opened with TLS, and this port speaks plain FT/1",
    b"\x15": "speaks TLS on this port: use fts:// for it",
    b"FT/1": "sent a damaged greeting: something on the way changes line ends or bytes",
    b"FT/": "speaks another version of FT, not FT/1",
    b"HTTP": "speaks HTTP, not FT/1",
    b"SSH-": "speaks SSH, not FT/1",
    b"220": "speaks FTP or SMTP, not FT/1",
    b"RFB ": "speaks VNC, not FT/1",
    b"@RSYNCD": "speaks rsync, not FT/1",
}
"""What others open with (RFC 8446 5.1, RFC 9112 4, RFC 4253 4.2, RFC 959, RFC 6143 7.1.1)."""
_HTTP_METHODS = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PATCH ",
)
_HTTP_2 = b"PRI * HT"
"""How HTTP/2 opens, as far as it is looked at (RFC 9113 3.4)."""
_OPENINGS = (*_STRANGERS, *_HTTP_METHODS, _HTTP_2)


def _may_become_known(first: bytes) -> bool:
    """Whether some more bytes may tell who this is, where a stranger's come one by one."""
    return len(first) < len(MAGIC) and any(
        len(first) < len(each) and each.startswith(first) for each in _OPENINGS
    )


def _stranger(first: bytes) -> WrongProtocol:
    """Who it is that opened with these bytes instead of the magic."""
    if first.startswith((*_HTTP_METHODS, _HTTP_2)):
        return WrongProtocol("the other side speaks HTTP, not FT/1", _HTTP_ANSWER)
    for opening, who in _STRANGERS.items():
        if first.startswith(opening):
            return WrongProtocol(f"the other side {who}")
    return WrongProtocol(f"the other side doesn't speak FT/1; it opened with {first!r}")


_HTTP_BODY = b"This is an FT/1 file transfer server, not a web server. Use: ft get ft://HOST/PATH\n"
_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_HTTP_BODY), _HTTP_BODY)
)
