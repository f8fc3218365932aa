"""The one IProtocol, the same class on both ends.

Data's way through it is one line: transport, Conversation (frames and tables), the exchange
that it belongs to, a store; and back.  The protocol itself keeps what concerns the
connection as a whole: the greeting, whose turn it is and for how long, back-pressure in both
directions, and the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.errors import (
    ConnectionFailed,
    FileTransferError,
    ProtocolError,
    TimedOut,
    WrongProtocol,
    error_for,
)
from twisted_ft.transfer.failures import why_lost
from twisted_ft.transfer.participants import Nobody, ParcelTaker, Participant
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.transfer.recvfile import SocketBody, can_recvfile
from twisted_ft.transfer.recvmessages import SocketMessages
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.transfer.sendfile import SocketFrames
from twisted_ft.transfer.tls import TLSStream, tls_stream
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

T = TypeVar("T")


class Policy(Protocol):
    """What an end makes of what its peer begins: the server's factory, or the client."""

    def greeted(self, protocol: FileTransferProtocol) -> None:
        """Both sides have greeted; raise a FileTransferError to send the peer away."""

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        """The peer has opened an exchange: ``take_part`` in it, or say Refuse or Abort."""

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """The connection is over."""


_NOBODY = Nobody()


@implementer(IPushProducer)
class FileTransferProtocol(TwistedProtocol, TimeoutMixin):
    """FT/1 on a transport.

    :param side: CLIENT for the end that connected
    :param conversation: what has been said, and may be
    :param policy: what to make of what the peer begins
    :param runtime: clock and threads
    """

    log = Logger()
    transport: Any
    parcel_taker: ParcelTaker | None = None
    """who takes the parcels that come on this connection, if anybody does"""

    def __init__(
        self, side: Side, conversation: Conversation, policy: Policy, runtime: Runtime
    ) -> None:
        self.side = side
        self.conversation = conversation
        self.runtime = runtime
        self._policy = policy
        self._participants: dict[int, Participant] = {}
        self._ending: FileTransferError | None = None
        self._jobs = 0
        self._taken = False
        self._working = LoopingCall(self._tell_working)
        self._working.clock = runtime.clock
        self._choked = False
        self._writers: deque[Deferred[None]] = deque()
        self._readers_paused = 0
        self._lost = False
        self._dropping: IDelayedCall | None = None
        self._turns: dict[int, Deferred[None]] = {}
        self._lent: SocketFrames | None = None
        self._held_back = b""
        self._tls: TLSStream | None = None

    @property
    def peer(self) -> str:
        """The other end's address, for logs."""
        address = self.transport.getPeer()
        host = getattr(address, "host", None)
        return f"{host}:{address.port}" if host else str(getattr(address, "name", address))

    # -- from the transport --------------------------------------------------------------

    def callLater(self, period: float, func: Callable[[], object]) -> Any:
        """TimeoutMixin's clock."""
        return self.runtime.clock.callLater(period, func)

    def connectionMade(self) -> None:
        """Greet, and begin to wait for the other side's greeting."""
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        if hasattr(self.transport, "bufferSize"):
            self.transport.bufferSize = RECEIVE_SIZE
        if hasattr(self.transport, "SEND_LIMIT"):
            self.transport.SEND_LIMIT = _SEND_SIZE
        self.transport.registerProducer(self, True)
        if self.side is Side.CLIENT:
            self._write(self.conversation.hello())
        self._watch()

    def dataReceived(self, data: bytes) -> None:
        """Give each message, and each piece of a body, to the exchange that it belongs to."""
        if self._ending is not None:
            return
        self.resetTimeout()
        content = data if self._tls is None else self._tls.read_on(data)
        try:
            for event in self.conversation.receive(content):
                if isinstance(event, Data):
                    self._taken = True
                    self._participants.get(event.exchange, _NOBODY).data_received(event.content)
                else:
                    self._heard(event)
                    if self._ending is not None:
                        return
        except ProtocolError as error:
            self.end(error)
        else:
            if self.conversation.amid_message:
                self._taken = True
                self._begin_telling()
            self._offer_socket(len(content))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell everyone who still waits for something, and why."""
        self._lost = True
        self.setTimeout(None)
        if self._dropping is not None and self._dropping.active():
            self._dropping.cancel()
        if self._working.running:
            self._working.stop()
        error = self._ending or why_lost(reason, self.conversation)
        self._ending = error
        for participant in list(self._participants.values()):
            participant.connection_lost(error)
        self._participants.clear()
        self._release_writers(error)
        self._policy.ended(self, error)

    def pauseProducing(self) -> None:
        """The transport has enough; from here on it is the peer's turn, to read."""
        self._choked = True
        self._watch()

    def resumeProducing(self) -> None:
        """The transport takes more."""
        self._choked = False
        self.resetTimeout()
        self._watch()
        self._let_writers()

    def stopProducing(self) -> None:
        """The transport is gone; connectionLost follows."""

    def timeoutConnection(self) -> None:
        """The other side has had its time."""
        seconds = self._patience
        if self._choked:
            self.end(TimedOut(f"the other side has taken nothing for {seconds} seconds"))
        else:
            self.end(TimedOut(f"the other side has said nothing for {seconds} seconds"))

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
        self._watch()

    def _be_greeted(self, answer: bool) -> None:
        self._tls = tls_stream(self.transport, RECEIVE_SIZE)  # before anyone says the next word
        try:
            self._policy.greeted(self)
        except FileTransferError as error:
            self.end(error)
            return
        if answer:
            self._write(self.conversation.welcome())

    def _heard_in_exchange(self, number: int, message: Message) -> None:
        participant = self._participants.get(number)
        if participant is not None:
            participant.heard(message)
            if isinstance(participant, Nobody):
                self.leave(number)
        elif isinstance(message, Opening):
            self._policy.begun(self, message)

    def _offer_socket(self, received: int) -> None:
        """Where much comes fast, let a thread take what is to come of it off the socket."""
        if received < _FAST or self._readers_paused or self._ending is not None:
            return
        if not can_recvfile(self.transport):
            return
        exchange, left = self.conversation.data_to_come
        with suppress(OSError):  # no descriptor is left: it comes through the transport, as ever
            if left:
                self._offer_body(exchange, SocketBody(self.transport, left))
            elif self.conversation.amid_message and self.parcel_taker is not None:
                self._offer_messages(self.parcel_taker)

    def _offer_body(self, exchange: int, waiting: SocketBody) -> None:
        self.pause_reading()
        if not self._participants.get(exchange, _NOBODY).socket_offered(waiting):
            self.socket_returned(waiting)

    def _offer_messages(self, taker: ParcelTaker) -> None:
        if not taker.may_be_offered:
            return
        limit = self.conversation.limits.message
        waiting = SocketMessages(self.transport, limit)
        waiting.begin(self.conversation.let_go_of_message())
        self.pause_reading()
        taker.messages_offered(waiting)

    def heard_on_socket(
        self, messages: Sequence[Message], is_taken: Callable[[Message], bool]
    ) -> bool:
        """These were taken off the socket by whoever it was offered to.

        :param is_taken: whether that one goes on with a message itself
        :returns: whether the connection goes on
        """
        self._taken = True
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

    def messages_returned(self, waiting: SocketMessages) -> None:
        """Whoever took messages off the socket has done so, and gives the rest back."""
        waiting.close()
        if rest := waiting.rest:
            self.dataReceived(rest)
        self.resume_reading()

    def socket_returned(self, waiting: SocketBody) -> None:
        """Whoever took bytes off the socket has done so, and gives the rest back."""
        waiting.close()
        self.conversation.data_came(waiting.left)
        if waiting.received:
            self._taken = True
        if waiting.header:
            self.dataReceived(bytes(waiting.header))
        self.resume_reading()

    # -- saying --------------------------------------------------------------------------

    def open(self, participant: Participant) -> int:
        """A number for a new exchange, in which ``participant`` will hear the answers."""
        number = self.conversation.open()
        self.take_part(number, participant)
        return number

    def take_part(self, number: int, participant: Participant) -> None:
        """From here on ``participant`` hears what is said in exchange ``number``."""
        self._participants[number] = participant
        self._begin_telling()

    def say(self, message: Message) -> None:
        """Send a message; the failure that ended the connection where it is over."""
        if self._ending is not None:
            raise self._ending
        self._write(self.conversation.say(message))
        self._grant_turn()
        self._watch()

    def body_turn(self, exchange: int) -> Deferred[None]:
        """Fires when the bodies before this one are through: bodies go one after another."""
        turn = self._turns[exchange] = Deferred()
        self._grant_turn()
        return turn

    def _grant_turn(self) -> None:
        for exchange in [each for each in self._turns if self.conversation.may_send_body(each)]:
            self._turns.pop(exchange).callback(None)

    def send_data(self, exchange: int, piece: bytes) -> None:
        """Send a piece of a body, as one DATA frame."""
        if self._ending is not None:
            raise self._ending
        header = self.conversation.data_header(exchange, len(piece))
        (self._tls or self.transport).writeSequence((header, piece))

    async def lend_socket(self, exchange: int, write: Callable[[SocketFrames], None]) -> bool:
        """Have a thread write DATA frames of ``exchange``, and lend it the socket for that.

        What is said meanwhile is held back, and has the thread begin no other frame.

        :returns: False, where there is no descriptor left to lend
        """
        await self._emptied()
        self.conversation.data_goes(exchange)
        try:
            self._lent = lent = SocketFrames(self.transport)
        except OSError:
            return False
        try:
            await self.in_thread(write, lent)
        finally:
            self._lent = None
            lent.close()
            held_back, self._held_back = self._held_back, b""
            self.transport.writeSequence((*lent.rest, held_back))
            self._let_writers()
        if self._ending is not None:
            raise self._ending
        return True

    async def _emptied(self) -> None:
        """Wait until the transport has nothing left to send, and the socket takes something."""
        await self.writable()
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, False)  # it asks a pull producer when all is sent
        self.pauseProducing()
        self.transport.startWriting()
        asked: Deferred[None] = Deferred(self._forget_writer)
        self._writers.appendleft(asked)
        await asked
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)

    async def pace(self, limit: RateLimit | None, size: int) -> None:
        """Wait as long as ``limit`` demands of who has just moved ``size`` bytes."""
        if limit is not None:
            wait = limit.take(size, self.runtime.now())
            if wait > 0:
                await self.runtime.sleep(wait)

    def writable(self) -> Deferred[None]:
        """Fires when the transport takes more."""
        ready: Deferred[None] = Deferred(self._forget_writer)
        if self._ending is not None:
            ready.errback(self._ending)
        elif self._choked or self._lent is not None:
            self._writers.append(ready)
        else:
            ready.callback(None)
        return ready

    def leave(self, exchange: int) -> Deferred[None]:
        """The participant wants to hear nothing more; what may still come is passed over.

        Fires when the other side has said its last word in the exchange.
        """
        known = self._participants.pop(exchange, None)
        left = known if isinstance(known, Nobody) else Nobody()
        if self._ending is not None or self.conversation.state_of(exchange) is State.ENDED:
            left.over.callback(None)
        else:
            self._participants[exchange] = left
        self._watch()
        return left.over

    def _forget_writer(self, ready: Deferred[None]) -> None:
        if ready in self._writers:
            self._writers.remove(ready)

    def _let_writers(self) -> None:
        """Let those write who wait for it, as long as the transport takes more."""
        while self._writers and not self._choked and self._lent is None:
            self._writers.popleft().callback(None)

    def _release_writers(self, error: FileTransferError) -> None:
        """Nobody who waits to write will get to it."""
        if self._lent is not None:
            self._lent.stop()
        waiting = [*self._writers, *self._turns.values()]
        self._writers.clear()
        self._turns.clear()
        for each in waiting:
            each.errback(error)

    def _write(self, data: bytes) -> None:
        """Send a message; behind a thread's frames, where one has the socket."""
        if self._lent is None:
            (self._tls or self.transport).write(data)
        else:
            self._held_back += data
            self._want_socket()

    def _want_socket(self) -> None:
        """Have it given back at the end of a frame, where it is lent."""
        if self._lent is not None:
            self._lent.end_soon()

    # -- threads, and whose turn it is ---------------------------------------------------

    def in_thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """Call what may block; meanwhile the other side is told that work goes on."""
        self._jobs += 1

        def done(result: T) -> T:
            self._jobs -= 1
            return result

        return self.runtime.in_thread(function, *args).addBoth(done)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Meanwhile the other side is told that work goes on, whoever's turn it may seem to be."""
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1

    def _begin_telling(self) -> None:
        """While exchanges are under way, tell the other side three times in its patience."""
        if not self._working.running and not self._lost and self.conversation.is_open:
            self._working.start(self.conversation.peer_limits.silence / 3, now=False)

    def _tell_working(self) -> None:
        """Say Working where we work, or take a body, or a message: slowly, for all they know."""
        idle = self.conversation.idle and not self.conversation.amid_message
        if idle or self._ending is not None:
            self._working.stop()
        elif self._jobs or self._readers_paused or self._taken:
            self._taken = False
            self._write(self.conversation.say(Working()))

    def pause_reading(self) -> None:
        """Take nothing more off the transport until ``resume_reading``; calls are counted."""
        self._readers_paused += 1
        if self._readers_paused == 1:
            self.transport.pauseProducing()
            self._watch()

    def resume_reading(self) -> None:
        """The counterpart of ``pause_reading``."""
        self._readers_paused -= 1
        if not self._readers_paused and not self._lost:
            self.transport.resumeProducing()
            self._watch()

    @property
    def _patience(self) -> int:
        """Seconds to wait for the other side; a stranger has less."""
        silence = self.conversation.limits.silence
        return silence if self.conversation.is_open else min(silence, _GREETING)

    def _watch(self) -> None:
        """Let the time run while it is the other side's turn, and only then."""
        waiting = self._choked or (self.conversation.awaits_peer and not self._readers_paused)
        wanted = self._patience if waiting and not self._lost else None
        if wanted != self.timeOut:
            self.setTimeout(wanted)

    # -- the end -------------------------------------------------------------------------

    def end(self, error: FileTransferError) -> None:
        """Say a last word, and close the connection for the reason ``error``."""
        if self._ending is not None:
            return
        if isinstance(error, WrongProtocol):
            self._write(error.answer if self.side is Side.SERVER else b"")
        else:
            self._write(self.conversation.refuse_connection(error.code, error.text))
        self._leave(error)

    def close(self) -> None:
        """Close the connection, as nothing more is wanted of it."""
        self._leave(ConnectionFailed("the connection was closed on this side"))

    def _leave(self, error: FileTransferError) -> None:
        """Close, without waiting for a peer that doesn't read."""
        if self._ending is not None:
            return
        self._ending = error
        amid_frame = self._lent is not None
        self._release_writers(error)
        self.setTimeout(None)
        self.transport.unregisterProducer()
        if self._choked or amid_frame:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()
            self._dropping = self.runtime.clock.callLater(
                _LAST_WORD, self.transport.abortConnection
            )


RECEIVE_SIZE = 1 << 19
"""Bytes taken off a socket at once, at most: fewer and larger pieces for Inflow to write."""
_SEND_SIZE = 1 << 20
"""Bytes given to a socket at once, at most: a whole parcel, where Twisted gives an eighth of it."""
_FAST = 1 << 16
"""Bytes that came at once, where a body comes fast."""
_GREETING = 10
"""Seconds in which a peer has to greet."""
_LAST_WORD = 5.0
"""Seconds that a peer has to take the last word off the connection."""
