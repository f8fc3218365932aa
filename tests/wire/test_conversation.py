"""One connection as plain Python: two conversations that talk to each other, or to a forger."""

from __future__ import annotations

import pytest

from twisted_ft.errors import OverLimit, ProtocolError, UnknownVersion
from twisted_ft.wire.conversation import DEFAULT_LIMITS, Conversation, Side
from twisted_ft.wire.frames import DATA, DATA_LIMIT, MAGIC, MESSAGE, encode, header
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import (
    LEAST_MESSAGE,
    Abort,
    Accept,
    Attributes,
    Changed,
    Data,
    Done,
    End,
    Entries,
    Entry,
    Get,
    Hello,
    Limits,
    List,
    MakeFolder,
    Message,
    Offer,
    Receipt,
    Refuse,
    Remove,
    Rename,
    Welcome,
    Working,
)

DIGEST = b"d" * 32
FILE = Attributes(b"a", 5, 0, 0o644, b"v")
SMALL = Limits(message=LEAST_MESSAGE, exchanges=2, silence=7)


class Pair:
    """A client and a server that have greeted, and whose words arrive at once."""

    def __init__(self, client: Limits = DEFAULT_LIMITS, server: Limits = DEFAULT_LIMITS) -> None:
        self.client = Conversation(Side.CLIENT, "client/1", client)
        self.server = Conversation(Side.SERVER, "server/1", server)
        list(self.server.receive(self.client.hello()))
        list(self.client.receive(self.server.welcome()))

    def c(self, *messages: Message) -> list[Message | Data]:
        """The client says something: what the server makes of it."""
        return [each for m in messages for each in self.server.receive(self.client.say(m))]

    def s(self, *messages: Message) -> list[Message | Data]:
        """The server says something: what the client makes of it."""
        return [each for m in messages for each in self.client.receive(self.server.say(m))]

    def c_forged(self, *messages: Message) -> list[Message | Data]:
        """The server hears what the client never said."""
        return [each for m in messages for each in self.server.receive(encode(m))]

    def s_data(self, exchange: int, content: bytes) -> list[Message | Data]:
        """The server sends a piece of a body."""
        head = self.server.data_header(exchange, len(content))
        return list(self.client.receive(head + content))


def asked_for(pair: Pair, *numbers: int) -> None:
    for number in numbers:
        assert pair.client.open() == number
        pair.c(Get(number, b"a"))
        pair.s(Offer(number, FILE))


# -- greeting ------------------------------------------------------------------------------


def test_greeting() -> None:
    client = Conversation(Side.CLIENT, "client/1", SMALL)
    server = Conversation(Side.SERVER, "server/1")
    assert client.awaits_peer is False
    assert server.awaits_peer is True
    hello = client.hello()
    assert hello.startswith(MAGIC)
    assert client.awaits_peer is True
    assert list(server.receive(hello)) == [Hello((1,), "client/1", (), SMALL)]
    assert server.is_open is False
    welcome = server.welcome()
    assert welcome.startswith(MAGIC)
    assert list(client.receive(welcome)) == [Welcome(1, "server/1", (), DEFAULT_LIMITS)]
    assert client.is_open
    assert server.is_open
    assert (server.peer_agent, server.peer_limits) == ("client/1", SMALL)
    assert (client.peer_agent, client.peer_limits) == ("server/1", DEFAULT_LIMITS)
    assert not client.awaits_peer
    assert not server.awaits_peer


def test_the_magic_goes_once() -> None:
    pair = Pair()
    assert not pair.client.say(Working()).startswith(MAGIC)
    assert not pair.server.say(Working()).startswith(MAGIC)


@pytest.mark.parametrize(
    "message",
    [
        Get(1, b"a"),
        Offer(1, FILE),
        List(1, b"", False),
        Accept(1, 0),
        Working(),
        Refuse(1, "x", ""),
    ],
)
def test_before_the_greeting(message: Message) -> None:
    server = Conversation(Side.SERVER, "server/1")
    with pytest.raises(ProtocolError):
        list(server.receive(MAGIC + encode(message)))
    with pytest.raises(ProtocolError):
        Conversation(Side.CLIENT, "client/1").say(message)


def test_before_the_welcome() -> None:
    server = Conversation(Side.SERVER, "server/1")
    list(server.receive(Conversation(Side.CLIENT, "client/1").hello()))
    with pytest.raises(ProtocolError):
        list(server.receive(encode(Get(1, b"a"))))


