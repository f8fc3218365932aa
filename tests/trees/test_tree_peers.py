"""Servers that send a tree in ways that no good one would."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs

from tests.kit.planting import LARGE, result_of
from tests.kit.saying import BAD_NAMES, ROOT, D, F, N, W, described, folder, whole
from tests.kit.tree_peers import Fetching
from twisted_ft.errors import ConnectionFailed, FileTransferError
from twisted_ft.trees.deliveries import LARGE_AT_ONCE
from twisted_ft.wire.messages import (
    Abort,
    End,
    Link,
    Parcel,
    Part,
    Receipts,
    Refuse,
    Settled,
    Unsendable,
    Whole,
)

# -- a server that sends a tree ------------------------------------------------------------


@pytest.fixture
def fetching(tmp_path: Path) -> Fetching:
    begun = Fetching(tmp_path / "t")
    begun.parcel(ROOT)
    return begun


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(tmp_path: Path, name: bytes) -> None:
    fetching = Fetching(tmp_path / "t", links=True)
    fetching.parcel(ROOT)
    items = (whole(name), folder(name), described(name), Link(name, 0, b"a"),
             described(name, LARGE), Settled(name, 0, 0o700))  # fmt: skip
    assert fetching.codes(*items[:-1], whole(b"good")) == ["bad-name"] * 5
    fetching.parcel(items[-1])
    fetching.say(End(1, 7))
    assert fetching.done.called
    assert fetching.asked() == []
    assert os.listdir(fetching.place) == ["good"]
    assert os.listdir(fetching.place.parent) == ["t"]
    assert [each.path for each in fetching.results if each.status == "done"] == [
        str(fetching.place / "good")
    ]


@pytest.mark.parametrize(
    "path", [b"..", b"../t", b"/etc", b"a/../..", b".", b"sub//x", b"sub/", b"x\0", b"sub/../sub"]
)
def test_bad_folders(tmp_path: Path, path: bytes) -> None:
    fetching = Fetching(tmp_path / "t", links=True)
    fetching.parcel(ROOT)
    fetching.parcel(folder(b"sub"))
    before = (fetching.place.stat().st_mode, fetching.place.parent.stat().st_mode)
    codes = fetching.codes(Part(path, (whole(b"evil"), folder(b"evil2"), Link(b"l", 0, b"a"))))
    assert codes == ["bad-name"] * 3
    fetching.parcel(Part(path, (Settled(b"", 0, 0), Settled(b"sub", 0, 0))))
    fetching.say(End(1, 6))
    assert [*fetching.place.rglob("*")] == [fetching.place / "sub"]
    assert (fetching.place.stat().st_mode, fetching.place.parent.stat().st_mode) == before
    assert os.listdir(fetching.place.parent) == ["t"]


def test_a_folder_that_nobody_has_spoken_of(fetching: Fetching) -> None:
    assert fetching.codes(Part(b"no/where", (whole(b"x"),))) == ["not-found"]
    assert os.listdir(fetching.place) == []


@pytest.mark.parametrize("target", [b"..", b"/etc", b"x/../..", b"", b"a\0b", b"../../etc"])
def test_links_that_lead_out(tmp_path: Path, target: bytes) -> None:
    fetching = Fetching(tmp_path / "t", links=True)
    fetching.parcel(ROOT)
    assert fetching.codes(Link(b"l", 0, target)) == ["bad-name"]
    assert os.listdir(fetching.place) == []


def test_nothing_goes_through_a_link(tmp_path: Path) -> None:
    """Not even through one that came just before."""
    fetching = Fetching(tmp_path / "t", links=True)
    fetching.parcel(ROOT)
    (tmp_path / "t" / "inside").mkdir()
    fetching.parcel(Link(b"l", 0, b"inside"))
    codes = fetching.codes(folder(b"l"), Part(b"l", (whole(b"evil"),)))
    assert codes == ["not-a-directory", "not-a-file"]
    assert os.listdir(tmp_path / "t" / "inside") == []


def test_wrong_digests(fetching: Fetching) -> None:
    bad = Whole(b"bad", 0, 0o644, b"hello", bytes(32))
    assert fetching.codes(whole(b"a"), bad, whole(b"z")) == ["corrupt"]
    fetching.say(End(1, 3))
    assert sorted(os.listdir(fetching.place)) == ["a", "z"]
    statuses = {os.path.basename(each.path): each.status for each in fetching.results}
    assert statuses == {"a": "done", "bad": "failed", "z": "done"}


def test_set_user_id_isnt_taken(fetching: Fetching) -> None:
    fetching.parcel(whole(b"su", mode=0o4755), folder(b"f"))
    fetching.parcel(Settled(b"f", 0, 0o7755))
    fetching.parcel(Settled(b"", 0, 0o7755))
    fetching.say(End(1, 4))
    for path in (fetching.place / "su", fetching.place / "f", fetching.place):
        assert path.stat().st_mode & 0o7777 == 0o755


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    fetching = Fetching(tmp_path / "t")
    assert fetching.codes(whole(b"")) == ["not-a-directory"]
    assert fetching.codes(described(b"")) == ["not-a-directory"]
    assert not fetching.place.exists()


def test_what_is_wanted_and_never_comes_is_named(fetching: Fetching) -> None:
    """Nothing that was described is passed over in silence."""
    fetching.place.joinpath("x").touch()
    assert fetching.parcel(described(b"a")) == Receipts(4, W, ())
    fetching.say(End(1, 1))
    for number, each in enumerate(fetching.asked()):
        assert each == b"d/a"
        fetching.say(Abort(3 + 2 * number, "not-found", "gone"))
    assert [(each.path, each.status) for each in fetching.results] == [
        (str(fetching.place / "a"), "failed")
    ]


def test_a_large_file_that_was_cancelled_over_there(fetching: Fetching) -> None:
    fetching.parcel(described(b"large", LARGE), whole(b"a"))
    fetching.say(Abort(3, "cancelled", "not now"))
    fetching.say(End(1, 2))
    outcome: list[Any] = []
    fetching.done.addErrback(outcome.append)
    failed = [each.path for each in fetching.results if each.status == "failed"]
    assert outcome or failed == [str(fetching.place / "large")]


@pytest.mark.parametrize("code", ["cancelled", "forbidden", "never-heard-of"])
def test_a_fetch_that_is_aborted_has_failed(fetching: Fetching, code: str) -> None:
    fetching.say(Abort(1, code, "no more of it"))
    with pytest.raises(FileTransferError, match="no more of it"):
        result_of(fetching.done)


@pytest.mark.parametrize("fetch", [0, 3, 7])
def test_parcels_that_nobody_has_asked_for(fetching: Fetching, fetch: int) -> None:
    answer = fetching.parcel(whole(b"evil"), fetch=fetch)
    assert isinstance(answer, Refuse)
    assert answer.code == "unsupported"
    assert os.listdir(fetching.place) == []
    fetching.say(End(1, 0))
    assert fetching.done.called
    assert isinstance(fetching.parcel(whole(b"evil"), fetch=1), Refuse)
    assert os.listdir(fetching.place) == []


def test_unsendable_things(fetching: Fetching) -> None:
    fetching.parcel(Unsendable(b"secret", "forbidden", "d/secret: permission denied"))
    fetching.say(End(1, 1))
    (result,) = fetching.results
    assert result.error is not None
    assert (result.error.code, result.error.side) == ("forbidden", "there")
    assert result.error.text == "d/secret: permission denied on the server"


def test_the_same_things_again_and_again(fetching: Fetching) -> None:
    for _ in range(3):
        fetching.parcel(folder(b"f"), Part(b"f", (whole(b"a"),)), whole(b"b"), whole(b"b"))
        fetching.parcel(Settled(b"f", 5, 0o700), Settled(b"f", 6, 0o755))
    fetching.say(End(1, 18))
    assert fetching.done.called
    assert sorted(each.name for each in fetching.place.rglob("*")) == ["a", "b", "f"]


@pytest.mark.parametrize("options", [{}, {"exclude": ("nothing",)}], ids=["all", "chosen"])
def test_each_hears_of_its_own_failures(tmp_path: Path, options: dict[str, Any]) -> None:
    """What parcels have brought, and folders that are complete, are unpacked together."""
    fetching = Fetching(tmp_path / "t", **options)
    fetching.parcel(ROOT)
    names = [b"f", b"g", b"h"]
    fetching.parcel(*map(folder, names), *(Part(each, (whole(b"a"),)) for each in names))
    bad = Whole(b"bad", 0, 0o644, b"hello", bytes(32))
    fetching.disk.held = True
    fetching.say(Parcel(6, 1, b"", (Part(b"", tuple(Settled(each, 5, 0o700) for each in names)),)))
    fetching.say(Parcel(8, 1, b"", (Part(b"", (whole(b"good"), bad)), Part(b"g", (bad,)))))
    fetching.say(Parcel(10, 1, b"", (Part(b"", (whole(b"better"), bad)),)))
    fetching.disk.held = False
    while not any(
        isinstance(each, Receipts) and each.exchange == 6 for each in fetching.peer.messages
    ):
        assert fetching.network.step()
    for each in ("f", "h"):
        (fetching.place / each / "a").unlink()
        (fetching.place / each).rmdir()
    fetching.network.settle()
    fetching.say(End(1, 14))
    answers = {each.exchange: each for each in fetching.peer.messages if isinstance(each, Receipts)}
    assert [answers[6].outcomes, answers[8].outcomes, answers[10].outcomes] == [
        N * 3,
        D + F + F,
        D + F,
    ]
    assert [
        [each.text.split(":")[0] for each in answers[number].failures] for number in (8, 10)
    ] == [
        ["bad", "g/bad"],
        ["bad"],
    ]
    failed = [(each.path, each.error) for each in fetching.results if each.error is not None]
    for path, error in failed:
        named = os.path.relpath(path, fetching.place)
        assert error.text.startswith(f"{path}: ")
        assert error.side == "here"
        assert error.code == ("corrupt" if "bad" in named else "not-found")
    assert sorted(os.path.relpath(path, fetching.place) for path, _ in failed) == [
        "bad",
        "bad",
        "f",
        "g/bad",
        "h",
    ]
    assert (fetching.place / "g").stat().st_mode & 0o777 == 0o700
    assert fetching.done.called


def test_a_connection_that_ends_while_receipts_wait(fetching: Fetching) -> None:
    """They wait for large files, which fail with it; and then nobody hears of them."""
    items = tuple(described(b"%d" % each, LARGE) for each in range(LARGE_AT_ONCE + 1))
    fetching.say(Parcel(4, 1, b"", (Part(b"", items),)))
    assert len(fetching.asked()) == LARGE_AT_ONCE
    with capturedLogs() as events:
        fetching.network.cut()
        fetching.network.settle()
        gc.collect()  # what nobody handled is logged then
    assert [event for event in events if event["log_level"] is LogLevel.critical] == []
    with pytest.raises(ConnectionFailed):
        result_of(fetching.done)
