"""A peer that says what a test has it say."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from twisted_ft.testing.transport import MemoryTransport
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.frames import DATA, MAGIC, FrameReader, encode, header
from twisted_ft.wire.messages import Hello, Limits, Message, Welcome


class ScriptedPeer(Protocol):
    """Says what it is told, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Message | bytes] = []
        """messages, and pieces of DATA frames, as they came"""
        self.raw = b""
        """all the bytes that came"""
        self.lost: Failure | None = None
        """why the connection is over, once it is"""
        self._frames: FrameReader | None = FrameReader()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """See IProtocol."""
        self.lost = reason

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.raw += data
        if self._frames is not None:
            for event in self._frames.receive(data):
                self.heard.append(bytes(event) if isinstance(event, memoryview) else event)

    def listen_raw(self) -> None:
        """Keep what comes as bytes alone, for a peer that doesn't speak FT/1."""
        self._frames = None

    @property
    def messages(self) -> list[Message]:
        """The messages that came."""
        return [event for event in self.heard if not isinstance(event, bytes)]

    @property
    def body(self) -> bytes:
        """What came in DATA frames, all together."""
        return b"".join(event for event in self.heard if isinstance(event, bytes))

    def greet(self) -> None:
        """Send the magic."""
        self.send(MAGIC)

    def hello(self, limits: Limits = DEFAULT_LIMITS) -> None:
        """Greet, as a client."""
        self.greet()
        self.say(Hello((1,), "scripted", (), limits))

    def welcome(self, limits: Limits = DEFAULT_LIMITS, features: tuple[str, ...] = ()) -> None:
        """Greet, as a server."""
        self.greet()
        self.say(Welcome(1, "scripted", features, limits))

    def say(self, *messages: Message) -> None:
        """Send messages, as they are: nothing checks whether they may be said."""
        for message in messages:
            self.send(encode(message))

    def data(self, content: bytes) -> None:
        """Send one DATA frame."""
        self.send(header(DATA, len(content)) + content)

    def pause_reading(self) -> None:
        """Take nothing off the connection; the other side's writes pile up."""
        self._end.pauseProducing()

    def resume_reading(self) -> None:
        """The counterpart of ``pause_reading``."""
        self._end.resumeProducing()

    def abort(self) -> None:
        """Reset the connection."""
        self._end.abortConnection()

    @property
    def _end(self) -> MemoryTransport:
        assert isinstance(self.transport, MemoryTransport)
        return self.transport

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._end.write(data)
