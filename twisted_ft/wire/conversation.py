"""One connection as plain Python: bytes in, events out; messages in, bytes out.

A Conversation puts frames and tables together.  It knows which exchanges are open, that
the client counts them odd and the server even, in which order bodies come and what has to come
before an exchange ends, and it raises ProtocolError for whatever has no place.  It does no I/O and
has no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from twisted_ft.errors import FileTransferError, OverLimit, ProtocolError, UnknownVersion
from twisted_ft.wire.contents import Contents
from twisted_ft.wire.frames import (
    DATA,
    DATA_LIMIT,
    HEADER_SIZE,
    MAGIC,
    FrameReader,
    decode,
    encode,
    header,
)
from twisted_ft.wire.machine import (
    CONNECTION,
    CROSSING,
    Exchange,
    Role,
    State,
    opened_by_peer,
    opened_by_us,
)
from twisted_ft.wire.messages import (
    LEAST_MESSAGE,
    Accept,
    Data,
    Hello,
    Limits,
    Message,
    Offer,
    Parcel,
    Refuse,
    Welcome,
    exchange_of,
    sayable,
)

VERSIONS = (1,)
"""The versions of the protocol that are spoken here, the preferred one first."""
NO_SYNC = "no-sync"
"""The feature of a side to which what it sends needn't be durable when its Receipt comes."""
PARTIAL_LISTINGS = "partial"
"""The feature of a server that lists what it keeps of transfers that were cut off."""
STREAMS = "streams"
"""The feature of a side that takes files of unknown size."""
DEFAULT_LIMITS = Limits(message=1 << 20, exchanges=64, silence=60)
_UNTOLD_LIMITS = Limits(message=LEAST_MESSAGE, exchanges=1, silence=60)
"""What a peer is held to take before it has said so."""


class Side(Enum):
    """Which end of the connection this is; the value is its first exchange number."""

    CLIENT = 1
    SERVER = 2


