"""One connection as plain Python: bytes in, events out; messages in, bytes out.

A Conversation puts frames and tables together.  It knows which exchanges are open, that
the client counts them odd and the server even, in which order bodies come, and it raises
ProtocolError for whatever has no place.  It does no I/O and has no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum

from twisted_ft.errors import OverLimit, ProtocolError, UnknownVersion
from twisted_ft.wire.frames import DATA, DATA_LIMIT, MAGIC, FrameReader, encode, header
from twisted_ft.wire.machine import CONNECTION, Exchange, Role, State, opened_by_peer, opened_by_us
from twisted_ft.wire.messages import (
    Accept,
    Data,
    Hello,
    Limits,
    Message,
    Refuse,
    Welcome,
    exchange_of,
)

VERSIONS = (1,)
"""The versions of the protocol that are spoken here, the preferred one first."""
DEFAULT_LIMITS = Limits(message=1 << 20, exchanges=64, silence=60)

_New = Callable[[int, Message], Exchange]


class Side(Enum):
    """Which end of the connection this is; the value is its first exchange number."""

    CLIENT = 1
    SERVER = 2


class Conversation:
    """What has been said on one connection, and what may be said next.

    :param side: CLIENT for the end that connected
    :param agent: the name and version of this program, for the other side's log
    :param limits: what this end takes, and announces
    """

    def __init__(self, side: Side, agent: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self.side = side
        self.limits = limits
        self.peer_limits = DEFAULT_LIMITS
        self.peer_agent = ""
        self._agent = agent
        self._frames = FrameReader(limits.message)
        role = Role.CLIENT if side is Side.CLIENT else Role.SERVER
        self._connection = Exchange(0, CONNECTION, role)
        self._exchanges: dict[int, Exchange] = {}
        self._next_number = side.value
        self._peer_last = 0
        self._magic_sent = False
        self._incoming_bodies: deque[int] = deque()
        self._outgoing_bodies: deque[int] = deque()

    # -- what is known -------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether both sides have greeted and neither has ended it."""
        return self._connection.state is State.OPEN

    @property
    def idle(self) -> bool:
        """Whether no exchange is under way."""
        return not self._exchanges

    @property
    def awaits_peer(self) -> bool:
        """Whether anything waits for the other side to speak."""
        return self._connection.awaits_peer or any(
            each.awaits_peer for each in self._exchanges.values()
        )

    @property
    def amid_frame(self) -> bool:
        """Whether the stream, should it end here, ends inside a frame."""
        return self._frames.amid_frame

    def may_send_body(self, exchange: int) -> bool:
        """Whether it is this exchange's turn to send data: bodies go in the order of the Accepts."""
        return bool(self._outgoing_bodies) and self._outgoing_bodies[0] == exchange

    def state_of(self, exchange: int) -> State:
        """The state of an exchange; ENDED for one that is over."""
        known = self._exchanges.get(exchange)
        return known.state if known is not None else State.ENDED

    # -- saying --------------------------------------------------------------------------

    def hello(self) -> bytes:
        """The client's first bytes."""
        return self.say(Hello(VERSIONS, self._agent, (), self.limits))

    def open(self) -> int:
        """A number for a new exchange of this side's."""
        number, self._next_number = self._next_number, self._next_number + 2
        return number

    def say(self, message: Message) -> bytes:
        """The bytes that say ``message``; ProtocolError where it may not be said now."""
        frame = encode(message, self.peer_limits.message)
        exchange = self._exchange_for(message, self._own)
        exchange.says(type(message))
        self._note_bodies(exchange, message, self._outgoing_bodies, self._incoming_bodies)
        if self._magic_sent:
            return frame
        self._magic_sent = True
        return MAGIC + frame

    def data_header(self, exchange: int, length: int) -> bytes:
        """The header of a DATA frame of ``exchange``; ``length`` bytes of its body must follow."""
        if not 0 < length <= DATA_LIMIT:
            raise ValueError(f"a DATA frame has 1 to {DATA_LIMIT} bytes, not {length}")
        if not self.may_send_body(exchange):
            raise ProtocolError(f"it is not the turn of exchange {exchange} to send data")
        self._exchanges[exchange].says(Data)
        return header(DATA, length)

    # -- hearing -------------------------------------------------------------------------

    def receive(self, data: bytes) -> Iterator[Message | Data]:
        """Each message, and each piece of a body, in ``data``, once it has its place."""
        for event in self._frames.receive(data):
            if isinstance(event, (bytes, memoryview)):
                yield self._data(event)
            else:
                message: Message = event
                if self._hear(message):
                    yield message

    def _data(self, content: bytes | memoryview) -> Data:
        if not self._incoming_bodies:
            raise ProtocolError("data that belongs to no exchange")
        number = self._incoming_bodies[0]
        self._exchanges[number].hears(Data)
        return Data(number, content)

    def _hear(self, message: Message) -> bool:
        """Give the message its place; False for one that crossed the end of its exchange."""
        number = exchange_of(message)
        if number and not self.is_open:
            raise ProtocolError(f"{type(message).__name__} before the greeting")
        if number and number not in self._exchanges and self._is_over(number):
            return False
        exchange = self._exchange_for(message, self._peers)
        exchange.hears(type(message))
        self._note_bodies(exchange, message, self._incoming_bodies, self._outgoing_bodies)
        if isinstance(message, Hello):
            self._check_version(message)
        if isinstance(message, (Hello, Welcome)):
            self.peer_limits, self.peer_agent = message.limits, message.agent
        return True

    def welcome(self) -> bytes:
        """The server's answer to a Hello."""
        return self.say(Welcome(VERSIONS[0], self._agent, (), self.limits))

    def refuse_connection(self, code: str, text: str) -> bytes:
        """A last word, in exchange 0; nothing, where the connection has ended already."""
        if (self._connection.role, Refuse) not in CONNECTION[self._connection.state]:
            return b""
        return self.say(Refuse(0, code, text))

    # -- bookkeeping ---------------------------------------------------------------------

    def _is_over(self, number: int) -> bool:
        last = self._next_number - 2 if self._is_own(number) else self._peer_last
        return number <= last

    def _is_own(self, number: int) -> bool:
        return number % 2 == self.side.value % 2

    def _exchange_for(self, message: Message, new: _New) -> Exchange:
        number = exchange_of(message)
        if not number:
            return self._connection
        return self._exchanges.get(number) or new(number, message)

    def _own(self, number: int, message: Message) -> Exchange:
        exchange = opened_by_us(number, type(message))
        self._exchanges[number] = exchange
        return exchange

    def _peers(self, number: int, message: Message) -> Exchange:
        if self._is_own(number):
            raise ProtocolError(f"exchange {number} was never opened")
        if len(self._exchanges) >= self.limits.exchanges:
            raise OverLimit(f"more than {self.limits.exchanges} exchanges at once")
        exchange = opened_by_peer(number, type(message))
        self._peer_last = number
        self._exchanges[number] = exchange
        return exchange

    def _note_bodies(
        self,
        exchange: Exchange,
        message: Message,
        speakers: deque[int],
        hearers: deque[int],
    ) -> None:
        """Keep the order of bodies: an Accept queues one from its hearer, the end takes it out."""
        number = exchange.number
        if isinstance(message, Accept):
            hearers.append(number)
        if exchange.state in (State.VERIFYING, State.ENDED) and number in speakers:
            speakers.remove(number)
        if exchange.state is State.ENDED:
            self._exchanges.pop(number, None)

    def _check_version(self, hello: Hello) -> None:
        if not set(VERSIONS) & set(hello.versions):
            raise UnknownVersion(
                f"the client speaks version {_spoken(hello.versions)} of the protocol, "
                f"this server {_spoken(VERSIONS)}"
            )


def _spoken(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions)) or "none"
