"""The one IProtocol, the same class on both ends.

Data's way through it is one line: transport, Conversation (frames and tables), the exchange
that it belongs to, a store; and back.  The protocol itself has what the transport tells, the
greeting, whose message is whose, and the end.  There is a class each for what goes onto the
transport (WriteSide), for what comes off it (ReadSide), for what goes on here meanwhile
(KeepAlive), and for how long the other side is waited for (PeerTimeout).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
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
from twisted_ft.transfer.failures import as_error, why_lost
from twisted_ft.transfer.runtime import InThread, Runtime
from twisted_ft.transfer.transports import name_of, prepare
from twisted_ft.wire.conversation import Conversation, Side
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import (
    Data,
    Hello,
    Message,
    Opening,
    Refuse,
    Welcome,
    Working,
    exchange_of,
)


class Policy(Protocol):
    """What an end makes of what its peer begins: the server's factory, or the client."""

    async def greeted(self, protocol: FileTransferProtocol) -> None:
        """The peer has greeted; raise a FileTransferError to send it away.  This may take time."""

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
        self.at_length: InThread = self.keep_alive.at_length
        """the same for what may take minutes"""
        self._timeout = PeerTimeout(conversation, runtime.clock, self._bytes_taken, self.end)
        self._policy = policy
        self._participants: dict[int, Participant] = {}
        self._tls: TLSStream | None = None
        self._arrived: list[tuple[Iterator[Message | Data], int]] = []
        """what has come and isn't heard yet, with the bytes that it came in"""
        self._last_progress = runtime.now()
        self._dropping: IDelayedCall | None = None

    @property
    def peer(self) -> str:
        """The other end's address, for logs."""
        return name_of(self.transport.getPeer())

    @property
    def idle_since(self) -> float | None:
        """Since when nothing has come of this connection, by the runtime's clock.

        None while something is done here for the other side, or it has to take what was sent.
        """
        if self.keep_alive.busy or not self.writing.takes_more:
            return None
        return self._last_progress

    def _bytes_taken(self) -> int:
        return self.writing.taken

    # -- from the transport --------------------------------------------------------------

    def connectionMade(self) -> None:
        """Greet, and begin to wait for the other side's greeting."""
        prepare(self.transport)
        self.reading = ReadSide(
            self.transport,
            self.conversation,
            self.runtime,
            self.keep_alive,
            self._timeout,
            self._participant,
            self.dataReceived,
        )
        self.writing = WriteSide(
            self.transport, self.conversation, self.keep_alive, self._timeout, self.reading
        )
        self.transport.registerProducer(self.writing, True)
        if self.side is Side.CLIENT:
            self.writing.write(self.conversation.hello())
        self._timeout.connected()

    def dataReceived(self, data: bytes) -> None:
        """Give each message, and each piece of a body, to the exchange that it belongs to."""
        if self.conversation.failure is not None:
            return
        self._timeout.received()
        content = data if self._tls is None else self._tls.read_on(data)
        self._arrived.append((self.conversation.receive(content), len(content)))
        if len(self._arrived) == 1:
            self._hear_some()

    def _hear_some(self) -> None:
        """Hear what has arrived, up to EVENTS_AT_ONCE; the rest when others had their turn."""
        left = EVENTS_AT_ONCE
        try:
            while self._arrived:
                events, size = self._arrived[0]
                for event in islice(events, left):
                    left -= 1
                    self._take(event)
                if self.conversation.failure is not None:
                    return
                if not left:
                    self.reading.pause()
                    self.runtime.clock.callLater(0, self._hear_on)
                    return
                del self._arrived[0]  # mostly the only one
                self._heard_all(size)
        except ProtocolError as error:
            self.end(error)

    def _hear_on(self) -> None:
        self._hear_some()
        self.reading.resume()

    def _take(self, event: Message | Data) -> None:
        if isinstance(event, Data):
            self.keep_alive.took_some = True
            self._last_progress = self.runtime.now()
            self._timeout.received_body(len(event.content))
            self._participant(event.exchange).data_received(event.content)
        else:
            self._heard(event)

    def _heard_all(self, size: int) -> None:
        """All that came in ``size`` bytes has been heard."""
        if self.conversation.amid_message:
            self.keep_alive.took_some = True
            self.keep_alive.begin_telling()
        self.reading.offer_socket(size)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell everyone who still waits for something, and why."""
        self.conversation.lost(why_lost(reason, self.conversation))
        error = self._failure
        self._arrived.clear()
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
        if not isinstance(message, Working):
            self._last_progress = self.runtime.now()
        self._timeout.watch()

    def _be_greeted(self, answer: bool) -> None:
        self._timeout.greeted()
        self._go_through_tls()  # before anyone says the next word
        Deferred.fromCoroutine(self._greet(answer))

    async def _greet(self, answer: bool) -> None:
        """Let the policy have its say, and welcome the peer."""
        try:
            await self._policy.greeted(self)
        except Exception:
            self.end(as_error(Failure()))
            return
        if answer and self.conversation.failure is None:
            self.writing.write(self.conversation.welcome())
            self._timeout.watch()

    def _go_through_tls(self) -> None:
        if self.runtime.tls_in_large_steps:
            self._tls = tls_stream(self.transport)
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
                if not self.conversation.hear(message):
                    continue
                if is_taken(message):
                    self.take_part(exchange_of(message), Nobody())
                else:
                    self._heard(message)
        except ProtocolError as error:
            self.end(error)
        return self.conversation.failure is None

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
        if self.conversation.state_of(exchange) is State.ENDED:
            left.over.callback(None)
        else:
            self._participants[exchange] = left
        self._timeout.watch()
        return left.over

    # -- the end -------------------------------------------------------------------------

    def end(self, error: FileTransferError) -> None:
        """Say a last word, and close the connection for the reason ``error``."""
        if self.conversation.failure is not None:
            return
        if isinstance(error, WrongProtocol):
            self.writing.write(error.answer if self.side is Side.SERVER else b"")
        else:
            self.writing.write(self.conversation.refuse_connection(error.code, error.text))
        self._leave(error)

    def close(self) -> None:
        """Close the connection, as nothing more is wanted of it."""
        self._leave(ConnectionFailed("the connection was closed on this side"))

    def abort(self, error: FileTransferError) -> None:
        """Close the connection at once for the reason ``error``, as the other side is gone."""
        self._leave(error, reads_on=False)

    def _leave(self, error: FileTransferError, reads_on: bool = True) -> None:
        """Close, without waiting for a peer that doesn't read."""
        if self.conversation.failure is not None:
            return
        self.conversation.lost(error)
        reads_on = reads_on and self.writing.takes_more
        self.writing.end(error)
        self._timeout.end()
        self.keep_alive.end()
        self.transport.unregisterProducer()
        if reads_on:
            self.transport.loseConnection()
            self._dropping = self.runtime.clock.callLater(LAST_WORD, self.transport.abortConnection)
        else:
            self.transport.abortConnection()

    @property
    def _failure(self) -> FileTransferError:
        """Why the connection is over."""
        assert self.conversation.failure is not None, "the connection goes on"
        return self.conversation.failure


LAST_WORD = 5.0
"""Seconds that a peer has to take the last word off the connection."""
EVENTS_AT_ONCE = 128
"""Messages and pieces of bodies that are heard in one turn of the reactor, at most: some
milliseconds, after which others have theirs."""
