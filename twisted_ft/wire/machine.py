"""All state of the protocol, as tables.

An exchange is a conversation of two roles about one thing.  For each kind of exchange one
table says, for every state, who may say what, and which state that leads to:
``{state: {(role, word): next state}}``.  Both ends keep the same table, each from its own
role, so a transfer is the same exchange whichever side sends.  What is not in the table is
a protocol error.

The tables are the one source: the pictures in ``docs/protocol.md`` are generated from them
(``tests/test_pictures.py`` says whether they are current).
"""

from __future__ import annotations

from enum import Enum

import msgspec

from twisted_ft.errors import ProtocolError
from twisted_ft.wire.contents import Contents, contents_of
from twisted_ft.wire.messages import (
    Abort,
    Accept,
    Changed,
    Data,
    Done,
    End,
    Entries,
    Fetch,
    Get,
    Hello,
    List,
    MakeFolder,
    Message,
    More,
    Offer,
    Parcel,
    Receipt,
    Receipts,
    Refuse,
    Remove,
    Rename,
    Welcome,
    Working,
)


class Role(Enum):
    """Who speaks."""

    CLIENT = "client"
    SERVER = "server"
    SENDER = "sender"
    RECEIVER = "receiver"
    ASKER = "asker"
    ANSWERER = "answerer"


class State(Enum):
    """Where an exchange is; ``TURN`` says who has to speak next."""

    START = "Nothing has been said."
    GREETED = "The client has said hello, and waits for the server's welcome."
    OPEN = "Both have greeted; exchanges can be opened."
    ASKED = "The receiver has asked for a file, and waits for the offer."
    OFFERED = "The sender has said name and size, and waits to hear where to go on from."
    BODY = "The data is on its way."
    STOPPING = "The receiver wants no more of the data; what is under way is passed over."
    VERIFYING = "All data is sent; the receiver verifies, syncs and publishes it."
    LISTING = "Entries are on their way."
    LISTED = "Some entries have come; the asker says when it takes more."
    FETCHING = "A tree is on its way, in parcels, which are exchanges of their own."
    UNPACKING = "The receiver verifies, syncs and publishes what is in the parcel."
    CHANGING = "The answerer makes the change that was asked for."
    ENDED = "Nothing more is said."


Word = type[Message] | type[Data]
Table = dict[State, dict[tuple[Role, Word], State]]

_CLIENT, _SERVER = Role.CLIENT, Role.SERVER
_SENDER, _RECEIVER = Role.SENDER, Role.RECEIVER
_ASKER, _ANSWERER = Role.ASKER, Role.ANSWERER

CONNECTION: Table = {
    State.START: {
        (_CLIENT, Hello): State.GREETED,
        (_SERVER, Refuse): State.ENDED,
    },
    State.GREETED: {
        (_SERVER, Welcome): State.OPEN,
        (_SERVER, Refuse): State.ENDED,
        (_CLIENT, Refuse): State.ENDED,
    },
    State.OPEN: {
        (_CLIENT, Working): State.OPEN,
        (_SERVER, Working): State.OPEN,
        (_CLIENT, Refuse): State.ENDED,
        (_SERVER, Refuse): State.ENDED,
    },
    State.ENDED: {},
}

TRANSFER: Table = {
    State.START: {
        (_RECEIVER, Get): State.ASKED,
        (_SENDER, Offer): State.OFFERED,
    },
    State.ASKED: {
        (_SENDER, Offer): State.OFFERED,
        (_SENDER, Abort): State.ENDED,
        (_RECEIVER, Refuse): State.ENDED,
    },
    State.OFFERED: {
        (_RECEIVER, Accept): State.BODY,
        (_RECEIVER, Refuse): State.ENDED,
        (_SENDER, Abort): State.ENDED,
    },
    State.BODY: {
        (_SENDER, Data): State.BODY,
        (_SENDER, Done): State.VERIFYING,
        (_SENDER, Abort): State.ENDED,
        (_RECEIVER, Refuse): State.STOPPING,
    },
    State.STOPPING: {
        (_SENDER, Data): State.STOPPING,
        (_SENDER, Done): State.ENDED,
        (_SENDER, Abort): State.ENDED,
    },
    State.VERIFYING: {
        (_RECEIVER, Receipt): State.ENDED,
        (_RECEIVER, Refuse): State.ENDED,
    },
    State.ENDED: {},
}

LISTING: Table = {
    State.START: {(_ASKER, List): State.LISTING},
    State.LISTING: {
        (_ANSWERER, Entries): State.LISTED,
        (_ANSWERER, End): State.ENDED,
        (_ANSWERER, Refuse): State.ENDED,
    },
    State.LISTED: {
        (_ASKER, More): State.LISTING,
        (_ASKER, Refuse): State.ENDED,
        (_ANSWERER, End): State.ENDED,
    },
    State.ENDED: {},
}

