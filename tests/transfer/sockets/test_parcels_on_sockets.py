"""Trees of which the parcels are taken off real sockets by the threads that unpack them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from math import inf
from pathlib import Path

import pytest
import pytest_twisted
from msgspec.structs import replace
from twisted.internet.defer import Deferred, ensureDeferred

from tests.kit.insides import connection_of
from tests.kit.planting import (
    BOTH_WAYS,
    LARGE,
    failures,
    gathered,
    grow,
    numbered,
    statuses,
    tree,
    with_status,
)
from tests.kit.saying import ROOT, described
from tests.kit.serving import (
    CONTENT,
    Served,
    Stranger,
    fails,
    listening,
    met,
    no_descriptor,
    parcel_of,
    reactor,
    until,
    url_of,
    wait_in_thread,
)
from twisted_ft import Delivery, LocalStore, MemoryStore, Runtime, connect
from twisted_ft.errors import FileTransferError, StorageFailed
from twisted_ft.stores.interfaces import Store
from twisted_ft.stores.local.unpacking import LocalUnpacker
from twisted_ft.stores.piecewise import unpacker_of
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges import tree_receiving
from twisted_ft.transfer.exchanges.tree_receiving import AHEAD, HIGH_WATER, TreeReceiving
from twisted_ft.transfer.sockets import lease as turn
from twisted_ft.transfer.sockets.recvfile import HAS_RECVFILE
from twisted_ft.transfer.sockets.recvmessages import SocketMessages
from twisted_ft.trees.deliveries import LARGE_AT_ONCE, MOST_RESULTS, Deliveries
from twisted_ft.wire.contents import item_count
from twisted_ft.wire.conversation import DEFAULT_LIMITS, Conversation, Side
from twisted_ft.wire.frames import MESSAGE, encode, header
from twisted_ft.wire.messages import (
    Abort,
    End,
    Failing,
    Fetch,
    Get,
    Message,
    Opening,
    Outcome,
    Parcel,
    Part,
    Receipts,
    Refuse,
    Whole,
    Working,
)

pytestmark = pytest.mark.skipif(not HAS_RECVFILE, reason="there is no readv or poll here")
SMALL = {f"{folder}/{name}": os.urandom(9000) for folder in "abc" for name in numbered(700)}
"""19 MB, in some twenty parcels."""
LONG = 1_000_000
"""Bytes of a file that fills a parcel, which then never comes all at once."""


class Taken:
    """What threads have taken off sockets."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self.turns: list[SocketMessages] = []
        self.over: list[SocketMessages] = []
        """of the turns, those that are"""

    @property
    def size(self) -> int:
        """Bytes of files."""
        return sum(
            len(item.content)
            for parcel in self.parcels
            for part in parcel.parts
            for item in part.items
            if isinstance(item, Whole)
        )


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    noted = Taken()
    begin, receive, close = SocketMessages.begin, SocketMessages.receive, SocketMessages.close

    def begun(self: SocketMessages, some: bytes) -> None:
        noted.turns.append(self)
        begin(self, some)

    def received(self: SocketMessages, most: int) -> list[Message]:
        found = receive(self, most)
        noted.parcels += [each for each in found if isinstance(each, Parcel)]
        return found

    def closed(self: SocketMessages) -> None:
        if self in noted.turns:  # and not of a test before, whose connection ends late
            noted.over.append(self)
        close(self)

    monkeypatch.setattr(SocketMessages, "begin", begun)
    monkeypatch.setattr(SocketMessages, "receive", received)
    monkeypatch.setattr(SocketMessages, "close", closed)
    return noted


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn ends early only where it has to."""
    monkeypatch.setattr(turn, "_LULL", 5000)
    monkeypatch.setattr(turn, "_TURN", 600)


@pytest.fixture
def in_one_turn(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it where the reactor is slower to say Receipts than the thread is to unpack."""
    monkeypatch.setattr(tree_receiving, "AHEAD", 1000)


def check_moved(results: dict[str, Delivery], source: Path, target: Path) -> None:
    """All has come, and is right."""
    assert statuses(results) == {"done"}
    assert tree(target) == tree(source)
    assert len(results) == sum(content is not None for content in tree(source).values())


# -- where ---------------------------------------------------------------------------------


@BOTH_WAYS
@pytest_twisted.ensureDeferred
async def test_most_parcels_come_this_way(
    served: Served, tmp_path: Path, taken: Taken, direction: str
) -> None:
    source, target = served.ends(direction, tmp_path / "here")
    grow(source, SMALL)
    check_moved(await served.moves(direction, tmp_path / "here"), source, target)
    assert taken.size > sum(map(len, SMALL.values())) // 2
    assert len(taken.turns) < len(taken.parcels)  # more than one in a turn
    await until(lambda: taken.over == taken.turns)