@pytest.mark.parametrize("greeted", [False, True])
def test_data_in_the_greeting(greeted: bool) -> None:
    server = Conversation(Side.SERVER, "server/1")
    opening = Conversation(Side.CLIENT, "client/1").hello() if greeted else MAGIC
    with pytest.raises(ProtocolError, match="belongs to no exchange"):
        list(server.receive(opening + header(DATA, 1) + b"x"))


def test_two_hellos() -> None:
    with pytest.raises(ProtocolError):
        Pair().c_forged(Hello((1,), "", (), SMALL))


def test_a_client_that_welcomes() -> None:
    server = Conversation(Side.SERVER, "server/1")
    with pytest.raises(ProtocolError):
        list(server.receive(MAGIC + encode(Welcome(1, "", (), SMALL))))


@pytest.mark.parametrize("versions", [(), (0,), (2, 3), tuple(range(2, 66))])
def test_a_client_of_other_versions(versions: tuple[int, ...]) -> None:
    server = Conversation(Side.SERVER, "server/1")
    with pytest.raises(UnknownVersion) as caught:
        list(server.receive(MAGIC + encode(Hello(versions, "", (), SMALL))))
    last_word = server.refuse_connection(caught.value.code, caught.value.text)
    assert last_word.startswith(MAGIC)
    assert b"version" in last_word
    assert server.refuse_connection("again", "") == b""


def test_a_client_that_knows_later_versions_too() -> None:
    server = Conversation(Side.SERVER, "server/1")
    list(server.receive(MAGIC + encode(Hello((3, 1, 2), "", (), SMALL))))
    client = Conversation(Side.CLIENT, "client/1")
    client.hello()
    list(client.receive(server.welcome()))
    assert client.is_open


def test_a_server_of_another_version() -> None:
    client = Conversation(Side.CLIENT, "client/1")
    client.hello()
    with pytest.raises(UnknownVersion):
        list(client.receive(MAGIC + encode(Welcome(2, "", (), SMALL))))
    assert client.refuse_connection("version", "") != b""


# -- numbers -------------------------------------------------------------------------------


def test_the_client_counts_odd_and_the_server_even() -> None:
    pair = Pair()
    assert [pair.client.open() for _ in range(3)] == [1, 3, 5]
    assert [pair.server.open() for _ in range(3)] == [2, 4, 6]


def test_both_sides_can_open() -> None:
    pair = Pair()
    assert pair.c(List(1, b"", False)) == [List(1, b"", False)]
    assert pair.s(Get(2, b"x")) == [Get(2, b"x")]
    assert pair.c(Abort(2, "unsupported", "")) == [Abort(2, "unsupported", "")]
    assert not pair.client.idle
    assert pair.s(End(1, 0)) == [End(1, 0)]
    assert pair.client.idle
    assert pair.server.idle


@pytest.mark.parametrize("ending", [Changed(1, 1), Refuse(1, "busy", "later")])
@pytest.mark.parametrize(
    "change", [MakeFolder(1, b"a"), Rename(1, b"a", b"b"), Remove(1, b"a", True)]
)
def test_a_change_has_one_answer(change: Message, ending: Message) -> None:
    pair = Pair()
    pair.c(change)
    assert pair.client.awaits_peer
    assert not pair.server.awaits_peer
    with pytest.raises(ProtocolError, match="out of place"):
        pair.c(Refuse(1, "cancelled", ""))
    assert pair.s(ending) == [ending]
    assert pair.client.idle
    assert pair.server.idle
    with pytest.raises(ProtocolError, match="is over"):
        pair.s(Changed(1, 1))


@pytest.mark.parametrize("message", [Get(2, b"a"), Accept(2, 0), Refuse(2, "", "")])
def test_a_number_of_the_other_side_that_it_never_opened(message: Message) -> None:
    with pytest.raises(ProtocolError, match="never opened"):
        Pair().c_forged(message)
    with pytest.raises(ProtocolError, match="never opened"):
        Pair().c(message)


@pytest.mark.parametrize(
    "message",
    [Accept(1, 0), Done(1, DIGEST), Entries(1, ()), Abort(1, "", ""), Changed(1, 1)],
)
def test_what_can_open_no_exchange(message: Message) -> None:
    with pytest.raises(ProtocolError, match="can't open"):
        Pair().c_forged(message)
    with pytest.raises(ProtocolError, match="can't open"):
        Pair().c(message)


