"""What goes onto the transport, as it takes it: messages, and bodies one after another.

The reactor writes; or a thread does, which leases the socket for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from twisted_ft.errors import FileTransferError
from twisted_ft.transfer.connection.keep_alive import KeepAlive
from twisted_ft.transfer.connection.timeouts import PeerTimeout
from twisted_ft.transfer.sockets.sendfile import SocketFrames
from twisted_ft.transfer.transports import (
    Stream,
    Transport,
    ask_when_sent,
    plain_socket,
    unsent,
)
from twisted_ft.wire.conversation import Conversation

ANSWERS_WAITING = 1 << 20
"""Bytes of messages that may wait for a peer who takes nothing; past them it isn't heard either, as
most of what it says has an answer."""


class Crowding(Protocol):
    """Who is told that more answers wait than the other side takes."""

    def pause(self) -> None:
        """They do: hear nothing more."""

    def resume(self) -> None:
        """It has taken them."""


@implementer(IPushProducer)
class WriteSide:
    """The transport's producer, whose turn to write is given to who waits for it.

    :param conversation: knows whose body is next
    :param keep_alive: calls what writes in a thread
    :param timeout: is told when it is the other side's turn, to take what was sent
    :param crowding: is told when more answers wait than the other side takes
    """

    def __init__(
        self,
        transport: Transport,
        conversation: Conversation,
        keep_alive: KeepAlive,
        timeout: PeerTimeout,
        crowding: Crowding,
    ) -> None:
        self._transport = transport
        self._stream: Stream = transport
        self._conversation, self._keep_alive = conversation, keep_alive
        self._timeout, self._crowding = timeout, crowding
        self._paused = False
        self._writers: list[Deferred[None]] = []
        self._body_turns: dict[int, Deferred[None]] = {}
        self._leased: SocketFrames | None = None
        self._held_back = b""
        self._written = 0
        self._waiting = 0
        """bytes of messages that were written since the transport has had enough"""
        self._crowded = False

    def go_through(self, stream: Stream) -> None:
        """Write to ``stream`` from here on, which stands before the transport."""
        self._stream = stream

    @property
    def takes_more(self) -> bool:
        """Whether the transport takes more, and nobody has the socket."""
        return not self._paused and self._leased is None

    @property
    def can_lease(self) -> bool:
        """Whether a thread could write to the socket by itself."""
        return plain_socket(self._transport) is not None

    # -- from the transport --------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The transport has enough; from here on it is the peer's turn, to read."""
        self._paused = True
        self._timeout.writing_paused()

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._paused = False
        self._waiting = 0
        self._timeout.writing_resumed()
        self._let_writers()
        self._uncrowd()

    def stopProducing(self) -> None:
        """The transport is gone; the protocol hears of it."""

    # -- messages and pieces -------------------------------------------------------------

    def write(self, message: bytes) -> None:
        """Send a message; behind a thread's frames, where one has the socket."""
        if self._leased is None:
            self._written += len(message)
            self._stream.write(message)
        else:
            self._held_back += message
            self._leased.end_soon()
        self._grant_body_turn()
        if not self.takes_more:
            self._waiting += len(message)
            self._crowd()

    def _crowd(self) -> None:
        if self._waiting > ANSWERS_WAITING and not self._crowded:
            self._crowded = True
            self._crowding.pause()

    def _uncrowd(self) -> None:
        if self._crowded and not self._paused:
            self._crowded = False
            self._crowding.resume()

    @property
    def taken(self) -> int:
        """Bytes that have left for the other side so far."""
        return self._written - unsent(self._transport)

    def writable(self) -> Deferred[None]:
        """Fires when the transport takes more."""
        ready: Deferred[None] = Deferred(self._forget_writer)
        if self._conversation.failure is not None:
            ready.errback(self._conversation.failure)
        elif self.takes_more:
            ready.callback(None)
        else:
            self._writers.append(ready)
        return ready

    def body_turn(self, exchange: int) -> Deferred[None]:
        """Fires when the bodies before this one are through: bodies go one after another."""
        turn: Deferred[None] = Deferred()
        if self._conversation.failure is not None:
            turn.errback(self._conversation.failure)
        else:
            self._body_turns[exchange] = turn
            self._grant_body_turn()
        return turn

    def send_data(self, exchange: int, piece: bytes) -> None:
        """Send a piece of a body, as one DATA frame."""
        header = self._conversation.data_header(exchange, len(piece))
        self._written += len(header) + len(piece)
        self._stream.writeSequence((header, piece))

    def _grant_body_turn(self) -> None:
        may_send = self._conversation.may_send_body
        for exchange in [each for each in self._body_turns if may_send(each)]:
            self._body_turns.pop(exchange).callback(None)

    def _forget_writer(self, ready: Deferred[None]) -> None:
        if ready in self._writers:
            self._writers.remove(ready)

    def _let_writers(self) -> None:
        """Let those write who wait for it, as long as the transport takes more."""
        while self._writers and self.takes_more:
            self._writers.pop(0).callback(None)

    # -- a thread that writes by itself --------------------------------------------------

    async def lease_socket(self, exchange: int, write: Callable[[SocketFrames], None]) -> bool:
        """Have a thread write DATA frames of ``exchange``, which leases the socket for that.

        What is said meanwhile is held back, and has the thread begin no other frame.

        :returns: False, where there is no descriptor left for it
        """
        await self._emptied()
        self._conversation.data_goes(exchange, 0)
        plain = plain_socket(self._transport)
        if plain is None:
            return False
        try:
            self._leased = leased = SocketFrames(plain)
        except OSError:
            return False
        try:
            await self._keep_alive.in_thread(write, leased)
        finally:
            self._leased = None
            leased.close()
            held_back, self._held_back = self._held_back, b""
            rest = (*leased.rest, held_back)
            self._written += sum(map(len, rest))
            self._transport.writeSequence(rest)
            self._let_writers()
            self._uncrowd()
        if self._conversation.failure is not None:
            raise self._conversation.failure
        self._conversation.data_goes(exchange, leased.size)
        return True

    async def _emptied(self) -> None:
        """Wait until the transport has nothing left to send, and the socket takes something."""
        await self.writable()
        ask_when_sent(self._transport, self)
        self.pauseProducing()
        asked: Deferred[None] = Deferred(self._forget_writer)
        self._writers.insert(0, asked)
        await asked
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, True)

    # -- the end -------------------------------------------------------------------------

    def end(self, error: FileTransferError) -> None:
        """Nobody who waits to write will get to it."""
        if self._leased is not None:
            self._leased.stop()
        waiting = [*self._writers, *self._body_turns.values()]
        self._writers.clear()
        self._body_turns.clear()
        for each in waiting:
            each.errback(error)