@BOTH_WAYS
@pytest_twisted.ensureDeferred
async def test_large_files_among_them_and_messages_between_them(
    served: Served, tmp_path: Path, taken: Taken, direction: str
) -> None:
    source, target = served.ends(direction, tmp_path / "here")
    large = {f"{folder}/large": os.urandom(4_000_000) for folder in "abcd"}
    grow(source, {**SMALL, **large})
    moving = ensureDeferred(served.moves(direction, tmp_path / "here"))
    beside = served.client.get("file", tmp_path / "file")
    await served.asked_meanwhile([moving, beside])
    check_moved(await moving, source, target)
    assert taken.parcels
    assert (tmp_path / "file").read_bytes() == CONTENT


@BOTH_WAYS
@pytest_twisted.ensureDeferred
async def test_more_large_files_than_go_at_once(
    served: Served, tmp_path: Path, taken: Taken, direction: str
) -> None:
    """Receipts wait for them, and what is read meanwhile must be theirs."""
    source, target = served.ends(direction, tmp_path / "here")
    large = {f"0/{number}": bytes(LARGE) for number in range(LARGE_AT_ONCE + 8)}
    grow(source, {**large, **SMALL})
    check_moved(await served.moves(direction, tmp_path / "here"), source, target)


@pytest_twisted.ensureDeferred
async def test_into_a_store_that_keeps_what_it_is_given(
    served: Served, tmp_path: Path, taken: Taken
) -> None:
    """The buffer is used again for the next message: what was unpacked must be a copy."""
    served.factory.store = store = MemoryStore()
    grow(tmp_path / "here", SMALL)
    client = await served.connect()
    await gathered(client.put_tree(tmp_path / "here", "t"))
    await client.close()
    assert taken.parcels
    assert {os.fsdecode(name)[2:]: file.content for name, file in store.files.items()} == SMALL


@pytest_twisted.ensureDeferred
async def test_a_limited_download_is_counted_parcel_by_parcel(
    served: Served, tmp_path: Path, taken: Taken
) -> None:
    grow(served.root / "t", SMALL)
    limited = await served.connect(limit_rate=1e9)
    results = await gathered(limited.get_tree("t", tmp_path / "here"))
    await limited.close()
    check_moved(results, served.root / "t", tmp_path / "here")
    assert not taken.turns


@BOTH_WAYS
@pytest_twisted.ensureDeferred
async def test_without_a_descriptor_for_it(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: Taken, direction: str
) -> None:
    tried: list[object] = []

    def none_left(*args: object) -> None:
        tried.append(args)
        no_descriptor()

    monkeypatch.setattr(SocketMessages, "__init__", none_left)
    source, target = served.ends(direction, tmp_path / "here")
    grow(source, SMALL)
    check_moved(await served.moves(direction, tmp_path / "here"), source, target)
    assert tried
    assert not taken.turns


# -- what goes wrong -----------------------------------------------------------------------


@BOTH_WAYS
@pytest_twisted.ensureDeferred
async def test_a_connection_that_ends_meanwhile_is_carried_on(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: Taken, direction: str
) -> None:
    source, target = served.ends(direction, tmp_path / "here")
    grow(source, SMALL)
    ends = [served.connection, connection_of(served.client).protocol]
    sender = ends[0] if direction == "get" else ends[1]
    receive = SocketMessages.receive

    def cut(self: SocketMessages, most: int) -> list[Message]:
        if taken.size > 4_000_000:
            reactor.callFromThread(sender.transport.abortConnection)
        return receive(self, most)

    with monkeypatch.context() as patched:
        patched.setattr(SocketMessages, "receive", cut)
        await fails(served.moves(direction, tmp_path / "here"), FileTransferError)
    await until(lambda: not served.factory.connections)
    await until(lambda: taken.over == taken.turns)
    again = await served.connect()
    if direction == "get":
        deliveries = again.get_tree("t", tmp_path / "here")
    else:
        deliveries = again.put_tree(tmp_path / "here", "t")
    results = await gathered(deliveries)
    await again.close()
    assert statuses(results) == {"done", "skipped"}
    assert tree(target) == tree(source)