def test_a_number_may_be_left_out_but_not_made_up_for() -> None:
    pair = Pair()
    pair.c(List(5, b"", False))
    with pytest.raises(ProtocolError, match="is over"):
        pair.c(List(3, b"", False))
    with pytest.raises(ProtocolError, match="is over"):
        pair.c_forged(List(3, b"", False))


@pytest.mark.parametrize("message", [Get(1, b"a"), Offer(1, FILE), List(1, b"", False)])
def test_a_number_is_used_once(message: Message) -> None:
    pair = Pair()
    pair.c(List(1, b"", False))
    with pytest.raises(ProtocolError, match="out of place"):
        pair.c_forged(message)
    pair.s(End(1, 0))
    with pytest.raises(ProtocolError, match="is over"):
        pair.c_forged(message)
    with pytest.raises(ProtocolError, match="is over"):
        pair.c(message)


# -- limits --------------------------------------------------------------------------------


def test_a_limit_on_exchanges() -> None:
    pair = Pair(server=SMALL)
    assert pair.client.may_open
    pair.c(List(1, b"", False), List(3, b"", False))
    assert not pair.client.may_open
    with pytest.raises(OverLimit, match="2 exchanges"):
        pair.c(List(5, b"", False))
    with pytest.raises(OverLimit, match="2 exchanges"):
        pair.c_forged(List(5, b"", False))


def test_an_exchange_that_has_ended_makes_room() -> None:
    pair = Pair(server=SMALL)
    pair.c(List(1, b"", False), List(3, b"", False))
    pair.s(End(1, 0))
    assert pair.client.may_open
    pair.c(List(5, b"", False))


def test_exchanges_are_counted_for_each_side() -> None:
    pair = Pair(client=SMALL, server=SMALL)
    pair.c(List(1, b"", False), List(3, b"", False))
    assert pair.s(Get(2, b"x"), Get(4, b"x")) == [Get(2, b"x"), Get(4, b"x")]


def test_a_peer_that_takes_shorter_messages() -> None:
    pair = Pair(client=SMALL)
    pair.c(List(1, b"", False))
    entry = Entry(b"a" * 4000, "file", 0, 0, 0)
    with pytest.raises(OverLimit, match="the other side's limit of 16384"):
        pair.server.say(Entries(1, (entry,) * 5))
    assert pair.s(Refuse(1, "failed", "")) == [Refuse(1, "failed", "")], "nothing had changed"


def test_a_message_over_the_own_limit() -> None:
    pair = Pair(server=SMALL)
    with pytest.raises(OverLimit):
        list(pair.server.receive(header(MESSAGE, LEAST_MESSAGE + 1)))


@pytest.mark.parametrize(
    "message", [Get(1, b"a" * 4097), Get(-1, b"a"), Offer(1, Attributes(b"a", -1, 0, 0, b""))]
)
def test_what_no_peer_would_take_is_not_said(message: Message) -> None:
    pair = Pair()
    with pytest.raises(ProtocolError):
        pair.client.say(message)
    assert pair.client.idle
    assert pair.c(Get(1, b"a")) == [Get(1, b"a")], "nothing had changed"


@pytest.mark.parametrize("text", ["t" * 100_000, "ü" * 2001, "\udcff" * 2000])
def test_a_text_is_made_to_fit(text: str) -> None:
    pair = Pair(client=SMALL)
    pair.c(Get(1, b"a"))
    (heard,) = pair.s(Abort(1, "not-found", text))
    assert isinstance(heard, Abort)
    assert len(heard.text) == 2000
    assert heard.text.endswith("...")
    assert pair.client.refuse_connection("protocol", text) != b""


# -- bodies --------------------------------------------------------------------------------


def test_a_download() -> None:
    pair = Pair()
    asked_for(pair, 1)
    assert pair.c(Accept(1, 0)) == [Accept(1, 0)]
    assert pair.client.state_of(1) is pair.server.state_of(1) is State.BODY
    assert pair.client.awaits_peer
    assert not pair.server.awaits_peer
    assert pair.s_data(1, b"hello") == [Data(1, b"hello")]
    assert pair.s(Done(1, DIGEST)) == [Done(1, DIGEST)]
    assert pair.server.awaits_peer
    assert pair.c(Receipt(1, DIGEST)) == [Receipt(1, DIGEST)]
    assert pair.client.state_of(1) is pair.server.state_of(1) is State.ENDED
    assert pair.client.idle
    assert pair.server.idle


