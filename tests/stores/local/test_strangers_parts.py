"""What others have put where a LocalStore keeps what is its own: it isn't part of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.kit.nobody import NOBODY, AsNobody
from twisted_ft.errors import Busy, Forbidden, StorageFailed
from twisted_ft.stores.conformance.samples import (
    content_in,
    described,
    folder_described,
    put,
    unpacked,
    whole,
)
from twisted_ft.stores.interfaces import Unpacker
from twisted_ft.stores.local import LocalStore, folder
from twisted_ft.stores.local.record import partial_names
from twisted_ft.wire.messages import Item, Part

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other owners")

FILE = described(b"new", b"12345678")
PART, FROM = (name.decode() for name in partial_names(b"new"))
NUMBERED = f".ft-{0:032x}.part"


@pytest.fixture
def shared(anyones_place: Path) -> Path:
    """A folder that several users put things into; each may remove only their own."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    anyones_place.chmod(0o1777)
    return anyones_place


@pytest.fixture(params=["by descriptor", "by path"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by path":
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)


both_ways = pytest.mark.usefixtures("_both_ways")


def kept(place: Path) -> None:
    """Have half of FILE kept, by this user."""
    sink = LocalStore(place).sink(FILE, True)
    sink.write([b"1234"])
    sink.keep()


def given_away(file: Path, owner: int = NOBODY) -> None:
    os.chown(file, owner, -1, follow_symlinks=False)


def unpacker(place: Path) -> Unpacker:
    return LocalStore(place).unpacker(True, False)


@both_ways
@pytest.mark.parametrize("whose", [[PART], [FROM], [PART, FROM]])
def test_what_another_user_planted_is_not_carried_on(shared: Path, whose: list[str]) -> None:
    """Their descriptor stays theirs, and nothing of ours is seen through it."""
    kept(shared)
    for name in whose:
        given_away(shared / name)
    with open(shared / whose[0], "rb") as theirs:
        before = theirs.read()
        sink = LocalStore(shared).sink(FILE, True)
        assert sink.offset == 0
        sink.write([b"12345678"])
        sink.publish()
        theirs.seek(0)
        assert theirs.read() == before
    assert content_in(LocalStore(shared), b"new") == b"12345678"
    assert (shared / "new").stat().st_uid == os.geteuid()
    assert os.listdir(shared) == ["new"]


def _link(path: Path) -> None:
    path.symlink_to("elsewhere")


@both_ways
@pytest.mark.parametrize("name", [PART, FROM])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _link])
def test_what_is_no_file_makes_room(shared: Path, name: str, make: Callable[[Path], None]) -> None:
    make(shared / name)
    given_away(shared / name)
    put(LocalStore(shared), FILE, b"12345678")
    assert os.listdir(shared) == ["new"]


@both_ways
@pytest.mark.parametrize("name", [PART, FROM])
def test_what_cant_be_removed_is_told(shared: Path, as_nobody: AsNobody, name: str) -> None:
    (shared / name).write_text("1234")
    (shared / name).chmod(0o666)
    with (
        as_nobody(),
        pytest.raises(Forbidden, match=r"\.ft-\w+\.\w+: .* another user, .* remove it"),
    ):
        LocalStore(shared).sink(FILE, True)
    assert (shared / name).read_text() == "1234"


@both_ways
def test_what_has_been_put_in_its_place_is_not_published(shared: Path) -> None:
    sink = LocalStore(shared).sink(FILE, True)
    sink.write([b"12345678"])
    (shared / PART).unlink()
    (shared / PART).write_text("planted!")
    with pytest.raises(StorageFailed, match=r"new: .* removed by another program"):
        sink.publish()
    assert not (shared / "new").exists()


@both_ways
def test_a_file_system_where_all_is_one_users(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as FAT, or NFS that doesn't trust root: what is made there is another's at once."""
    kept(shared)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    held = LocalStore(shared).sink(FILE, True)
    assert held.offset == 4
    with pytest.raises(Busy):
        LocalStore(shared).sink(FILE, True)
    held.keep()
    assert sorted(os.listdir(shared)) == sorted([PART, FROM])


def test_small_files_are_staged_in_our_own(shared: Path) -> None:
    (shared / NUMBERED).write_text("theirs")
    given_away(shared / NUMBERED)
    with open(shared / NUMBERED, "rb") as theirs:
        assert unpacked(unpacker(shared), (b"", [whole(b"a", b"1")])) == ["done"]
        assert theirs.read() == b"theirs"
    assert (shared / "a").stat().st_uid == os.geteuid()
    assert os.listdir(shared) == ["a"]


def test_a_staged_file_that_cant_be_removed_is_told(shared: Path, as_nobody: AsNobody) -> None:
    (shared / NUMBERED).write_text("theirs")
    with as_nobody():
        _, (failure,) = unpacker(shared).unpack([Part(b"", (whole(b"a", b"1"),))])
    assert failure.code == "forbidden"
    assert "belongs to another user" in failure.text
    assert os.listdir(shared) == [NUMBERED]


@pytest.mark.parametrize("may_remove", [True, False])
def test_a_new_folder_isnt_filled_in_anothers(
    shared: Path, as_nobody: AsNobody, may_remove: bool
) -> None:
    """Where theirs can't be removed, it is filled under its own name."""
    planted = shared / partial_names(b"folder")[0].decode()
    planted.mkdir(mode=0o777)
    (planted / "theirs").write_text("theirs")
    if may_remove:
        given_away(planted)
    items: list[Item] = [folder_described(b"folder")]
    files: list[Item] = [whole(b"a", b"1")]
    with nullcontext() if may_remove else as_nobody():
        assert unpacked(unpacker(shared), (b"", items), (b"folder", files)) == ["done", "done"]
        assert (shared / "folder").stat().st_uid == os.geteuid()
    assert os.listdir(shared / "folder") == ["a"]
    assert planted.exists() is not may_remove
