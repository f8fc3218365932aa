"""Folders that may be passed through, and not listed: they are used as cp(1) uses them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.nobody import AsNobody
from tests.kit.planting import Two, failures, statuses
from twisted_ft.errors import Forbidden
from twisted_ft.stores import system
from twisted_ft.stores.conformance.samples import (
    TIME,
    content_in,
    described,
    file_described,
    folder_described,
    put,
    unpacked,
    whole,
)
from twisted_ft.stores.local import LocalStore, folder
from twisted_ft.wire.messages import Item, Settled

pytestmark = pytest.mark.skipif(not folder._PASSING, reason="to open a folder is to list it here")


@pytest.fixture(params=["in one step", "step by step"])
def place(
    request: pytest.FixtureRequest,
    anyones_place: Path,
    as_nobody: AsNobody,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A folder with two in it that may not be listed: one to read from, one to write to."""
    if request.param == "step by step":
        monkeypatch.setattr(folder, "_FEW", 100)
    else:
        monkeypatch.setattr(folder, "_FEW", 0)
    for name in ("source", "inbox"):
        (anyones_place / name / "sub").mkdir(parents=True)
        (anyones_place / name / "sub").chmod(0o777)
        (anyones_place / name / "file").write_text("1234")
        (anyones_place / name / "file").chmod(0o666)
    (anyones_place / "source").chmod(0o311)
    (anyones_place / "inbox").chmod(0o333)
    if os.geteuid() == 0:
        os.chown(anyones_place / "source", 0, 0)
    with as_nobody():
        yield anyones_place


@pytest.mark.parametrize("path", [b"source/file", b"inbox/file"])
def test_a_file_is_read(place: Path, path: bytes) -> None:
    assert content_in(LocalStore(place), path) == b"1234"


def test_it_is_read_where_that_is_the_root(place: Path) -> None:
    assert content_in(LocalStore(place / "source"), b"file") == b"1234"


@pytest.mark.parametrize("syncs", [True, False])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_is_put_and_synced(
    place: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool, syncs: bool
) -> None:
    """By all of its file system, as the folder can't be opened for that."""
    synced = []
    monkeypatch.setattr(system, "SYNCS_FILE_SYSTEMS", syncs)
    monkeypatch.setattr(system, "sync_file_system", lambda fd: synced.append("one"))
    monkeypatch.setattr(os, "sync", lambda: synced.append("all"))
    store = LocalStore(place)
    for path in (b"inbox/new", b"inbox/sub/new"):
        put(store, described(path, b"new"), b"new", overwrite)
        assert content_in(store, path) == b"new"
    assert synced == ["one" if syncs else "all"]
    (place / "inbox" / "new").unlink()


def test_a_file_is_carried_on(place: Path) -> None:
    store = LocalStore(place)
    sink = store.sink(described(b"inbox/new", b"1234"), True)
    sink.write([b"12"])
    sink.keep()
    sink = store.sink(described(b"inbox/new", b"1234"), True)
    assert sink.offset == 2
    sink.write([b"34"])
    sink.publish()
    assert content_in(store, b"inbox/new") == b"1234"


def test_it_is_changed(place: Path) -> None:
    store = LocalStore(place)
    store.make_folder(b"inbox/made")
    store.rename(b"inbox/file", b"inbox/made/file", False)
    store.rename(b"inbox/made/file", b"inbox/file", False)
    assert store.remove(b"inbox/made", True) == 1
    assert store.remove(b"inbox/file", False) == 1


def test_it_is_not_listed(place: Path) -> None:
    store = LocalStore(place)
    for name in (b"source", b"inbox"):
        with pytest.raises(Forbidden, match=f"{name.decode()}: permission denied"):
            list(store.entries(name))
        with pytest.raises(Forbidden, match="permission denied"):
            list(store.kept(name, False))
        with pytest.raises(Forbidden, match="permission denied"):
            store.remove(name, True)


def test_small_files_are_put(place: Path) -> None:
    """Into it, and into new folders in it; what is there is compared one by one."""
    unpacker = LocalStore(place).unpacker(True, True)
    items: list[Item] = [
        whole(b"new", b"new"),
        folder_described(b"fresh"),
        folder_described(b"sub"),
        file_described(b"file", b"1234"),  # which has another time
        file_described(b"other", b"1234"),
    ]
    assert unpacked(unpacker, (b"inbox", items)) == ["done", "done", "held", "wanted", "wanted"]
    more: list[Item] = [whole(b"inner", b"inner"), Settled(b"", TIME, 0o755)]
    assert unpacked(unpacker, (b"inbox/fresh", more)) == ["done", "done"]
    assert (place / "inbox" / "new").read_bytes() == b"new"
    assert (place / "inbox" / "fresh" / "inner").read_bytes() == b"inner"


def test_a_folder_of_its_own_is_settled(place: Path) -> None:
    """Its owner gets all that is theirs."""
    (place / "mine").mkdir()
    (place / "mine").chmod(0o300)
    unpacker = LocalStore(place).unpacker(True, True)
    assert unpacked(unpacker, (b"", [Settled(b"mine", TIME, 0o555)])) == ["done"]
    status = (place / "mine").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o755, TIME)


def test_a_tree(place: Path) -> None:
    """It comes whole where nothing must be listed, twice; and of a source, what can be."""
    two = Two(place / "inbox" / "sub")
    (two.served / "t").mkdir()
    for name in "abc":
        (two.served / "t" / name).write_text(name)
        os.utime(two.served / "t" / name, (0, 0))
    two.here.mkdir()
    two.here.chmod(0o333)
    assert statuses(two.get("t")) == {"done"}
    assert statuses(two.get("t")) == {"skipped"}
    assert (two.here / "a").read_text() == "a"
    (two.served / "t" / "closed").mkdir()
    (two.served / "t" / "closed").chmod(0o333)
    assert failures(two.get("t")) == {"closed": "forbidden"}
    for each in (two.here, two.served / "t" / "closed"):
        each.chmod(0o777)


def test_nothing_stays_open(place: Path) -> None:
    store = LocalStore(place)
    before = len(os.listdir("/dev/fd"))
    put(store, described(b"inbox/new", b"new"), b"new")
    content_in(store, b"source/file")
    unpacker = store.unpacker(True, True)
    unpacked(unpacker, (b"inbox", [whole(b"x", b"new")]))
    unpacker.close()
    assert len(os.listdir("/dev/fd")) == before
