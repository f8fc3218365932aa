"""The one IProtocol, the same class on both ends.

Data's way through it is one line: transport, Conversation (frames and tables), the exchange
that it belongs to, a store; and back.  The protocol itself has what the transport tells, the
greeting, whose message is whose, and the end.  There is a class each for what goes onto the
transport (Writing), for what comes off it (Reading), for what goes on here meanwhile (Work), and
for how long the other side is waited for (Patience).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_ft.errors import (
    ConnectionFailed,
    FileTransferError,
    ProtocolError,
    WrongProtocol,
    error_for,
)
from twisted_ft.transfer.connection.keep_alive import KeepAlive
from twisted_ft.transfer.connection.participants import Nobody, Participant
from twisted_ft.transfer.connection.read_side import ReadSide
from twisted_ft.transfer.connection.timeouts import PeerTimeout
from twisted_ft.transfer.connection.tls import TLSStream, tls_stream
from twisted_ft.transfer.connection.write_side import WriteSide
from twisted_ft.transfer.failures import why_lost
from twisted_ft.transfer.runtime import InThread, Runtime
from twisted_ft.wire.conversation import Conversation, Side
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import Data, Hello, Message, Opening, Refuse, Welcome, exchange_of


class Policy(Protocol):
    """What an end makes of what its peer begins: the server's factory, or the client."""

    def greeted(self, protocol: FileTransferProtocol) -> None:
        """Both sides have greeted; raise a FileTransferError to send the peer away."""

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        """The peer has opened an exchange: ``take_part`` in it, or say Refuse or Abort."""

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """The connection is over."""


_NOBODY = Nobody()