def test_bodies_go_in_the_order_of_the_accepts() -> None:
    pair = Pair()
    asked_for(pair, 1, 3, 5)
    pair.c(Accept(5, 0), Accept(1, 0), Accept(3, 0))
    for number in (5, 1, 3):
        assert [n for n in (1, 3, 5) if pair.server.may_send_body(n)] == [number]
        for other in {1, 3, 5} - {number}:
            with pytest.raises(ProtocolError, match="not the turn"):
                pair.server.data_header(other, 1)
        assert pair.s_data(number, b"hello") == [Data(number, b"hello")]
        pair.s(Done(number, DIGEST))


def test_an_empty_body_needs_no_turn() -> None:
    pair = Pair()
    asked_for(pair, 1, 3)
    pair.c(Accept(1, 0), Accept(3, 5))
    assert pair.s(Done(3, DIGEST)) == [Done(3, DIGEST)]
    assert pair.s_data(1, b"x") == [Data(1, b"x")]


@pytest.mark.parametrize("end", [Done(1, DIGEST), Abort(1, "changed", "")])
def test_the_next_body_begins_when_one_has_ended(end: Message) -> None:
    pair = Pair()
    asked_for(pair, 1, 3)
    pair.c(Accept(1, 0), Accept(3, 0))
    pair.s_data(1, b"hello")
    pair.s(end)
    assert pair.s_data(3, b"y") == [Data(3, b"y")]


def test_an_aborted_body_that_waits_for_its_turn_has_none() -> None:
    pair = Pair()
    asked_for(pair, 1, 3, 5)
    pair.c(Accept(1, 0), Accept(3, 0), Accept(5, 0))
    pair.s(Abort(3, "changed", ""))
    pair.s_data(1, b"hello")
    pair.s(Done(1, DIGEST))
    assert pair.s_data(5, b"y") == [Data(5, b"y")]


def test_bodies_in_both_directions() -> None:
    pair = Pair()
    asked_for(pair, 1)
    pair.c(Offer(3, FILE))
    pair.s(Accept(3, 0))
    pair.c(Accept(1, 0))
    upload = pair.client.data_header(3, 2) + b"up"
    assert list(pair.server.receive(upload)) == [Data(3, b"up")]
    assert pair.s_data(1, b"down") == [Data(1, b"down")]


@pytest.mark.parametrize("before", ["offer", "done"])
def test_data_out_of_place(before: str) -> None:
    pair = Pair()
    asked_for(pair, 1)
    if before == "done":
        pair.c(Accept(1, 5))
        pair.s(Done(1, DIGEST))
    with pytest.raises(ProtocolError, match="not the turn"):
        pair.server.data_header(1, 1)
    with pytest.raises(ProtocolError, match="belongs to no exchange"):
        list(pair.client.receive(header(DATA, 1) + b"x"))


@pytest.mark.parametrize("length", [-1, 0, DATA_LIMIT + 1])
def test_a_data_frame_that_cannot_be(length: int) -> None:
    pair = Pair()
    asked_for(pair, 1)
    pair.c(Accept(1, 0))
    with pytest.raises(ValueError, match="a DATA frame has 1 to"):
        pair.server.data_header(1, length)


def test_a_body_that_is_not_wanted_is_passed_over_to_its_end() -> None:
    pair = Pair()
    asked_for(pair, 1, 3)
    pair.c(Accept(1, 0), Accept(3, 0))
    pair.c(Refuse(1, "no-space", ""))
    assert pair.server.state_of(1) is State.STOPPING
    assert pair.s_data(1, b"x") == [Data(1, b"x")]
    pair.s(Abort(1, "no-space", ""))
    assert pair.s_data(3, b"y") == [Data(3, b"y")]


# -- what crosses --------------------------------------------------------------------------


@pytest.mark.parametrize("late", [Offer(1, FILE), Abort(1, "not-found", "")])
def test_called_off_while_the_answer_is_under_way(late: Message) -> None:
    pair = Pair()
    pair.c(Get(1, b"a"))
    under_way = pair.server.say(late)
    refusal = pair.client.say(Refuse(1, "cancelled", ""))
    assert list(pair.client.receive(under_way)) == []
    assert list(pair.server.receive(refusal)) == (
        [Refuse(1, "cancelled", "")] if isinstance(late, Offer) else []
    )
    assert pair.client.idle
    assert pair.server.idle


