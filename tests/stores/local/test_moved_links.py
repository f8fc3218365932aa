"""A link that stays below the root isn't moved to where it would lead out."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import pytest

from twisted_ft.errors import BadName, FileTransferError
from twisted_ft.stores.conformance.samples import TIME, folder_described, unpacked
from twisted_ft.stores.local import LocalStore, folder
from twisted_ft.stores.local.descent import folders_below
from twisted_ft.stores.local.folder import Folder
from twisted_ft.wire.messages import Item, Link

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")


@pytest.fixture(params=["by descriptor", "by path"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with links in it, three folders deep; what they lead to is there."""
    if request.param == "by path":
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
    place = tmp_path / "place"
    (place / "a" / "b" / "c").mkdir(parents=True)
    (place / "a" / "b" / "c" / "top").symlink_to("../../../file")
    (place / "a" / "b" / "c" / "up").symlink_to("../beside")
    (place / "a" / "b" / "c" / "down").symlink_to("beside")
    (place / "a" / "b" / "c" / "out").symlink_to("../../../../outside")
    (place / "a" / "b" / "c" / "absolute").symlink_to("/outside")
    (place / "file").write_text("file")
    return place


def moved(place: Path, path: bytes, new: bytes) -> str:
    """What becomes of a rename: ``done``, or the name that is blamed; then nothing has moved."""
    before = os.lstat(place / os.fsdecode(path))
    try:
        LocalStore(place).rename(path, new, False)
    except BadName as error:
        text = error.text
    else:
        return "done"
    assert os.path.samestat(os.lstat(place / os.fsdecode(path)), before)
    assert not os.path.lexists(place / os.fsdecode(new))
    assert "would lead out" in text
    assert text.isprintable()
    return text.partition(":")[0]


@pytest.mark.parametrize(
    ("link", "new", "outcome"),
    [
        ("top", b"a/b/c/new", "done"),
        ("top", b"a/b/new", "a/b/c/top"),
        ("top", b"new", "a/b/c/top"),
        ("up", b"a/b/new", "done"),
        ("up", b"a/new", "done"),
        ("up", b"new", "a/b/c/up"),
        ("down", b"new", "done"),
        ("out", b"new", "done"),  # the owner's own, as it led out before
        ("absolute", b"new", "done"),
    ],
)
def test_a_link(place: Path, link: str, new: bytes, outcome: str) -> None:
    assert moved(place, b"a/b/c/" + os.fsencode(link), new) == outcome


@pytest.mark.parametrize(
    ("path", "new", "outcome"),
    [
        (b"a", b"new", "done"),
        (b"a/b", b"a/new", "done"),
        (b"a/b/c", b"a/b/new", "done"),
        (b"a/b/c", b"a/new", "a/b/c/top"),
        (b"a/b/c", b"new", "a/b/c/top"),
        (b"a/b", b"new", "a/b/c/top"),
    ],
)
def test_a_folder_with_links_in_it(place: Path, path: bytes, new: bytes, outcome: str) -> None:
    assert moved(place, path, new) == outcome


def test_a_folder_goes_deeper_with_its_links(place: Path) -> None:
    (place / "deep" / "deeper").mkdir(parents=True)
    assert moved(place, b"a", b"deep/deeper/a") == "done"
    assert moved(place, b"deep/deeper/a/b/c", b"deep/deeper/c") == "deep/deeper/a/b/c/out"
    (place / "deep" / "deeper" / "a" / "b" / "c" / "out").unlink()
    assert moved(place, b"deep/deeper/a/b/c", b"deep/deeper/c") == "done"


def test_a_link_that_came_with_a_tree(place: Path) -> None:
    """So what a peer may make can't be brought out by what a peer may move."""
    if not folder.HAS_DIR_FD:
        pytest.skip("no links are made here")
    first: list[Item] = [folder_described(b"x")]
    links: list[Item] = [Link(b"l", TIME, b"../../..")]
    unpacker = LocalStore(place).unpacker(True, False)
    assert unpacked(unpacker, (b"a/b", first), (b"a/b/x", links)) == ["done", "done"]
    assert moved(place, b"a/b/x", b"x") == "a/b/x/l"
    assert moved(place, b"a/b/x/l", b"l") == "a/b/x/l"


def test_what_cant_be_looked_into_is_passed_over(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Folder.below

    def below(here: Folder, names: list[bytes]) -> Folder:
        if names == [b"c"]:
            raise OSError(errno.EACCES, "Permission denied")
        return real(here, names)

    monkeypatch.setattr(Folder, "below", below)
    with Folder.root(str(place)) as top:
        assert [path for path, _ in folders_below(top)] == [b"", b"a", b"a/b"]


def test_a_folder_that_is_moved_while_it_is_gone_through(place: Path) -> None:
    (place / "a" / "other").mkdir()
    with Folder.root(str(place)) as top:
        going = folders_below(top)
        seen = [next(going)[0] for _ in range(4)]
        if seen[-1] != b"a/b/c":
            pytest.skip("this file system names the other folder first")
        (place / "a" / "b" / "c").rename(place / "c")
        if folder.HAS_DIR_FD:
            with pytest.raises(OSError, match="moved"):
                list(going)


def test_deeper_than_there_are_descriptors(tmp_path: Path) -> None:
    (tmp_path / "a" / "x").mkdir(parents=True)
    store = LocalStore(tmp_path)
    here = os.open(tmp_path / "a" / "x", os.O_RDONLY)
    for _ in range(1300):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.symlink("/".join([".."] * 1302), "l", dir_fd=here)
    os.close(here)
    try:
        with pytest.raises(FileTransferError, match="would lead out"):
            store.rename(b"a/x", b"x", False)
    finally:
        for entry in list(store.entries(b"")):
            store.remove(entry.path, True)  # which is more than pytest can remove by itself


def test_very_many_entries_take_little_memory(tmp_path: Path) -> None:
    many = tmp_path / "a" / "many"
    many.mkdir(parents=True)
    for number in range(20_000):
        (many / f"{number:012}").symlink_to("x")
    store = LocalStore(tmp_path)
    tracemalloc.start()
    try:
        store.rename(b"a/many", b"many", False)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