class Conversation:
    """What has been said on one connection, and what may be said next.

    :param side: CLIENT for the end that connected
    :param agent: the name and version of this program, for the other side's log
    :param limits: what this end takes, and announces
    :param features: what this end announces beside its version: NO_SYNC
    """

    def __init__(
        self,
        side: Side,
        agent: str,
        limits: Limits = DEFAULT_LIMITS,
        features: tuple[str, ...] = (),
    ) -> None:
        self.side = side
        self.limits = limits
        self.peer_limits = _UNTOLD_LIMITS
        self.peer_agent = ""
        self.peer_features: tuple[str, ...] = ()
        self.failure: FileTransferError | None = None
        """why nothing more is said or heard, once the connection is over"""
        self._agent, self._features = agent, features
        self._frames = FrameReader(limits.message)
        role = Role.CLIENT if side is Side.CLIENT else Role.SERVER
        self._connection = Exchange(0, CONNECTION, role, Contents())
        self._exchanges: dict[int, Exchange] = {}
        self._next_number = side.value
        self._last = {Side.CLIENT: 0, Side.SERVER: 0}
        self._version = VERSIONS[0]
        self._magic_sent = False
        self._incoming_bodies: list[int] = []
        self._outgoing_bodies: list[int] = []

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
    def may_open(self) -> bool:
        """Whether the other side has room for one more exchange of this side's."""
        return self._under_way(self.side) < self.peer_limits.exchanges

    def may_send_body(self, exchange: int) -> bool:
        """Whether it is this exchange's turn to send data; bodies go in the Accepts' order."""
        return bool(self._outgoing_bodies) and self._outgoing_bodies[0] == exchange

    def may_say(self, exchange: int, word: type[Message]) -> bool:
        """Whether this side may say ``word`` in an exchange that is under way."""
        known = self._exchanges.get(exchange)
        return self.is_open and known is not None and known.may_say(word)

    def body_left(self, exchange: int) -> int:
        """Bytes of an exchange's body that haven't gone, or come; before the Accept, all of it."""
        known = self._exchanges.get(exchange)
        return known.contents.left if known is not None else 0

    def state_of(self, exchange: int) -> State:
        """The state of an exchange; ENDED for one that is over."""
        known = self._exchanges.get(exchange)
        return known.state if known is not None else State.ENDED

    @property
    def awaited_body(self) -> int:
        """The exchange of whose body the other side is to send more; 0, where there is none."""
        if not self._incoming_bodies:
            return 0
        number = self._incoming_bodies[0]
        return number if self._exchanges[number].contents.left else 0

    def is_stream(self, exchange: int) -> bool:
        """Whether the file of an exchange is of unknown size."""
        known = self._exchanges.get(exchange)
        return known is not None and known.contents.is_stream

    def kept_of(self, exchange: int) -> int:
        """Bytes that the receiver had of a file, from an earlier run, when its body began."""
        known = self._exchanges.get(exchange)
        return known.contents.offset if known is not None else 0

    # -- the end -------------------------------------------------------------------------

    def lost(self, error: FileTransferError) -> None:
        """The connection is over, and with it every exchange; what is tried fails with ``error``.

        Only the first call counts.
        """
        if self.failure is None:
            self.failure = error
            self._connection.state = State.ENDED
            self._exchanges.clear()
            self._incoming_bodies.clear()
            self._outgoing_bodies.clear()

    # -- saying --------------------------------------------------------------------------

    def hello(self) -> bytes:
        """The client's first bytes."""
        return self.say(Hello(VERSIONS, self._agent, self._features, self.limits))

    def open(self) -> int:
        """A number for a new exchange of this side's."""
        number, self._next_number = self._next_number, self._next_number + 2
        return number

    def say(self, message: Message) -> bytes:
        """The bytes that say ``message``; a text in it that is too long is cut.

        :raises OverLimit: it is longer than the other side takes, or opens one exchange too many
        :raises ProtocolError: it may not be said now, or a field is out of bounds; as if it
            hadn't been tried, anything else may still be said
        """
        if self.failure is not None:
            raise self.failure
        message = sayable(message)
        frame = encode(message, self.peer_limits.message)
        if not isinstance(message, Parcel):  # made of what was found here, and large
            decode(frame[HEADER_SIZE:])
        exchange = self._under_way_of(message) or self._new_own(message)
        state = exchange.after_saying(type(message))
        self._place(exchange, message, state, self._outgoing_bodies, self._incoming_bodies)
        if self._magic_sent:
            return frame
        self._magic_sent = True
        return MAGIC + frame

    def data_header(self, exchange: int, length: int) -> bytes:
        """The header of a DATA frame of ``exchange``.

        ``length`` bytes of its body must follow, before anything else is sent.
        """
        if not 0 < length <= DATA_LIMIT:
            raise ValueError(f"a DATA frame has 1 to {DATA_LIMIT} bytes, not {length}")
        self.data_goes(exchange, length)
        return header(DATA, length)

    def data_goes(self, exchange: int, size: int) -> None:
        """``size`` bytes of a body are put onto the stream by other means, in whole DATA frames."""
        if self.failure is not None:
            raise self.failure
        if not self.may_send_body(exchange):
            raise ProtocolError(f"it is not the turn of exchange {exchange} to send data")
        sending = self._exchanges[exchange]
        state = sending.after_saying(Data)
        sending.contents.add_data(size)
        sending.state = state

    # -- hearing -------------------------------------------------------------------------

    def receive(self, data: bytes | memoryview) -> Iterator[Message | Data]:
        """Each message, and each piece of a body, in ``data``, once it has its place.

        It may be gone on with later; what is lost meanwhile has no place any more.
        """
        for event in self._frames.receive(data):
            if self.failure is not None:
                return
            if isinstance(event, (bytes, memoryview)):
                yield self._data(event)
            else:
                message: Message = event
                if self.hear(message):
                    yield message

    def _data(self, content: bytes | memoryview) -> Data:
        if not self._incoming_bodies:
            raise ProtocolError("data that belongs to no exchange")
        number = self._incoming_bodies[0]
        coming = self._exchanges[number]
        coming.state = coming.after_hearing(Data)
        coming.contents.add_data(len(content))
        return Data(number, content)

    @property
    def data_to_come(self) -> tuple[int, int]:
        """The exchange of the DATA frame under way, and the bytes still to come of it.

        Zeros, where no frame is under way.
        """
        left = self._frames.data_left
        return (self._incoming_bodies[0], left) if left and self._incoming_bodies else (0, 0)

    @property
    def amid_message(self) -> bool:
        """Whether a part of a message has come, and not all of it."""
        return self._frames.amid_message

    def let_go_of_message(self) -> bytes:
        """What has come of the message under way, which is taken off the stream by other means.

        Messages that are, are given to ``hear``; and what is left over, to ``receive``.
        """
        return self._frames.let_go()

    def data_came(self, received: int, left: int) -> None:
        """More of the body was taken off the stream by other means, this frame and whole ones.

        :param received: bytes of the body
        :param left: bytes still to come of the DATA frame under way
        """
        self._frames.data_came(left)
        if self._incoming_bodies:
            self._exchanges[self._incoming_bodies[0]].contents.add_data(received)

    def hear(self, message: Message) -> bool:
        """Give a message its place; False for one that crossed the end of its exchange."""
        if self.failure is not None:
            return False
        exchange = self._under_way_of(message)
        if exchange is None:
            if self._crossed(message):
                return False
            exchange = self._new_peers(message)
        state = exchange.after_hearing(type(message))
        self._place(exchange, message, state, self._incoming_bodies, self._outgoing_bodies)
        if isinstance(message, (Hello, Welcome)):
            self._be_greeted(message)
        return True

    def welcome(self) -> bytes:
        """The server's answer to a Hello."""
        return self.say(Welcome(self._version, self._agent, self._features, self.limits))

    def refuse_connection(self, code: str, text: str) -> bytes:
        """A last word, in exchange 0; nothing, where the connection has ended already."""
        if (self._connection.role, Refuse) not in CONNECTION[self._connection.state]:
            return b""
        return self.say(Refuse(0, code, text))

    # -- bookkeeping ---------------------------------------------------------------------

    def _opener(self, number: int) -> Side:
        return Side.CLIENT if number % 2 == Side.CLIENT.value % 2 else Side.SERVER

    def _under_way(self, opener: Side) -> int:
        return sum(self._opener(number) is opener for number in self._exchanges)

    def _under_way_of(self, message: Message) -> Exchange | None:
        """The exchange that a message belongs to, where it is under way."""
        number = exchange_of(message)
        if number and not self.is_open:
            raise ProtocolError(f"{type(message).__name__} while the connection isn't open")
        return self._exchanges.get(number) if number else self._connection

    def _crossed(self, message: Message) -> bool:
        """Whether a message was said before the other side knew that its exchange was over."""
        number = exchange_of(message)
        if number > self._last[self._opener(number)] or type(message) not in CROSSING:
            return False
        return self._opener(number) is self.side or not isinstance(message, Offer)

    def _new_own(self, message: Message) -> Exchange:
        number = exchange_of(message)
        self._check_new(number, self.side, message)
        if not self.may_open:
            raise OverLimit(
                f"the other side allows at most {self.peer_limits.exchanges} exchanges at once"
            )
        return opened_by_us(number, type(message))

    def _new_peers(self, message: Message) -> Exchange:
        number = exchange_of(message)
        peer = Side.SERVER if self.side is Side.CLIENT else Side.CLIENT
        self._check_new(number, peer, message)
        if self._under_way(peer) >= self.limits.exchanges:
            raise OverLimit(f"more than {self.limits.exchanges} exchanges at once")
        return opened_by_peer(number, type(message))

    def _check_new(self, number: int, opener: Side, message: Message) -> None:
        """Each side opens its own numbers, in rising order."""
        word = type(message).__name__
        if number <= self._last[self._opener(number)]:
            raise ProtocolError(f"{word} in exchange {number}, which is over")
        if self._opener(number) is not opener:
            raise ProtocolError(f"{word} in exchange {number}, which was never opened")

    def _place(
        self,
        exchange: Exchange,
        message: Message,
        state: State,
        speakers: list[int],
        hearers: list[int],
    ) -> None:
        """A message has its place, if what is in it adds up: its exchange goes on to ``state``."""
        exchange.contents.add(message)
        if isinstance(message, Parcel):
            self._count_in_tree(exchange, message)
        number = exchange.number
        if number and exchange.state is State.START:
            self._last[self._opener(number)] = number
            self._exchanges[number] = exchange
        exchange.state = state
        self._note_bodies(exchange, message, speakers, hearers)

    def _count_in_tree(self, exchange: Exchange, parcel: Parcel) -> None:
        """A parcel of a tree that is under way, from the side that sends it, is a part of it."""
        tree = self._exchanges.get(parcel.fetch)
        if tree is not None and tree.state is State.FETCHING and tree.role is exchange.role:
            tree.contents.add(parcel)

    def _note_bodies(
        self,
        exchange: Exchange,
        message: Message,
        speakers: list[int],
        hearers: list[int],
    ) -> None:
        """Keep the order of bodies: an Accept queues one from its hearer, the end takes it out."""
        number = exchange.number
        if isinstance(message, Accept):
            hearers.append(number)
        if exchange.state in (State.VERIFYING, State.ENDED) and number in speakers:
            speakers.remove(number)
        if exchange.state is State.ENDED:
            self._exchanges.pop(number, None)

    def _be_greeted(self, greeting: Hello | Welcome) -> None:
        """Settle on the version that the client prefers and both speak."""
        offered = greeting.versions if isinstance(greeting, Hello) else (greeting.version,)
        common = [each for each in offered if each in VERSIONS]
        if not common:
            raise UnknownVersion(
                f"the other side speaks version {_spoken(offered)} of the protocol, "
                f"this one {_spoken(VERSIONS)}"
            )
        self._version = common[0]
        self.peer_limits, self.peer_agent = greeting.limits, greeting.agent
        self.peer_features = greeting.features


def _spoken(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions)) or "none"
