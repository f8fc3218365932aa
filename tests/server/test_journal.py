"""What a server logs, and how much of it a peer can make it log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, capturedLogs, formatEvent

from tests.kit.saying import ROOT, described
from twisted_ft import FileTransferFactory, MemoryStore
from twisted_ft.server.events import Event, TreeFiles
from twisted_ft.server.journal import LINES, LINES_OF_ONE, Journal
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.messages import Failing, Get, Outcome, Parcel, Part, Receipts

FAILED = Event("failed", "peer:1", action="download", path=b"a", code="not-found", error="a: no")


@pytest.fixture
def log() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as events:
        yield events


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(clock: Clock) -> Journal:
    return Journal(Logger(), clock)


def lines(log: Sequence[LogEvent]) -> list[str]:
    return [formatEvent(each) for each in log]


def test_lines_of_one_peer(journal: Journal, clock: Clock, log: Sequence[LogEvent]) -> None:
    """Beyond so many in a second they are counted; others have theirs; the next second is new."""
    for _ in range(LINES_OF_ONE + 30):
        journal(FAILED)
    journal(replace(FAILED, peer="other:2"))
    assert len(log) == LINES_OF_ONE + 1
    clock.advance(1)
    assert lines(log)[-1] == "30 more lines this second"
    journal(FAILED)
    assert lines(log)[-1] == "peer:1 not sent a: a: no (not-found)"


def test_lines_of_all_peers(journal: Journal, clock: Clock, log: Sequence[LogEvent]) -> None:
    for number in range(LINES * 2):
        journal(replace(FAILED, peer=f"peer:{number}"))
    assert len(log) == LINES
    clock.advance(1)
    assert len(log) == LINES + 1
    clock.advance(10)
    assert len(log) == LINES + 1
    assert not clock.getDelayedCalls()


def test_long_names_and_sentences_are_cut(journal: Journal, log: Sequence[LogEvent]) -> None:
    """As bytes, and once more when each of them has become four characters."""
    for path in (b"x" * 4000, b"\x1b" * 4000):
        journal(replace(FAILED, path=path, error="y" * 2000))
    assert all(len(line) < 500 for line in lines(log))
    assert not any("\x1b" in line for line in lines(log))


def test_many_failures_in_one_parcel(journal: Journal, log: Sequence[LogEvent]) -> None:
    """Some are told, and the rest is counted."""
    items = tuple(described(b"%d" % number) for number in range(4096))
    outcomes = bytes([Outcome.FAILED]) * len(items)
    about = Event("ended", "peer:1", action="upload", tree=True)
    failures = [Failing("bad-name", "no")] * len(items)
    journal.tree_files(TreeFiles(about, b"t", (Part(b"f", items),), outcomes, failures))
    said = lines(log)
    assert len(said) == 6
    assert said[0] == "peer:1 not received t/f/0: no (bad-name)"
    assert said[-1] == "peer:1 not received 4091 more"


def test_users_and_doors_are_named(journal: Journal, log: Sequence[LogEvent]) -> None:
    ended = Event("ended", "host:1", "ann", "ft", "upload", b"a", size=5, sent=5, seconds=0.25)
    journal(ended)
    journal(replace(ended, user="", door="lab", action="download"))
    journal(replace(ended, action="rename", new=b"b", count=1))
    journal(replace(ended, code="unchanged"))
    assert lines(log) == [
        "ann@host:1 received a: 5 bytes, verified, 5 over the wire in 0.250 s",
        "host:1 lab sent a: 5 bytes in 0.250 s",
        "ann@host:1 renamed a: it is b now",
        "ann@host:1 received a: nothing to do, it is there already",
    ]


def test_a_peer_that_asks_for_ten_thousand_things(log: Sequence[LogEvent]) -> None:
    network = MemoryNetwork(segment=1 << 20)
    peer = network.scripted_client(FileTransferFactory(MemoryStore(), runtime=network.runtime))
    peer.hello()
    network.settle()
    for number in range(1, 4001, 2):
        peer.say(Get(number, b"nothing"))
        if number % 100 == 1:
            network.settle()
    network.settle()
    assert len(peer.messages) == 2001
    assert len(log) <= LINES_OF_ONE


def test_a_parcel_of_bad_names(log: Sequence[LogEvent]) -> None:
    """The log and the answer are bounded, however long the names are."""
    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore(), writable=True, runtime=network.runtime)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    folder = b"/".join([b"\x1b" * 200] * 20)
    items = tuple(described(b"../%d" % number) for number in range(400))
    peer.say(Parcel(1, 0, b"", (Part(b"", (ROOT,)), Part(folder, items))))
    network.settle()
    (receipts,) = [each for each in peer.messages if isinstance(each, Receipts)]
    assert receipts.outcomes.count(Outcome.FAILED) == 400
    assert sum(len(line) for line in lines(log)) < 8192
