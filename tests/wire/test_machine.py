"""The tables: every pair in them works, and no other; and what two ends make of them together."""

from __future__ import annotations

from typing import NamedTuple, get_args

import pytest

from twisted_ft.errors import ProtocolError
from twisted_ft.wire.contents import Contents
from twisted_ft.wire.machine import (
    CHANGE,
    CROSSING,
    FETCH,
    LISTING,
    PARCEL,
    TABLES,
    TRANSFER,
    TURN,
    Exchange,
    Role,
    State,
    Table,
    Word,
    opened_by_peer,
    opened_by_us,
)
from twisted_ft.wire.messages import Data, Message

WORDS: tuple[Word, ...] = (*get_args(Message), Data)
ROLES = {
    "connection": (Role.CLIENT, Role.SERVER),
    "transfer": (Role.SENDER, Role.RECEIVER),
    "listing": (Role.ASKER, Role.ANSWERER),
    "fetch": (Role.SENDER, Role.RECEIVER),
    "parcel": (Role.SENDER, Role.RECEIVER),
    "change": (Role.ASKER, Role.ANSWERER),
}
PAIRS = [
    (name, state, speaker, word)
    for name, table in TABLES.items()
    for state in table
    for speaker in ROLES[name]
    for word in WORDS
]
OPENINGS = {
    word: role
    for table in (TRANSFER, LISTING, FETCH, PARCEL, CHANGE)
    for role, word in table[State.START]
}


def counterpart(name: str, role: Role) -> Role:
    first, second = ROLES[name]
    return second if role is first else first


def test_each_state_is_in_a_table_and_has_a_sentence() -> None:
    assert {state for table in TABLES.values() for state in table} == set(State)
    assert all(state.value.endswith(".") for state in State)


@pytest.mark.parametrize("word", WORDS)
def test_each_word_can_be_said(word: Word) -> None:
    tables = [row for table in TABLES.values() for row in table.values()]
    assert any(word is said for row in tables for _, said in row)


@pytest.mark.parametrize("name", TABLES)
def test_each_state_can_be_reached_and_ends(name: str) -> None:
    table = TABLES[name]
    reached = {State.START}
    for _ in table:
        reached |= {after for state in reached for after in table[state].values()}
    assert reached == set(table)
    assert table[State.ENDED] == {}


@pytest.mark.parametrize(
    ("name", "state", "speaker", "word"), PAIRS, ids=lambda each: getattr(each, "name", None)
)
def test_every_pair(name: str, state: State, speaker: Role, word: Word) -> None:
    table = TABLES[name]
    speaks = Exchange(1, table, speaker, Contents(), state)
    listens = Exchange(1, table, counterpart(name, speaker), Contents(), state)
    after = table[state].get((speaker, word))
    assert speaks.may_say(word) is (after is not None)
    if after is not None:
        assert speaks.after_saying(word) is listens.after_hearing(word) is after
        return
    with pytest.raises(ProtocolError, match=word.__name__):
        speaks.after_saying(word)
    with pytest.raises(ProtocolError, match=word.__name__):
        listens.after_hearing(word)
    assert speaks.state is listens.state is state


@pytest.mark.parametrize("word", WORDS)
def test_what_opens_an_exchange(word: Word) -> None:
    if word not in OPENINGS:
        with pytest.raises(ProtocolError, match="can't open"):
            opened_by_us(1, word)
        with pytest.raises(ProtocolError, match="can't open"):
            opened_by_peer(1, word)
        return
    ours, theirs = opened_by_us(1, word), opened_by_peer(1, word)
    assert ours.role is OPENINGS[word]
    assert ours.after_saying(word) is theirs.after_hearing(word) is not State.START


@pytest.mark.parametrize("name", TABLES)
def test_the_one_whose_turn_it_is_can_speak(name: str) -> None:
    for state, row in TABLES[name].items():
        speakers = {speaker for speaker, _ in row}
        if state in TURN and state is not State.START:
            assert TURN[state] in speakers
            for role in ROLES[name]:
                waits = Exchange(1, TABLES[name], role, Contents(), state).awaits_peer
                assert waits is (TURN[state] is not role)
        elif state is not State.START:
            assert not any(
                Exchange(1, TABLES[name], r, Contents(), state).awaits_peer for r in ROLES[name]
            )


class Ends(NamedTuple):
    """Two ends of one exchange, and what is under way between them."""

    states: tuple[State, State]
    way: tuple[tuple[Word, ...], tuple[Word, ...]]
    """what the first end has said and the second hasn't heard; and the other way round"""


def after_saying(ends: Ends, end: int, word: Word, state: State) -> Ends:
    states, way = list(ends.states), list(ends.way)
    states[end] = state
    way[end] = (*way[end], word)
    return Ends((states[0], states[1]), (way[0], way[1]))


def after_hearing(ends: Ends, end: int, state: State) -> Ends:
    states, way = list(ends.states), list(ends.way)
    states[end] = state
    way[1 - end] = way[1 - end][1:]
    return Ends((states[0], states[1]), (way[0], way[1]))


def explore(table: Table, roles: tuple[Role, Role]) -> tuple[set[Ends], set[Word]]:
    """All that can happen between two ends that keep to the table, and the words that cross.

    What is said takes as long as it likes to be heard; at most 4 words are under way.
    """
    crossing: set[Word] = set()
    seen = {Ends((State.START, State.START), ((), ()))}
    todo = list(seen)
    while todo:
        ends = todo.pop()
        nexts = []
        for end in (0, 1):
            state, coming = ends.states[end], ends.way[1 - end]
            if len(ends.way[end]) < 4 and not (state is State.START and coming):
                nexts += [
                    after_saying(ends, end, word, to)
                    for (speaker, word), to in table[state].items()
                    if speaker is roles[end]
                ]
            if coming and state is State.ENDED:
                crossing.add(coming[0])
                nexts.append(after_hearing(ends, end, state))
            elif coming:
                to = table[state].get((roles[1 - end], coming[0]))
                assert to is not None, f"{coming[0].__name__} is heard in {state}"
                nexts.append(after_hearing(ends, end, to))
        todo += set(nexts) - seen
        seen |= set(nexts)
    return seen, crossing


def both_ends(opener: Word) -> tuple[set[Ends], set[Word]]:
    """All that can happen in an exchange that ``opener`` opens."""
    role = OPENINGS[opener]
    (name,) = (name for name, table in TABLES.items() if (role, opener) in table[State.START])
    start = {(role, opener): TABLES[name][State.START][role, opener]}
    return explore({**TABLES[name], State.START: start}, (role, counterpart(name, role)))


@pytest.mark.parametrize("opener", OPENINGS)
def test_two_ends_that_keep_to_the_tables_never_lose_each_other(opener: Word) -> None:
    seen, _ = both_ends(opener)
    quiet = [ends for ends in seen if ends.way == ((), ())]
    assert len(quiet) > 2
    assert all(ends.states[0] is ends.states[1] for ends in quiet)


def test_only_what_can_cross_the_end_of_an_exchange_may() -> None:
    assert set().union(*(both_ends(opener)[1] for opener in OPENINGS)) == CROSSING
