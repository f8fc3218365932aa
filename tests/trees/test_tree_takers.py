"""Servers that take a tree, and clients, in ways that no good one would; and the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from twisted.logger import LogEvent, capturedLogs

from tests.kit.planting import BOTH_WAYS, LARGE, Two, failures, grow, numbered, result_of
from tests.kit.saying import BAD_NAMES, ROOT, D, F, H, N, W, described, folder, whole
from tests.kit.tree_peers import Putting
from twisted_ft import FileTransferFactory, LocalStore, MemoryStore
from twisted_ft.errors import FileTransferError
from twisted_ft.testing import MemoryNetwork, ScriptedPeer
from twisted_ft.wire.messages import (
    Abort,
    Described,
    End,
    Failing,
    Fetch,
    Parcel,
    Part,
    Receipts,
    Refuse,
    Settled,
)

# -- a server that takes a tree ------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "failures"),
    [(D, 0), (D * 3, 0), (b"", 0), (D + F, 0), (D * 2, 1), (D + b"\x09", 0), (b"\xff" + D, 0)],
)
def test_receipts_for_other_things(tmp_path: Path, outcomes: bytes, failures: int) -> None:
    """Too few, too many, without reasons, with reasons for nothing, or with no meaning."""
    putting = Putting(tmp_path / "s", {"a": b"a", "b": b"b"})
    putting.answer(D)
    putting.answer(outcomes, *[Failing("storage", "no")] * failures)
    with pytest.raises(FileTransferError) as caught:
        result_of(putting.done)
    assert caught.value.code == "protocol"
    assert putting.peer.lost is not None


@pytest.mark.parametrize("outcomes", [b"", D * 2, W, b"\x07", F])
def test_receipts_for_another_root(tmp_path: Path, outcomes: bytes) -> None:
    putting = Putting(tmp_path / "s", {"a": b"a"})
    putting.answer(outcomes)
    with pytest.raises(FileTransferError) as caught:
        result_of(putting.done)
    assert caught.value.code == "protocol"


@pytest.mark.parametrize("outcome", [W, N])
def test_no_small_file_is_passed_over_in_silence(tmp_path: Path, outcome: bytes) -> None:
    """A server that doesn't say that it has it hasn't got it."""
    putting = Putting(tmp_path / "s", {"a": b"a"})
    putting.answer(D)
    putting.answer(outcome)
    putting.finish()
    assert failures(result_of(putting.done)) == {"a": "unsupported"}


def test_a_small_file_that_is_there_meanwhile(tmp_path: Path) -> None:
    putting = Putting(tmp_path / "s", {"a": b"a"})
    putting.answer(D)
    putting.answer(H)
    putting.finish()
    (result,) = result_of(putting.done).values()
    assert (result.status, result.sent) == ("skipped", 0)


def test_a_parcel_that_is_refused(tmp_path: Path) -> None:
    putting = Putting(tmp_path / "s", {"a": b"a", "b/c": b"c"})
    putting.answer(D)
    putting.peer.say(Refuse(putting.parcels[-1].exchange, "no-space", "the disk is full"))
    putting.network.settle()
    putting.finish()
    failed = failures(result_of(putting.done))
    assert {failed[name] for name in ("a", "c")} == {"no-space"}


def test_a_root_that_is_refused(tmp_path: Path) -> None:
    putting = Putting(tmp_path / "s", {"a": b"a"})
    putting.peer.say(Refuse(1, "read-only", "never"))
    putting.network.settle()
    with pytest.raises(FileTransferError, match="never"):
        result_of(putting.done)
    assert len(putting.parcels) == 1


def test_a_large_file_that_was_refused(tmp_path: Path) -> None:
    putting = Putting(tmp_path / "s", {"large": bytes(LARGE)})
    putting.answer(D)
    putting.answer(W)
    offer = putting.peer.messages[-1]
    putting.peer.say(Refuse(offer.exchange, "no-space", "the disk is full"))  # type: ignore[union-attr]
    putting.network.settle()
    putting.finish()
    assert failures(result_of(putting.done)) == {"large": "no-space"}


# -- a client ------------------------------------------------------------------------------


def served(network: MemoryNetwork, store: Any, **options: Any) -> ScriptedPeer:
    factory = FileTransferFactory(store, runtime=network.runtime, **options)
    peer = network.scripted_client(factory)
    peer.hello()
    network.settle()
    return peer


@pytest.mark.parametrize("fetch", [0, 1, 5])
def test_a_parcel_for_a_server_that_is_read_only(fetch: int) -> None:
    network, store = MemoryNetwork(), MemoryStore({b"a": b"a"})
    peer = served(network, store)
    peer.say(Parcel(1, fetch, b"", (Part(b"", (whole(b"evil"),)),)))
    network.settle()
    assert isinstance(peer.messages[-1], Refuse)
    assert peer.messages[-1].code == "read-only"
    assert list(store.files) == [b"a"]
    assert peer.lost is None


@pytest.mark.parametrize("root", [b"..", b"/etc", b"a/../..", b"x//y", b"../served"])
def test_a_bad_root(tmp_path: Path, root: bytes) -> None:
    network = MemoryNetwork()
    (tmp_path / "served").mkdir()
    peer = served(network, LocalStore(tmp_path / "served"), writable=True)
    peer.say(Parcel(1, 0, root, (Part(b"", (ROOT, whole(b"evil"), Settled(b"", 0, 0))),)))
    network.settle()
    answer = peer.messages[-1]
    assert isinstance(answer, Receipts)
    assert answer.outcomes == F * 3
    assert {each.code for each in answer.failures} == {"bad-name"}
    assert [*tmp_path.rglob("*")] == [tmp_path / "served"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("local", [True, False])
def test_bad_names_for_a_server(tmp_path: Path, name: bytes, local: bool) -> None:
    network = MemoryNetwork()
    (tmp_path / "served").mkdir()
    memory = MemoryStore()
    store = LocalStore(tmp_path / "served") if local else memory
    peer = served(network, store, writable=True)
    items = (whole(name), folder(name), described(name))
    peer.say(Parcel(1, 0, b"", (Part(b"", items),)))
    network.settle()
    answer = peer.messages[-1]
    assert isinstance(answer, Receipts)
    assert [each.code for each in answer.failures] == ["bad-name"] * len(items)
    assert [*tmp_path.rglob("*")] == [tmp_path / "served"]
    assert not memory.files


@pytest.mark.parametrize("path", [b"nowhere", b"a", b"..", b"/etc", b"a/b"])
def test_a_fetch_of_what_is_no_folder(path: bytes) -> None:
    network = MemoryNetwork()
    peer = served(network, MemoryStore({b"a": b"a"}))
    peer.say(Fetch(1, path, 100, False, False, False))
    network.settle()
    assert isinstance(peer.messages[-1], Abort)
    assert len(peer.messages) == 2
    assert peer.lost is None


def test_a_client_that_wants_nothing(tmp_path: Path) -> None:
    """What it declines isn't gone into, and what isn't asked for stays where it is."""
    network = MemoryNetwork()
    grow(tmp_path, {"a": b"a", "f/b": b"b"})
    peer = served(network, LocalStore(tmp_path))
    peer.say(Fetch(1, b"", 100, True, False, False))
    network.settle()
    peer.say(Receipts(2, N, ()))
    network.settle()
    assert peer.messages[-1] == End(1, 0)


def test_a_client_that_wants_nothing_small(tmp_path: Path) -> None:
    network = MemoryNetwork()
    grow(tmp_path, {"a": b"a"})
    peer = served(network, LocalStore(tmp_path))
    peer.say(Fetch(1, b"", 0, False, False, False))
    network.settle()
    peer.say(Receipts(2, D, ()))
    network.settle()
    parcel = peer.messages[-1]
    assert isinstance(parcel, Parcel)
    assert next(type(each) for part in parcel.parts for each in part.items) is Described


def test_a_client_that_answers_for_other_things(tmp_path: Path) -> None:
    network = MemoryNetwork()
    grow(tmp_path, numbered(10))
    peer = served(network, LocalStore(tmp_path))
    peer.say(Fetch(1, b"", 1000, False, False, False))
    network.settle()
    peer.say(Receipts(2, D * 4, ()))
    network.settle()
    assert isinstance(peer.messages[-1], Refuse)
    assert (peer.messages[-1].exchange, peer.messages[-1].code) == (0, "protocol")
    assert peer.lost is not None


# -- the log -------------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as events:
        yield events


def lines(log: Sequence[LogEvent]) -> list[str]:
    from twisted.logger import formatEvent

    return [formatEvent(each) for each in log if "peer" in each]


@BOTH_WAYS
def test_what_a_server_logs(tmp_path: Path, log: Sequence[LogEvent], direction: str) -> None:
    """An event for the small files of a second, for each large file, and for each failure."""
    two = Two(tmp_path)
    source, target = two.ends(direction)
    grow(source, {"f/a": b"aa", "f/b": b"bb", "f/large": bytes(LARGE), "f/bad": b"bad"})
    grow(target, {"f/bad/in the way": b""})
    two.move(direction)
    two.network.advance(1)
    said = [each.removeprefix("client.example:50000 ") for each in lines(log)]
    done = "sent" if direction == "get" else "received"
    (parcel,) = (each for each in said if "small files" in each)
    assert parcel.startswith(f"{done} 2 small files, 4 bytes, verified: f/")
    (failed,) = (each for each in said if each.startswith("not "))
    assert failed.startswith(f"not {done} f/bad: ")
    assert failed.endswith("(is-a-directory)")
    (large,) = (each for each in said if "f/large" in each)
    assert large.startswith(f"{done} f/large: 1200000 bytes, verified")
    trees = [each for each in said if each.endswith(" items")]
    assert [each.partition(":")[0] for each in trees] == ["sent /"] * (direction == "get")


def test_names_in_the_log_are_fit_for_a_terminal(tmp_path: Path, log: Sequence[LogEvent]) -> None:
    two = Two(tmp_path)
    grow(two.here, {"\x1b[31m": b"red", "f/\x1b[0m": b""})
    grow(two.served, {"f/\x1b[0m/in the way": b""})
    two.put()
    assert lines(log)
    assert not any("\x1b" in each for each in lines(log))


def test_what_the_log_counts_has_arrived(log: Sequence[LogEvent]) -> None:
    """A parcel's line speaks of files that are done, whatever else failed in it."""
    network = MemoryNetwork()
    peer = served(network, MemoryStore({b"file": b""}), writable=True)
    damaged = replace(whole(b"damaged"), blake3=bytes(32))
    items = (damaged, whole(b"a"), whole(b"b", b"12"), folder(b"file"), folder(b"../x"))
    peer.say(Parcel(1, 0, b"", (Part(b"", items),)))
    network.settle()
    assert len(lines(log)) == 3
    network.advance(1)
    said = [each.partition(" ")[2] for each in lines(log)]
    assert said[3:] == ["received 2 small files, 7 bytes, verified: a to b"]


def test_what_arrives_within_a_second_is_one_line(log: Sequence[LogEvent]) -> None:
    """And what hasn't been told of when the connection ends is told then."""
    network = MemoryNetwork()
    peer = served(network, MemoryStore(), writable=True)
    for number, name in enumerate((b"a", b"b", b"c")):
        peer.say(Parcel(2 * number + 1, 0, b"", (Part(b"", (whole(name, b"12"),)),)))
        network.settle()
        network.advance(0.4)
    peer.say(Parcel(7, 0, b"top", (Part(b"", (folder(b""),)), Part(b"", (whole(b"d", b""),)))))
    network.settle()
    assert peer.transport is not None
    peer.transport.loseConnection()
    network.settle()
    said = [each.partition(" ")[2] for each in lines(log)]
    assert said == [
        "received 3 small files, 6 bytes, verified: a to c",
        "received 1 small files, 0 bytes, verified: top/d to top/d",
    ]


def test_a_fetch_that_failed_is_logged(tmp_path: Path, log: Sequence[LogEvent]) -> None:
    two = Two(tmp_path)
    with pytest.raises(FileTransferError):
        two.get("nowhere")
    (line,) = lines(log)
    assert "not sent nowhere" in line
    assert line.endswith("(not-found)")