class FileTransferProtocol(TwistedProtocol):
    """FT/1 on a transport.

    :param side: CLIENT for the end that connected
    :param conversation: what has been said, and may be
    :param policy: what to make of what the peer begins
    :param runtime: clock and threads
    """

    log = Logger()
    transport: Any
    writing: WriteSide
    """what goes onto the transport"""
    reading: ReadSide
    """what comes off it"""

    def __init__(
        self, side: Side, conversation: Conversation, policy: Policy, runtime: Runtime
    ) -> None:
        self.side = side
        self.conversation = conversation
        self.runtime = runtime
        self.keep_alive = KeepAlive(conversation, runtime, self.say)
        """what goes on here"""
        self.in_thread: InThread = self.keep_alive.in_thread
        """calls what may block; meanwhile the other side is told so"""
        self._timeout = PeerTimeout(conversation, runtime.clock, self.end)
        self._policy = policy
        self._participants: dict[int, Participant] = {}
        self._tls: TLSStream | None = None
        self._ending: FileTransferError | None = None
        self._dropping: IDelayedCall | None = None

    @property
    def peer(self) -> str:
        """The other end's address, for logs."""
        address = self.transport.getPeer()
        host = getattr(address, "host", None)
        return f"{host}:{address.port}" if host else str(getattr(address, "name", address))

    # -- from the transport --------------------------------------------------------------

    def connectionMade(self) -> None:
        """Greet, and begin to wait for the other side's greeting."""
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        if hasattr(self.transport, "bufferSize"):
            self.transport.bufferSize = RECEIVE_SIZE
        if hasattr(self.transport, "SEND_LIMIT"):
            self.transport.SEND_LIMIT = _SEND_SIZE
        self.writing = WriteSide(self.transport, self.conversation, self.keep_alive, self._timeout)
        self.reading = ReadSide(
            self.transport,
            self.conversation,
            self.runtime,
            self.keep_alive,
            self._timeout,
            self._participant,
            self.dataReceived,
        )
        self.transport.registerProducer(self.writing, True)
        if self.side is Side.CLIENT:
            self.writing.write(self.conversation.hello())
        self._timeout.watch()

    def dataReceived(self, data: bytes) -> None:
        """Give each message, and each piece of a body, to the exchange that it belongs to."""
        if self._ending is not None:
            return
        self._timeout.resetTimeout()
        content = data if self._tls is None else self._tls.read_on(data)
        try:
            for event in self.conversation.receive(content):
                if isinstance(event, Data):
                    self.keep_alive.took_some = True
                    self._participant(event.exchange).data_received(event.content)
                else:
                    self._heard(event)
                    if self._ending is not None:
                        return
        except ProtocolError as error:
            self.end(error)
        else:
            if self.conversation.amid_message:
                self.keep_alive.took_some = True
                self.keep_alive.begin_telling()
            if self._ending is None:
                self.reading.offer_socket(len(content))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell everyone who still waits for something, and why."""
        error = self._ending or why_lost(reason, self.conversation)
        self._ending = error
        self._timeout.end()
        self.keep_alive.end()
        self.reading.end()
        if self._dropping is not None and self._dropping.active():
            self._dropping.cancel()
        for participant in list(self._participants.values()):
            participant.connection_lost(error)
        self._participants.clear()
        self.writing.end(error)
        self._policy.ended(self, error)

    # -- hearing -------------------------------------------------------------------------

    def _heard(self, message: Message) -> None:
        number = exchange_of(message)
        if number:
            self._heard_in_exchange(number, message)
        elif isinstance(message, Hello):
            self._be_greeted(answer=True)
        elif isinstance(message, Welcome):
            self._be_greeted(answer=False)
        elif isinstance(message, Refuse):
            self._leave(error_for(message.code, message.text))
        self._timeout.watch()

    def _be_greeted(self, answer: bool) -> None:
        self._go_through_tls()  # before anyone says the next word
        try:
            self._policy.greeted(self)
        except FileTransferError as error:
            self.end(error)
            return
        if answer:
            self.writing.write(self.conversation.welcome())

    def _go_through_tls(self) -> None:
        self._tls = tls_stream(self.transport, RECEIVE_SIZE)
        if self._tls is not None:
            self.writing.go_through(self._tls)

    def _heard_in_exchange(self, number: int, message: Message) -> None:
        participant = self._participants.get(number)
        if participant is not None:
            participant.heard(message)
            if isinstance(participant, Nobody):
                self.leave(number)
        elif isinstance(message, Opening):
            self._policy.begun(self, message)

    def _participant(self, exchange: int) -> Participant:
        return self._participants.get(exchange, _NOBODY)

    def heard_on_socket(
        self, messages: Sequence[Message], is_taken: Callable[[Message], bool]
    ) -> bool:
        """These were taken off the socket by whoever it was offered to.

        :param is_taken: whether that one goes on with a message itself
        :returns: whether the connection goes on
        """
        self.keep_alive.took_some = True
        try:
            for message in messages:
                if self._ending is not None or not self.conversation.hear(message):
                    continue
                if is_taken(message):
                    self.take_part(exchange_of(message), Nobody())
                else:
                    self._heard(message)
        except ProtocolError as error:
            self.end(error)
        return self._ending is None

    # -- saying --------------------------------------------------------------------------

    def open(self, participant: Participant) -> int:
        """A number for a new exchange, in which ``participant`` will hear the answers."""
        number = self.conversation.open()
        self.take_part(number, participant)
        return number

    def take_part(self, number: int, participant: Participant) -> None:
        """From here on ``participant`` hears what is said in exchange ``number``."""
        self._participants[number] = participant
        self.keep_alive.begin_telling()

    def say(self, message: Message) -> None:
        """Send a message; the failure that ended the connection where it is over."""
        if self._ending is not None:
            raise self._ending
        self.writing.write(self.conversation.say(message))
        self._timeout.watch()

    def leave(self, exchange: int) -> Deferred[None]:
        """The participant wants to hear nothing more; what may still come is passed over.

        Fires when the other side has said its last word in the exchange.
        """
        known = self._participants.pop(exchange, None)
        left = known if isinstance(known, Nobody) else Nobody()
        if left.over.called:  # the connection is ending, and it has heard so
            return left.over
        if self._ending is not None or self.conversation.state_of(exchange) is State.ENDED:
            left.over.callback(None)
        else:
            self._participants[exchange] = left
        self._timeout.watch()
        return left.over

    # -- the end -------------------------------------------------------------------------

    def end(self, error: FileTransferError) -> None:
        """Say a last word, and close the connection for the reason ``error``."""
        if self._ending is not None:
            return
        if isinstance(error, WrongProtocol):
            self.writing.write(error.answer if self.side is Side.SERVER else b"")
        else:
            self.writing.write(self.conversation.refuse_connection(error.code, error.text))
        self._leave(error)

    def close(self) -> None:
        """Close the connection, as nothing more is wanted of it."""
        self._leave(ConnectionFailed("the connection was closed on this side"))

    def _leave(self, error: FileTransferError) -> None:
        """Close, without waiting for a peer that doesn't read."""
        if self._ending is not None:
            return
        self._ending = error
        reads_on = self.writing.takes_more
        self.writing.end(error)
        self._timeout.end()
        self.keep_alive.end()
        self.transport.unregisterProducer()
        if reads_on:
            self.transport.loseConnection()
            self._dropping = self.runtime.clock.callLater(
                _LAST_WORD, self.transport.abortConnection
            )
        else:
            self.transport.abortConnection()


RECEIVE_SIZE = 1 << 19
"""Bytes taken off a socket at once, at most: fewer and larger pieces for Inflow to write."""
_SEND_SIZE = 1 << 20
"""Bytes given to a socket at once, at most: a whole parcel, where Twisted gives an eighth of it."""
_LAST_WORD = 5.0
"""Seconds that a peer has to take the last word off the connection."""