def test_accepted_while_the_abort_is_under_way() -> None:
    pair = Pair()
    asked_for(pair, 1, 3)
    abort = pair.server.say(Abort(1, "changed", ""))
    accepts = pair.client.say(Accept(1, 0)) + pair.client.say(Accept(3, 0))
    assert list(pair.server.receive(accepts)) == [Accept(3, 0)]
    assert list(pair.client.receive(abort)) == [Abort(1, "changed", "")]
    assert pair.s_data(3, b"y") == [Data(3, b"y")]


def test_refused_while_done_is_under_way() -> None:
    pair = Pair()
    asked_for(pair, 1)
    pair.c(Accept(1, 5))
    done = pair.server.say(Done(1, DIGEST))
    refusal = pair.client.say(Refuse(1, "no-space", ""))
    assert list(pair.client.receive(done)) == [Done(1, DIGEST)]
    assert list(pair.server.receive(refusal)) == [Refuse(1, "no-space", "")]
    assert pair.client.idle
    assert pair.server.idle


def test_an_exchange_that_has_been_called_off_is_not_gone_on_with() -> None:
    pair = Pair()
    pair.c(Get(1, b"a"))
    pair.c(Refuse(1, "cancelled", ""))
    with pytest.raises(ProtocolError, match="is over"):
        pair.server.say(Offer(1, FILE))
    assert pair.server.idle


@pytest.mark.parametrize(
    "message", [Done(1, DIGEST), Receipt(1, DIGEST), Entries(1, ()), Get(1, b"a")]
)
def test_what_cannot_have_crossed_the_end(message: Message) -> None:
    pair = Pair()
    pair.c(Get(1, b"a"))
    pair.c(Refuse(1, "cancelled", ""))
    with pytest.raises(ProtocolError, match="is over"):
        pair.c_forged(message)


# -- the end -------------------------------------------------------------------------------


def test_a_connection_that_is_refused() -> None:
    pair = Pair()
    last_word = pair.server.refuse_connection("busy", "too many")
    assert list(pair.client.receive(last_word)) == [Refuse(0, "busy", "too many")]
    assert not pair.client.is_open
    assert not pair.server.is_open
    assert pair.client.refuse_connection("busy", "") == b""


def test_a_client_is_refused_before_it_has_said_anything() -> None:
    server = Conversation(Side.SERVER, "server/1")
    last_word = server.refuse_connection("timeout", "")
    assert last_word == MAGIC + encode(Refuse(0, "timeout", ""))
    assert Conversation(Side.CLIENT, "client/1").refuse_connection("timeout", "") == b""


def test_after_the_end() -> None:
    pair = Pair()
    pair.server.refuse_connection("busy", "")
    with pytest.raises(ProtocolError):
        pair.c(Get(1, b"a"))
    with pytest.raises(ProtocolError):
        pair.server.say(Working())


# -- what is taken off the stream by other means -------------------------------------------


def test_a_message_that_comes_another_way_has_its_place_all_the_same() -> None:
    pair = Pair()
    said = pair.client.say(Get(pair.client.open(), b"a")) + pair.client.say(Get(3, b"a"))
    first = len(said) // 2
    assert list(pair.server.receive(said[: first - 1])) == []
    assert pair.server.amid_message
    assert pair.server.let_go_of_message() == said[: first - 1]
    assert not pair.server.amid_message
    assert pair.server.state_of(1) is State.ENDED, "not heard yet"
    assert pair.server.hear(Get(1, b"a"))
    assert pair.server.state_of(1) is State.ASKED
    assert list(pair.server.receive(said[first:])) == [Get(3, b"a")]
    assert pair.s(Offer(1, FILE), Offer(3, FILE)) == [Offer(1, FILE), Offer(3, FILE)]


def test_a_message_that_comes_another_way_and_has_no_place() -> None:
    pair = Pair()
    asked_for(pair, 1)
    with pytest.raises(ProtocolError, match="out of place"):
        pair.server.hear(Get(1, b"again"))
    pair.c(Refuse(1, "cancelled", ""))
    assert not pair.server.hear(Refuse(1, "cancelled", "")), "it crossed the end"
    with pytest.raises(ProtocolError, match="is over"):
        pair.server.hear(Get(1, b"again"))
