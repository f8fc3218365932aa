"""What goes onto the transport, as it takes it: messages, and bodies one after another.

The reactor writes; or a thread does, for a turn, for which it is lent the socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from twisted_ft.errors import FileTransferError
from twisted_ft.transfer.connection.keep_alive import KeepAlive
from twisted_ft.transfer.connection.timeouts import PeerTimeout
from twisted_ft.transfer.connection.tls import TLSStream
from twisted_ft.transfer.sockets.sendfile import SocketFrames
from twisted_ft.wire.conversation import Conversation


@implementer(IPushProducer)
class WriteSide:
    """The transport's producer, whose turn to write is given to who waits for it.

    :param conversation: knows whose body is next
    :param work: calls what writes in a thread
    :param timeout: is told when it is the other side's turn, to read
    """

    def __init__(
        self,
        transport: Any,
        conversation: Conversation,
        keep_alive: KeepAlive,
        timeout: PeerTimeout,
    ) -> None:
        self._transport = transport
        self._stream: Any = transport
        self._conversation, self._keep_alive, self._timeout = (
            conversation,
            keep_alive,
            timeout,
        )
        self._paused = False
        self._writers: deque[Deferred[None]] = deque()
        self._body_turns: dict[int, Deferred[None]] = {}
        self._lent: SocketFrames | None = None
        self._held_back = b""
        self._failure: FileTransferError | None = None

    def go_through(self, stream: TLSStream) -> None:
        """Write to ``stream`` from here on, which stands before the transport."""
        self._stream = stream

    @property
    def takes_more(self) -> bool:
        """Whether the transport takes more, and is lent to nobody."""
        return not self._paused and self._lent is None

    # -- from the transport --------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The transport has enough; from here on it is the peer's turn, to read."""
        self._paused = True
        self._timeout.writing_paused()

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._paused = False
        self._timeout.writing_resumed()
        self._let_writers()

    def stopProducing(self) -> None:
        """The transport is gone; the protocol hears of it."""

    # -- messages and pieces -------------------------------------------------------------

    def write(self, message: bytes) -> None:
        """Send a message; behind a thread's frames, where one has the socket."""
        if self._lent is None:
            self._stream.write(message)
        else:
            self._held_back += message
            self._lent.end_soon()
        self._grant_body_turn()

    def writable(self) -> Deferred[None]:
        """Fires when the transport takes more."""
        ready: Deferred[None] = Deferred(self._forget_writer)
        if self._failure is not None:
            ready.errback(self._failure)
        elif self.takes_more:
            ready.callback(None)
        else:
            self._writers.append(ready)
        return ready

    def body_turn(self, exchange: int) -> Deferred[None]:
        """Fires when the bodies before this one are through: bodies go one after another."""
        turn: Deferred[None] = Deferred()
        if self._failure is not None:
            turn.errback(self._failure)
        else:
            self._body_turns[exchange] = turn
            self._grant_body_turn()
        return turn

    def send_data(self, exchange: int, piece: bytes) -> None:
        """Send a piece of a body, as one DATA frame."""
        if self._failure is not None:
            raise self._failure
        header = self._conversation.data_header(exchange, len(piece))
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
            self._writers.popleft().callback(None)

    # -- a thread that writes by itself --------------------------------------------------

    async def lend_socket(self, exchange: int, write: Callable[[SocketFrames], None]) -> bool:
        """Have a thread write DATA frames of ``exchange``, and lend it the socket for that.

        What is said meanwhile is held back, and has the thread begin no other frame.

        :returns: False, where there is no descriptor left to lend
        """
        await self._emptied()
        self._conversation.data_goes(exchange)
        try:
            self._lent = lent = SocketFrames(self._transport)
        except OSError:
            return False
        try:
            await self._keep_alive.in_thread(write, lent)
        finally:
            self._lent = None
            lent.close()
            held_back, self._held_back = self._held_back, b""
            self._transport.writeSequence((*lent.rest, held_back))
            self._let_writers()
        if self._failure is not None:
            raise self._failure
        return True

    async def _emptied(self) -> None:
        """Wait until the transport has nothing left to send, and the socket takes something."""
        await self.writable()
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, False)  # it asks a pull producer when all is sent
        self.pauseProducing()
        self._transport.startWriting()
        asked: Deferred[None] = Deferred(self._forget_writer)
        self._writers.appendleft(asked)
        await asked
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, True)

    # -- the end -------------------------------------------------------------------------

    def end(self, error: FileTransferError) -> None:
        """Nobody who waits to write will get to it."""
        self._failure = error
        if self._lent is not None:
            self._lent.stop()
        waiting = [*self._writers, *self._body_turns.values()]
        self._writers.clear()
        self._body_turns.clear()
        for each in waiting:
            each.errback(error)