FETCH: Table = {
    State.START: {(_RECEIVER, Fetch): State.FETCHING},
    State.FETCHING: {
        (_SENDER, End): State.ENDED,
        (_SENDER, Abort): State.ENDED,
        (_RECEIVER, Refuse): State.ENDED,
    },
    State.ENDED: {},
}

PARCEL: Table = {
    State.START: {(_SENDER, Parcel): State.UNPACKING},
    State.UNPACKING: {
        (_RECEIVER, Receipts): State.ENDED,
        (_RECEIVER, Refuse): State.ENDED,
    },
    State.ENDED: {},
}

CHANGE: Table = {
    State.START: {
        (_ASKER, MakeFolder): State.CHANGING,
        (_ASKER, Rename): State.CHANGING,
        (_ASKER, Remove): State.CHANGING,
    },
    State.CHANGING: {
        (_ANSWERER, Changed): State.ENDED,
        (_ANSWERER, Refuse): State.ENDED,
    },
    State.ENDED: {},
}

TABLES: dict[str, Table] = {
    "connection": CONNECTION,
    "transfer": TRANSFER,
    "listing": LISTING,
    "fetch": FETCH,
    "parcel": PARCEL,
    "change": CHANGE,
}

CROSSING: frozenset[Word] = frozenset({Offer, Accept, Refuse, Abort, More, End})
"""What may still come in an exchange that has ended here, and is passed over: it was said
before the other side knew."""

TURN: dict[State, Role] = {
    State.START: Role.CLIENT,
    State.GREETED: Role.SERVER,
    State.ASKED: Role.SENDER,
    State.OFFERED: Role.RECEIVER,
    State.BODY: Role.SENDER,
    State.STOPPING: Role.SENDER,
    State.VERIFYING: Role.RECEIVER,
    State.LISTING: Role.ANSWERER,
    State.LISTED: Role.ASKER,
    State.FETCHING: Role.SENDER,
    State.UNPACKING: Role.RECEIVER,
    State.CHANGING: Role.ANSWERER,
}
"""Whose turn it is; in OPEN and ENDED nobody waits."""

_COUNTERPART = {
    _CLIENT: _SERVER,
    _SERVER: _CLIENT,
    _SENDER: _RECEIVER,
    _RECEIVER: _SENDER,
    _ASKER: _ANSWERER,
    _ANSWERER: _ASKER,
}

OPENINGS: dict[Word, tuple[Table, Role]] = {
    word: (table, role)
    for table in (TRANSFER, LISTING, FETCH, PARCEL, CHANGE)
    for role, word in table[State.START]
}


class Exchange(msgspec.Struct):
    """One exchange as one end sees it: which table, in which role, what it brings, and where it
    stands."""

    number: int
    table: Table
    role: Role
    contents: Contents
    state: State = State.START

    @property
    def awaits_peer(self) -> bool:
        """Whether it is the other side's turn."""
        return TURN.get(self.state) is _COUNTERPART[self.role]

    def may_say(self, word: Word) -> bool:
        """Whether this end may say ``word`` now."""
        return (self.role, word) in self.table[self.state]

    def after_saying(self, word: Word) -> State:
        """The state once this end has said ``word``; ProtocolError where its role may not, here."""
        return self._after(self.role, word)

    def after_hearing(self, word: Word) -> State:
        """The state once the other end has said ``word``; ProtocolError where it may not, here."""
        return self._after(_COUNTERPART[self.role], word)

    def _after(self, speaker: Role, word: Word) -> State:
        try:
            return self.table[self.state][speaker, word]
        except KeyError:
            raise ProtocolError(
                f"{word.__name__} from the {speaker.value} of exchange {self.number} "
                f"is out of place: {self.state.value}"
            ) from None


def opened_by_us(number: int, word: Word) -> Exchange:
    """A new exchange that this end opens with ``word``, in the role that may."""
    table, role = _opening(word)
    return Exchange(number, table, role, contents_of(word))


def opened_by_peer(number: int, word: Word) -> Exchange:
    """A new exchange that the other end opens with ``word``: this end has the other role."""
    table, role = _opening(word)
    return Exchange(number, table, _COUNTERPART[role], contents_of(word))


def _opening(word: Word) -> tuple[Table, Role]:
    try:
        return OPENINGS[word]
    except KeyError:
        raise ProtocolError(f"{word.__name__} can't open an exchange") from None
