"""A listing that fails amid it, is called off, or is cut; and one of what is kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, cast

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from tests.kit.staging import failure_of
from twisted_ft import FileTransferFactory, Store
from twisted_ft.errors import BadName, FileTransferError, StorageFailed
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.listing import Answering
from twisted_ft.wire.conversation import DEFAULT_LIMITS, Conversation, Side
from twisted_ft.wire.frames import MAGIC, encode
from twisted_ft.wire.messages import (
    LEAST_MESSAGE,
    End,
    Entries,
    Entry,
    Hello,
    List,
    Message,
    More,
    Opening,
    Refuse,
)

LONG = 3000
"""Entries that take several messages."""
ANY = b"%06d" + bytes([0x6E]) * 60


def numbered(count: int) -> list[Entry]:
    return [Entry(ANY % number, "file", 1, 5, 0o644) for number in range(count)]


class Listed:
    """A store that lists so many files, and then fails; it notes when nobody lists any more."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self._count, self._error = count, error
        self.open = 0
        """listings that hold something"""

    def entries(self, path: bytes) -> Iterator[Entry]:
        self.open += 1
        try:
            yield from numbered(self._count)
            if self._error is not None:
                raise self._error
        finally:
            self.open -= 1


class Keeping(Listed):
    """One that keeps something of a transfer, too."""

    def kept(self, path: bytes, deep: bool) -> Iterator[Entry]:
        return iter([Entry(b"large", "partial", 5000, 5, 0o644)])


class Lister:
    """Answers listings, and nothing else: see Policy."""

    def __init__(self, store: object) -> None:
        self.store = cast(Store, store)
        self.began: list[bool] = []
        self.outcomes: list[Any] = []

    async def greeted(self, protocol: FileTransferProtocol) -> None:
        """See Policy."""

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        assert isinstance(message, List)
        answering = Answering(protocol, message.exchange)
        answer = answering.answer(
            self.store, message.path, message.deep, message.partial, self.began.append
        )
        self.outcomes = failure_of(Deferred.fromCoroutine(answer))

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """See Policy."""


class Two:
    """Who lists a store, and a scripted peer that has greeted."""

    def __init__(self, store: object, limit: int = DEFAULT_LIMITS.message) -> None:
        self.network = MemoryNetwork()
        self.threads = self.network.threads()
        self.lister = Lister(store)
        conversation = Conversation(Side.SERVER, "test")
        runtime = self.threads.runtime
        factory = Factory.forProtocol(
            lambda: FileTransferProtocol(Side.SERVER, conversation, self.lister, runtime)
        )
        self.peer = self.network.scripted_client(factory)
        hello = Hello((1,), "test", (), replace(DEFAULT_LIMITS, message=limit))
        self.peer.send(MAGIC + encode(hello))
        self.network.settle()

    def hear(self, *said: Message) -> list[Message]:
        """What is answered to this."""
        before = len(self.peer.messages)
        self.peer.say(*said)
        self.network.settle()
        return self.peer.messages[before:]

    def hear_all(self, deep: bool = False, partial: bool = False) -> list[Message]:
        """All that is said in a listing."""
        answers = self.hear(List(1, b"", deep, partial))
        while isinstance(answers[-1], Entries):
            answers += self.hear(More(1))
        return answers


def files_of(answers: list[Message]) -> list[Entry]:
    return [
        entry
        for each in answers
        if isinstance(each, Entries)
        for entry in each.entries
        if entry.kind == "file"
    ]


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("count", [0, 1, LONG])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("error", [StorageFailed("broken"), BadName("too long")])
def test_what_was_listed_before_a_failure_is_said(
    error: FileTransferError, deep: bool, count: int
) -> None:
    answers = Two(Listed(count, error)).hear_all(deep)
    assert files_of(answers) == numbered(count)
    if deep and count and isinstance(error, BadName):
        assert answers[-1] == End(1, count + 1)
    else:
        assert answers[-1] == Refuse(1, error.code, error.text)


