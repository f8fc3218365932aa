"""An FT/1 peer on a real socket that says what it likes, when it likes, and reads when it likes.

It keeps no tables: whatever a test wants to say is said.  Nothing here waits for a server that
doesn't read, so a hostile peer can go on being hostile.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from blake3 import blake3

from twisted_ft.wire.frames import DATA, MAGIC, FrameReader, encode, header
from twisted_ft.wire.messages import (
    MOST_MESSAGE,
    Accept,
    Attributes,
    Done,
    Get,
    Hello,
    Limits,
    Message,
    Offer,
    Receipt,
    Refuse,
    Welcome,
)

NARROW = 4096
"""Bytes of a receive buffer that is full at once."""
PATIENCE = 15.0
"""Seconds after which an honest client gives up."""
HELLO = Hello((1,), "a raw peer", (), Limits(message=1 << 20, exchanges=64, silence=600))
M = TypeVar("M", bound=Message)
Question = Callable[[int], Message]
"""Makes a message that opens an exchange, of the exchange's number."""


class Gone(Exception):
    """The server has closed, or doesn't say what is waited for."""


class RawPeer:
    """A client of the server at ``port`` on this machine.

    :param greets: whether it says hello, and waits for the welcome
    :param window: bytes of its receive buffer; 0 for the system's own choice
    """

    def __init__(self, port: int, *, greets: bool = True, window: int = NARROW) -> None:
        self._socket = socket.socket()
        if window:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self.gone = False
        self.bytes_heard = 0
        self._frames = FrameReader(MOST_MESSAGE)
        self._heard: deque[Message | bytes | memoryview] = deque()
        self._unsent = bytearray()
        self._number = -1
        if greets:
            self.send(MAGIC + encode(HELLO), PATIENCE)
            self.hear(Welcome)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- saying --------------------------------------------------------------------------

    @property
    def all_taken(self) -> bool:
        """Whether the server has taken all that was said."""
        return not self._unsent

    def send(self, data: bytes = b"", seconds: float = 0.0) -> None:
        """Send what is taken in ``seconds``; the rest goes first the next time."""
        self._unsent += data
        deadline = time.monotonic() + seconds
        while self._unsent and not self.gone:
            try:
                sent = self._socket.send(self._unsent[: 1 << 20])
                del self._unsent[:sent]
            except BlockingIOError:
                if not self._wait(select.POLLOUT, deadline):
                    return
            except OSError:
                self.gone = True

    def say(self, *messages: Message, seconds: float = 0.5) -> None:
        """Say this, whether or not it may be said now."""
        self.send(b"".join(encode(each, MOST_MESSAGE) for each in messages), seconds)

    def ask(self, *questions: Question, seconds: float = 0.5) -> list[int]:
        """Open an exchange with each; their numbers."""
        first, self._number = self._number + 2, self._number + 2 * len(questions)
        numbers = list(range(first, self._number + 1, 2))
        opened = zip(questions, numbers, strict=True)
        self.say(*(question(number) for question, number in opened), seconds=seconds)
        return numbers

    # -- hearing -------------------------------------------------------------------------

    def take(self, most: int = 1 << 16, seconds: float = 0.0) -> bool:
        """Read ``most`` bytes at most; whether anything came in ``seconds``."""
        if not self._wait(select.POLLIN, time.monotonic() + seconds):
            return False
        try:
            data = self._socket.recv(most)
        except OSError:
            data = b""
        self.gone = self.gone or not data
        self.bytes_heard += len(data)
        self._heard.extend(self._frames.receive(data))
        return bool(data)

    def drain(self) -> None:
        """Read all that is there, and forget it."""
        while self.take():
            self._heard.clear()
        self._heard.clear()

    def heard(self) -> list[Message]:
        """The messages that have come, once; what there is of bodies is passed over."""
        while self.take():
            pass
        heard, self._heard = self._heard, deque()
        return [each for each in heard if not isinstance(each, (bytes, memoryview))]

    def hear(self, kind: type[M], seconds: float = PATIENCE) -> M:
        """The next message of this kind; what comes before it is passed over.

        :raises Gone: it doesn't come, or a Refuse comes instead
        """
        deadline = time.monotonic() + seconds
        while True:
            while self._heard:
                message = self._heard.popleft()
                if isinstance(message, kind):
                    return message
                if isinstance(message, Refuse):
                    raise Gone(message.code)
            if not self.take(seconds=deadline - time.monotonic()):
                raise Gone("closed" if self.gone else "silence")

    def _wait(self, event: int, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    # -- leaving -------------------------------------------------------------------------

    def half_close(self) -> None:
        """Say that nothing more will be said."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave at once, without a word: what is under way is lost (tcp(7), SO_LINGER)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def data(content: bytes) -> bytes:
    """A DATA frame."""
    return header(DATA, len(content)) + content


def get(port: int, path: bytes, seconds: float = PATIENCE) -> bytes:
    """What an honest client does: connect, get a small file, go; its digest."""
    with RawPeer(port, window=0) as peer:
        (number,) = peer.ask(partial(Get, path=path))
        peer.hear(Offer, seconds)
        peer.say(Accept(number, 0))
        digest = peer.hear(Done, seconds).blake3
        peer.say(Receipt(number, digest))
        return digest


def put(port: int, path: bytes, content: bytes) -> None:
    """The counterpart of ``get``; raises Gone where the file isn't taken."""
    file = Attributes(path, len(content), 1, 0o644, b"1")
    with RawPeer(port, window=0) as peer:
        (number,) = peer.ask(partial(Offer, file=file))
        peer.hear(Accept)
        peer.send(data(content), PATIENCE)
        peer.say(Done(number, blake3(content).digest()))
        peer.hear(Receipt)
