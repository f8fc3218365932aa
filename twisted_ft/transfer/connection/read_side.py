"""What comes off the transport, as it is taken: not while reading is paused.

The reactor reads; or a thread does, where much comes fast over plain TCP: it has the socket for a
turn, until it gives it back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from socket import socket

from twisted_ft.transfer.connection.keep_alive import KeepAlive
from twisted_ft.transfer.connection.participants import ParcelTaker, Participant
from twisted_ft.transfer.connection.timeouts import PeerTimeout
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.transfer.sockets.recvfile import HAS_RECVFILE, SocketBody
from twisted_ft.transfer.sockets.recvmessages import SocketMessages
from twisted_ft.transfer.transports import Transport, plain_socket
from twisted_ft.wire.conversation import Conversation

_FAST = 1 << 16
"""Bytes that came at once, where a body comes fast."""


class ReadSide:
    """Pauses the transport, and offers what is next on its socket to whose it is.

    :param conversation: knows what is next
    :param keep_alive: pausing is a job: it is because of what is done here
    :param timeout: is told when nothing can be heard
    :param participant: who takes part in an exchange
    :param receive: takes bytes that were read, and belong to somebody else
    """

    parcel_taker: ParcelTaker | None = None
    """who takes the parcels that come on this connection, if anybody does"""

    def __init__(
        self,
        transport: Transport,
        conversation: Conversation,
        runtime: Runtime,
        keep_alive: KeepAlive,
        timeout: PeerTimeout,
        participant: Callable[[int], Participant],
        receive: Callable[[bytes], None],
    ) -> None:
        self._transport, self._conversation = transport, conversation
        self._runtime, self._keep_alive, self._timeout = runtime, keep_alive, timeout
        self._participant, self._receive = participant, receive
        self._paused = 0
        self._is_gone = False
        """whether the transport is; until then it is read, as TLS closes by a word of each side"""

    def pause(self) -> None:
        """Take nothing more off the transport until ``resume``; calls are counted."""
        self._paused += 1
        if self._paused == 1:
            self._transport.pauseProducing()
            self._keep_alive.job_begins()
            self._timeout.reading_paused()

    def resume(self) -> None:
        """The counterpart of ``pause``."""
        self._paused -= 1
        if not self._paused:
            self._keep_alive.job_ends()
            if not self._is_gone:
                self._transport.resumeProducing()
                self._timeout.reading_resumed()

    def pace(self, limit: RateLimit, size: int) -> None:
        """Pause for as long as ``limit`` demands of who has just taken ``size`` bytes."""
        wait = limit.take(size, self._runtime.now())
        if wait > 0:
            self.pause()
            self._runtime.sleep(wait).addCallback(lambda _: self.resume())

    def end(self) -> None:
        """The transport is gone."""
        self._is_gone = True

    # -- a thread that reads by itself ---------------------------------------------------

    def offer_socket(self, received: int) -> None:
        """Where much comes fast, let a thread take what is to come of it off the socket.

        :param received: bytes that have just come
        """
        if received < _FAST or self._paused or not HAS_RECVFILE:
            return
        plain = plain_socket(self._transport)
        if plain is None:
            return
        exchange, left = self._conversation.data_to_come
        with suppress(OSError):  # no descriptor is left: it comes through the transport, as ever
            if left:
                self._offer_body(exchange, SocketBody(plain, left))
            elif self._conversation.amid_message and self.parcel_taker is not None:
                self._offer_messages(self.parcel_taker, plain)

    def _offer_body(self, exchange: int, waiting: SocketBody) -> None:
        self.pause()
        if not self._participant(exchange).socket_offered(waiting):
            self.body_returned(waiting)

    def _offer_messages(self, taker: ParcelTaker, plain: socket) -> None:
        if not taker.may_be_offered:
            return
        limit = self._conversation.limits.message
        waiting = SocketMessages(plain, limit)
        waiting.begin(self._conversation.let_go_of_message())
        self.pause()
        taker.messages_offered(waiting)

    def body_returned(self, waiting: SocketBody) -> None:
        """Whoever took a body off the socket has done so, and gives the rest back."""
        waiting.close()
        self._conversation.data_came(waiting.received, waiting.left)
        if waiting.received:
            self._keep_alive.took_some = True
            self._timeout.received_body(waiting.received)
        if waiting.header:
            self._receive(bytes(waiting.header))
        self.resume()

    def messages_returned(self, waiting: SocketMessages) -> None:
        """Whoever took messages off the socket has done so, and gives the rest back."""
        waiting.close()
        if rest := waiting.rest:
            self._receive(rest)
        self.resume()