def test_a_mistake_in_a_store() -> None:
    answers = Two(Listed(1, ValueError("a mistake"))).hear_all()
    assert files_of(answers) == numbered(1)
    assert isinstance(answers[-1], Refuse)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("end", ["refused", "cut"])
def test_who_wants_no_more_has_it_closed_at_once(no_collection: None, end: str, deep: bool) -> None:
    store = Listed(LONG)
    two = Two(store)
    assert len(two.hear(List(1, b"", deep))) == 1
    assert store.open == 1
    if end == "refused":
        two.hear(Refuse(1, "cancelled", ""))
    else:
        two.network.cut()
    two.network.settle()
    assert store.open == 0
    assert isinstance(two.lister.outcomes[0], FileTransferError)


@pytest.mark.parametrize("steps", range(4))
def test_a_cut_while_a_thread_is_at_it(no_collection: None, steps: int) -> None:
    """And nothing more is read for nobody."""
    store = Listed(LONG)
    two = Two(store)
    two.threads.held = True
    two.hear(List(1, b"", False))
    for _ in range(steps):
        two.threads.held = False
        two.threads.step()
        two.threads.held = True
    two.network.cut()
    two.threads.held = False
    two.network.settle()
    assert store.open == 0
    assert two.threads.waiting == 0
    assert len(two.lister.outcomes) == 1


@pytest.mark.parametrize(("count", "is_all"), [(0, True), (5, True), (LONG, False)])
def test_who_is_told_that_it_has_begun(count: int, is_all: bool) -> None:
    two = Two(Listed(count))
    answers = two.hear(List(1, b"", False))
    assert two.lister.began == [is_all]
    assert isinstance(answers[-1], End) == is_all
    two.hear(More(1))
    assert len(two.lister.began) == 1


def test_a_peer_that_takes_short_messages() -> None:
    two = Two(Listed(LONG), LEAST_MESSAGE)
    answers = two.hear_all()
    assert files_of(answers) == numbered(LONG)
    assert max(len(encode(each)) for each in answers) <= LEAST_MESSAGE + 4


def test_the_longest_entries_for_a_peer_that_takes_short_messages() -> None:
    """Paths and targets of 4,096 bytes."""

    class Links:
        def entries(self, path: bytes) -> Iterator[Entry]:
            for number in range(50):
                long = b"%04096d" % number
                yield Entry(long, "link", 2**63 - 1, -(2**63), 0o7777, b"t" * 4096)

    answers = Two(Links(), LEAST_MESSAGE).hear_all()
    assert answers[-1] == End(1, 50)
    assert max(len(encode(each)) for each in answers) <= LEAST_MESSAGE + 4


@pytest.mark.parametrize("deep", [False, True])
def test_what_is_kept_of_transfers(deep: bool) -> None:
    kept = Entry(b"large", "partial", 5000, 5, 0o644)
    assert Two(Keeping(LONG)).hear_all(deep, True) == [Entries(1, (kept,)), End(1, 1)]


def test_a_store_that_keeps_nothing() -> None:
    (answer,) = Two(Listed(1)).hear_all(partial=True)
    assert isinstance(answer, Refuse)
    assert (answer.code, "keeps nothing" in answer.text) == ("unsupported", True)


def test_a_store_of_an_embedder_that_lists_with_no_generator() -> None:
    """Its iterator has nothing to close."""

    class Plain:
        def entries(self, path: bytes) -> Iterator[Entry]:
            return iter(numbered(LONG))

    network = MemoryNetwork()
    client = network.client(FileTransferFactory(cast(Store, Plain()), runtime=network.runtime))

    async def first() -> bytes:
        walk = client.walk("", deep=False)
        entry = await walk.__anext__()
        await walk.close()
        return entry.path

    assert network.run(first()) == numbered(1)[0].path
    assert len(network.run(client.list(""))) == LONG
