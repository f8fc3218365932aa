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

import msgspec

from twisted_ft.errors import OverLimit, ProtocolError, WrongProtocol
from twisted_ft.wire.messages import Message

MAGIC = b"FT/1\r\n\x1a\n"
"""The first bytes in each direction; the line ends in it show a link that changes text."""
HEADER_SIZE = 4
MESSAGE = 1
DATA = 2
MESSAGE_LIMIT = 1 << 20
"""Bytes in a message's payload, at most, unless a peer has announced less."""
DATA_LIMIT = (1 << 24) - 1
"""Bytes in a DATA frame: what three bytes of length can say."""

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message, limit: int = MESSAGE_LIMIT) -> bytes:
    """A MESSAGE frame, header and all; OverLimit where the peer wouldn't take it."""
    payload = _encoder.encode(message)
    if len(payload) > limit:
        raise OverLimit(
            f"a message of {len(payload)} bytes is over the other side's limit of {limit}"
        )
    return header(MESSAGE, len(payload)) + payload


def header(kind: int, length: int) -> bytes:
    """The four bytes before a payload of ``length`` bytes."""
    return bytes((kind,)) + length.to_bytes(3, "big")


def decode(payload: bytes | bytearray) -> Message:
    """The message in a MESSAGE frame's payload; ProtocolError where it is none."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a message that can't be read: {error}") from error


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
    def amid_frame(self) -> bool:
        """Whether the stream, should it end here, ends inside a frame."""
        return bool(self._held or self._data_left)

    def receive(self, data: bytes) -> Iterator[Message | bytes | memoryview]:
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
        if len(self._held) < HEADER_SIZE:
            rest = self._hold(rest, HEADER_SIZE)
            if len(self._held) < HEADER_SIZE:
                return None, rest
        kind, length = self._held[0], int.from_bytes(self._held[1:HEADER_SIZE], "big")
        if kind == DATA:
            if not length:
                raise ProtocolError("a DATA frame without data")
            self._held.clear()
            self._data_left = length
            return None, rest
        if kind != MESSAGE:
            raise ProtocolError(f"a frame of unknown kind {kind}")
        if length > self._limit:
            raise OverLimit(f"a message of {length} bytes; at most {self._limit} are taken")
        rest = self._hold(rest, HEADER_SIZE + length)
        if len(self._held) < HEADER_SIZE + length:
            return None, rest
        payload = self._held[HEADER_SIZE:]
        self._held.clear()
        return decode(payload), rest

    def _hold(self, rest: bytes | memoryview, wanted: int) -> memoryview:
        """Keep what is missing to have ``wanted`` bytes, and give back what lies behind it."""
        rest = memoryview(rest)
        missing = wanted - len(self._held)
        self._held += rest[:missing]
        return rest[missing:]

    def _check_magic(self) -> None:
        if not MAGIC.startswith(self._held):
            raise _stranger(bytes(self._held))
        if len(self._held) == len(MAGIC):
            self._held.clear()
            self._greeted = True


_HTTP_METHODS = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"CONN", b"PATC", b"PRI ")


def _stranger(first: bytes) -> WrongProtocol:
    """Who it is that opened with these bytes instead of the magic (RFC 8446 5.1, RFC 9112 3)."""
    if first[:1] == b"\x16":
        return WrongProtocol("the other side opened with TLS, and this port speaks plain FT/1")
    if first[:1] == b"\x15":
        return WrongProtocol("the other side speaks TLS on this port: use fts:// for it")
    if first.startswith(_HTTP_METHODS):
        return WrongProtocol("the other side speaks HTTP, not FT/1", _HTTP_ANSWER)
    if first.startswith((b"HTTP", b"SSH-", b"220 ", b"220-", b"RFB ", b"@RSY")):
        return WrongProtocol(f"the server doesn't speak FT/1; it opened with {first!r}")
    return WrongProtocol(f"the other side doesn't speak FT/1; it opened with {first!r}")


_HTTP_BODY = b"This is an FT/1 file transfer server, not a web server. Use: ft get ft://HOST/PATH\n"
_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_HTTP_BODY), _HTTP_BODY)
)