@BOTH_WAYS
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_unpacked_fails_and_the_connection_goes_on(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: Taken, direction: str
) -> None:
    """As where a disk can't be synced: nobody knows what became of a whole group."""
    source, target = served.ends(direction, tmp_path / "here")
    grow(source, {name.replace("/", ""): content for name, content in SMALL.items()})
    unpack = LocalUnpacker.unpack
    lost: list[bytes] = []

    def broken(self: LocalUnpacker, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        names = [item.name for part in parts for item in part.items if isinstance(item, Whole)]
        if names and taken.size > 2_000_000 and not lost:
            lost.extend(names)
            raise StorageFailed("the disk is broken")
        return unpack(self, parts)

    with monkeypatch.context() as patched:
        patched.setattr(LocalUnpacker, "unpack", broken)
        results = await served.moves(direction, tmp_path / "here")
    assert lost
    assert with_status(results, "failed") == sorted(map(os.fsdecode, lost))
    assert set(failures(results).values()) == {"storage"}
    assert len(with_status(results, "done")) == len(SMALL) - len(lost)
    assert not served.client.closed
    again = await served.moves(direction, tmp_path / "here")
    assert with_status(again, "done") == sorted(map(os.fsdecode, lost))
    assert tree(target) == tree(source)


# -- results that nobody takes -------------------------------------------------------------


@BOTH_WAYS
@pytest_twisted.ensureDeferred
async def test_results_that_are_taken_late(
    served: Served, tmp_path: Path, taken: Taken, direction: str
) -> None:
    """What else is wanted of the connection is done meanwhile, and then all the rest."""
    source, target = served.ends(direction, tmp_path / "here")
    files = {f"{number:05}": b"%07d" % number * 30 for number in range(3 * MOST_RESULTS)}
    grow(source, files)
    deliveries = served.begin(direction, tmp_path / "here")
    first = await anext(deliveries)
    await until(lambda: len(os.listdir(target)) > MOST_RESULTS)
    await served.asked_meanwhile([served.client.get("file", tmp_path / "file")])
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(os.listdir(target)) < len(files)
    check_moved({first.path: first, **await gathered(deliveries)}, source, target)
    assert taken.parcels


# -- strangers -----------------------------------------------------------------------------


class Fetching:
    """A real client that has asked for a tree, and a scripted server that sends it."""

    def __init__(self, peer: Stranger, deliveries: Deliveries, place: Path) -> None:
        self.peer, self.deliveries, self.place = peer, deliveries, place
        self.done = ensureDeferred(gathered(deliveries))

    def receipted(self, number: int) -> bool:
        """Whether a parcel has its Receipts."""
        return any(each.exchange == number for each in self.peer.answers(Receipts))


@pytest_twisted.async_yield_fixture
async def fetching(tmp_path: Path) -> AsyncIterator[Fetching]:
    peer = Stranger()
    async with listening(peer) as port:
        connected = connect(url_of(port), reactor=reactor)
        await until(lambda: peer.messages)
        peer.welcome()
        client = await connected
        begun = Fetching(peer, client.get_tree("", tmp_path / "here"), tmp_path / "here")
        await until(lambda: peer.answers(Fetch))
        peer.say(Parcel(2, 1, b"", (Part(b"", (ROOT,)),)))
        await until(lambda: begun.receipted(2))
        yield begun
        await client.close()
        begun.done.addErrback(lambda _: None)


LARGE_ONES = Parcel(
    4, 1, b"", (Part(b"", tuple(described(b"l%d" % n, LARGE) for n in range(LARGE_AT_ONCE + 8))),)
)


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@pytest.mark.usefixtures("patient")
@pytest_twisted.ensureDeferred
async def test_what_receipts_wait_for_is_read(
    fetching: Fetching, taken: Taken, apart: bool
) -> None:
    """They wait for large files, of which the answers come behind parcels."""
    peer = fetching.peer
    if apart:
        peer.say(LARGE_ONES)
        await until(lambda: len(peer.answers(Get)) == LARGE_AT_ONCE)
    numbers = [2 * each for each in range(3, 9)]
    parcels = [parcel_of(each, LONG, fetch=1) for each in numbers]
    peer.say_at_once(*([] if apart else [LARGE_ONES]), *parcels)
    await until(lambda: len(peer.answers(Get)) == LARGE_AT_ONCE)
    peer.say(*(Abort(each.exchange, "not-found", "gone") for each in peer.answers(Get)))
    await until(lambda: len(peer.answers(Get)) == LARGE_AT_ONCE + 8)
    rest = peer.answers(Get)[LARGE_AT_ONCE:]
    peer.say(*(Abort(each.exchange, "not-found", "gone") for each in rest))
    await until(lambda: all(map(fetching.receipted, numbers)))
    peer.say(End(1, item_count(LARGE_ONES) + len(numbers)))
    results = await fetching.done
    assert len(with_status(results, "failed")) == LARGE_AT_ONCE + 8
    assert len(with_status(results, "done")) == len(numbers)


@pytest.mark.parametrize("called_off", [False, True], ids=["after its end", "called off"])
@pytest.mark.usefixtures("patient")
@pytest_twisted.ensureDeferred
async def test_parcels_that_nobody_asks_for_any_more(
    fetching: Fetching, taken: Taken, called_off: bool
) -> None:
    """They are refused, whoever reads them."""
    peer = fetching.peer
    if called_off:
        await fetching.deliveries.close()
        await until(lambda: peer.answers(Refuse))
    else:
        peer.say(End(1, 0))
        await fetching.done
    numbers = [4, 6, 8]
    peer.say_at_once(*(parcel_of(each, LONG, fetch=1) for each in numbers))
    await until(lambda: len(peer.answers(Receipts) + peer.answers(Refuse)) == 4 + called_off)
    assert [each.exchange for each in peer.answers(Refuse)] == [1] * called_off + numbers
    assert not [*fetching.place.iterdir()]


@pytest.mark.usefixtures("in_one_turn")
@pytest_twisted.ensureDeferred
async def test_a_tree_that_is_called_off_in_the_middle_of_a_turn(
    fetching: Fetching, taken: Taken
) -> None:
    """What a thread reads after that is refused."""
    peer = fetching.peer
    peer.say_at_once(*(parcel_of(2 * each, LONG, fetch=1) for each in range(2, 5)))
    await until(lambda: taken.turns and fetching.receipted(8))
    await fetching.deliveries.close()
    await until(lambda: peer.answers(Refuse))
    assert not taken.over
    peer.say_at_once(*(parcel_of(2 * each, LONG, fetch=1) for each in range(5, 8)))
    await until(lambda: len(peer.answers(Refuse)) == 4)
    assert [each.exchange for each in peer.answers(Refuse)] == [1, 10, 12, 14]
    assert sorted(each.name for each in fetching.place.iterdir()) == ["4", "6", "8"]


@pytest.mark.usefixtures("in_one_turn")
@pytest_twisted.ensureDeferred
async def test_who_breaks_the_protocol_in_the_middle_of_a_turn_is_sent_away(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    """And a thread reads nothing more of what he says."""
    async with met(served.port) as peer:
        numbers = [1, 3, 5]
        peer.say_at_once(*(parcel_of(each, LONG) for each in numbers))
        await until(lambda: len(peer.answers(Receipts)) == len(numbers))
        assert taken.turns
        assert not taken.over
        bad = parcel_of(3, LONG)  # in an exchange that is over
        unpack = LocalUnpacker.unpack

        def is_read() -> bool:
            return any(each.parts == bad.parts for each in taken.parcels)

        def late(self: LocalUnpacker, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
            if is_read():
                wait_in_thread(lambda: peer.lost)
            return unpack(self, parts)

        monkeypatch.setattr(LocalUnpacker, "unpack", late)
        peer.say_at_once(bad, *(parcel_of(each, 10) for each in range(7, 99, 2)))
        await until(lambda: peer.lost)
        assert is_read()
        (last_word,) = peer.answers(Refuse)
        assert (last_word.exchange, last_word.code) == (0, "protocol")
        assert len(peer.answers(Receipts)) == len(numbers)
    await until(lambda: taken.over == taken.turns)
    await served.is_got(tmp_path / "got")  # the server's one thread is free
    await until(lambda: len(served.factory.connections) == 1)
    assert "97" not in os.listdir(served.root)


@pytest.mark.usefixtures("in_one_turn")
@pytest_twisted.ensureDeferred
async def test_who_reads_by_a_thread_says_that_it_works(
    served: Served, monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    """Whether anything was under way before or not."""
    first = {served.connection}
    async with met(served.port, replace(DEFAULT_LIMITS, silence=1)) as peer:
        (connection,) = served.factory.connections - first
        peer.say_at_once(*(parcel_of(each, LONG) for each in (1, 3, 5)))
        await until(lambda: len(peer.answers(Receipts)) == 3)
        await until(lambda: not connection.keep_alive._telling.running)
        assert taken.turns
        assert not taken.over
        unpack = LocalUnpacker.unpack
        said = len(peer.answers(Working))

        def slow(self: LocalUnpacker, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
            wait_in_thread(lambda: len(peer.answers(Working)) > said)
            return unpack(self, parts)

        monkeypatch.setattr(LocalUnpacker, "unpack", slow)
        peer.say(parcel_of(7, LONG))
        await until(lambda: len(peer.answers(Receipts)) == 4)
        assert len(taken.turns) == 1


@pytest.mark.usefixtures("patient")
@pytest_twisted.ensureDeferred
async def test_a_message_that_cannot_be_read_amid_parcels(served: Served, taken: Taken) -> None:
    """It is the reactor's to find out, and what came before it is unpacked."""
    async with met(served.port) as peer:
        parcels = [encode(parcel_of(each, LONG)) for each in (1, 3, 5)]
        peer.send(b"".join(parcels) + header(MESSAGE, 3) + b"\xc1\xc1\xc1" + parcels[0])
        await until(lambda: peer.lost)
        assert taken.turns
        (last_word,) = peer.answers(Refuse)
        assert (last_word.exchange, last_word.code) == (0, "protocol")
        await until(lambda: taken.over == taken.turns)
        await until(lambda: {"1", "3", "5"} < {*os.listdir(served.root)})
        assert await served.client.list()


@pytest.mark.usefixtures("in_one_turn")
@pytest_twisted.ensureDeferred
async def test_a_group_that_cannot_be_unpacked_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    async with met(served.port) as peer:
        peer.say_at_once(*(parcel_of(each, LONG) for each in (1, 3, 5)))
        await until(lambda: len(peer.answers(Receipts)) == 3)
        assert taken.turns

        def broken(self: LocalUnpacker, parts: Sequence[Part]) -> None:
            raise StorageFailed("the disk is broken")

        with monkeypatch.context() as patched:
            patched.setattr(LocalUnpacker, "unpack", broken)
            peer.say_at_once(*(parcel_of(each, LONG) for each in (7, 9, 11)))
            await until(lambda: len(peer.answers(Refuse)) == 3)
        assert [(each.exchange, each.code) for each in peer.answers(Refuse)] == [
            (7, "storage"),
            (9, "storage"),
            (11, "storage"),
        ]
        peer.say(parcel_of(13, LONG))
        await until(lambda: len(peer.answers(Receipts)) == 4)
        assert len(taken.turns) == 1


class Held:
    """Takes parcels as a server does, and holds the Receipts of some back.

    :param store: where to
    """

    def __init__(self, store: Store) -> None:
        self.unpacker = unpacker_of(store, True, True)
        self.held: Deferred[None] = Deferred()
        self.first_held = inf
        """the first exchange of which they are"""

    async def greeted(self, protocol: FileTransferProtocol) -> None:
        """See Policy."""
        self.receiving = TreeReceiving(protocol, self.unpacker, self._unpacked)

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        """See Policy."""
        assert isinstance(message, Parcel)
        self.receiving.take(message)

    async def _unpacked(self, parcel: Parcel, outcomes: bytes, failures: Sequence[Failing]) -> None:
        if parcel.exchange >= self.first_held and not self.held.called:
            await self.held

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """See Policy."""


@pytest.mark.usefixtures("in_one_turn")
@pytest_twisted.ensureDeferred
async def test_groups_that_are_unpacked_while_nobody_says_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: Taken
) -> None:
    unpack = LocalUnpacker.unpack
    groups: list[int] = []

    def noted(self: LocalUnpacker, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        groups.append(len(parts))
        return unpack(self, parts)

    monkeypatch.setattr(LocalUnpacker, "unpack", noted)
    held = Held(LocalStore(tmp_path))
    conversation = Conversation(Side.SERVER, "held")
    protocol = FileTransferProtocol(Side.SERVER, conversation, held, Runtime.of(reactor))
    async with listening(protocol) as port, met(port) as peer:
        peer.say_at_once(*(parcel_of(each, LONG) for each in (1, 3, 5)))
        await until(lambda: len(peer.answers(Receipts)) == 3)
        assert taken.turns
        assert not taken.over
        before = len(groups)
        held.first_held = 7
        monkeypatch.setattr(tree_receiving, "AHEAD", AHEAD)
        numbers = range(7, 7 + 2 * 60, 2)
        peer.say_at_once(*(parcel_of(each, LONG) for each in numbers))
        await until(lambda: taken.over)
        await until(lambda: protocol.transport not in reactor.getReaders())
        assert len(groups) == before + AHEAD
        assert len(taken.turns) == 1
        waiting = len(numbers) - sum(groups[before:])
        assert waiting > HIGH_WATER, "so not all of them have been read"
        held.held.callback(None)
        await until(lambda: len(peer.answers(Receipts)) == 3 + len(numbers))
        assert len(groups) > before + AHEAD
    assert len(os.listdir(tmp_path)) == 3 + len(numbers)
