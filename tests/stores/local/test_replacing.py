"""What a file may take the place of: a link is judged by where it leads."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.nobody import AsNobody
from tests.kit.serving import serving
from twisted_ft.errors import NotAFile
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
from twisted_ft.wire.messages import Item, Link

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has room for about 100 bytes (unix(7))
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def _device(kind: int) -> Callable[[Path], None]:
    """One of our own, with the numbers of /dev/null; nobody opens it."""

    def make(path: Path) -> None:
        try:
            os.mknod(path, kind | 0o666, os.makedev(1, 3))
        except OSError as error:
            pytest.skip(f"only root can make a device: {error}")

    return make


NO_FILES = {
    "fifo": os.mkfifo,
    "socket": _socket,
    "character device": _device(0o020000),
    "block device": _device(0o060000),
}


@pytest.fixture(params=["by descriptor", "by path"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, beside one that isn't served."""
    if request.param == "by path":
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
    (tmp_path / "outside").mkdir()
    place = tmp_path / "place"
    (place / "folder").mkdir(parents=True)
    (place / "file").write_text("here")
    return place


@pytest.fixture(params=NO_FILES)
def thing(request: pytest.FixtureRequest, place: Path) -> Path:
    """What isn't a file, outside of the folder."""
    thing = place.parent / "outside" / "thing"
    NO_FILES[request.param](thing)
    return thing


def _state(path: Path) -> tuple[int, int, int]:
    """What tells whether something is still the same; to read a link can change its atime."""
    status = path.lstat()
    return status.st_ino, status.st_mode, status.st_mtime_ns


def _straight(link: Path, thing: Path) -> None:
    link.symlink_to(thing)


def _through_others(link: Path, thing: Path) -> None:
    """By links that are relative to where they are, and through a folder that is a link."""
    (link.parent / "to-outside").symlink_to("../outside")
    (thing.parent / "second").symlink_to("thing")
    (link.parent / "first").symlink_to("to-outside/second")
    link.symlink_to("folder/../first")


@pytest.mark.parametrize("lead", [_straight, _through_others])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_link_to_what_is_not_a_file_stays(
    place: Path, thing: Path, lead: Callable[[Path, Path], None], overwrite: bool
) -> None:
    link = place / "link"
    lead(link, thing)
    before = _state(link), _state(thing)
    store = LocalStore(place)
    with pytest.raises(NotAFile, match="link leads"):
        store.sink(described(b"link", b"1234"), overwrite)
    with pytest.raises(NotAFile, match="link leads"):
        store.rename(b"file", b"link", overwrite)
    assert (_state(link), _state(thing)) == before
    assert sorted(os.listdir(place / "folder")) == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_it_stays_where_a_tree_comes(place: Path, thing: Path, overwrite: bool) -> None:
    (place / "link").symlink_to(thing)
    before = _state(place / "link"), _state(thing)
    items: list[Item] = [
        whole(b"link", b"1234"),
        file_described(b"link", b"1234"),
        Link(b"link", TIME, b"file"),
        whole(b"other", b"1234"),
    ]
    outcomes = unpacked(LocalStore(place).unpacker(overwrite, True), (b"", items))
    assert outcomes == ["not-a-file"] * 3 + ["done"]
    assert (_state(place / "link"), _state(thing)) == before


def test_it_stays_where_it_comes_late(place: Path, thing: Path) -> None:
    sink = LocalStore(place).sink(described(b"late", b"1234"), True)
    sink.write([b"1234"])
    (place / "late").symlink_to(thing)
    with pytest.raises(NotAFile):
        sink.publish()
    assert (place / "late").is_symlink()


def test_it_stays_in_a_folder_that_another_one_makes_meanwhile(place: Path, thing: Path) -> None:
    """What comes then goes into that folder."""
    if not folder.HAS_DIR_FD:
        pytest.skip("a new folder that appears when it is filled is made by descriptors")
    unpacker = LocalStore(place).unpacker(True, True)
    items: list[Item] = [whole(b"link", b"1234"), whole(b"fifo", b"1234"), whole(b"other", b"1234")]

    real = os.replace

    def replace(*args: object, **named: object) -> None:
        if args[1] == b"new" and not (place / "new").exists():
            (place / "new").mkdir()
            (place / "new" / "link").symlink_to(thing)
            os.mkfifo(place / "new" / "fifo")
        real(*args, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace)
        outcomes = unpacked(unpacker, (b"", [folder_described(b"new")]), (b"new", items))
    assert outcomes == ["done", "not-a-file", "not-a-file", "done"]
    assert (place / "new" / "link").is_symlink()
    assert (place / "new" / "fifo").is_fifo()


@pytest.fixture
def open_file(place: Path) -> Iterator[int]:
    """A plain file that is open, as a standard output can be."""
    with open(place.parent / "outside" / "output", "w") as file:
        yield file.fileno()


def test_a_link_to_a_stream_stays(place: Path, open_file: int) -> None:
    """As /dev/stdout is one, even where that is a file."""
    if not os.path.islink(f"/proc/self/fd/{open_file}"):
        pytest.skip("this system has no links to what is open")
    (place / "output").symlink_to(f"/proc/self/fd/{open_file}")
    (place / "link").symlink_to("output")
    for name in (b"output", b"link"):
        with pytest.raises(NotAFile, match="link leads"):
            LocalStore(place).sink(described(name, b"1234"), True)


@pytest.mark.parametrize(
    "target",
    ["file", "../outside/file", "folder", "nothing", "file/nothing", "link", "folder/../link"],
)
def test_any_other_link_is_replaced(place: Path, target: str) -> None:
    """One to a file, to a folder, to nothing, and to itself."""
    outside = place.parent / "outside" / "file"
    outside.write_text("outside")
    store = LocalStore(place)
    for arrive in (
        lambda: put(store, described(b"link", b"1234"), b"1234"),
        lambda: store.rename(b"second", b"link", True),
        lambda: unpacked(store.unpacker(True, True), (b"", [whole(b"link", b"1234")])),
    ):
        (place / "second").write_text("1234")
        (place / "link").unlink(missing_ok=True)
        (place / "link").symlink_to(target)
        arrive()
        assert not (place / "link").is_symlink()
        assert content_in(store, b"link") == b"1234"
        assert (outside.read_text(), (place / "file").read_text()) == ("outside", "here")


def test_a_link_that_nobody_can_follow_stays(anyones_place: Path, as_nobody: AsNobody) -> None:
    """A peer hears no more than of any other link that isn't replaced."""
    (anyones_place / "closed").mkdir(0o700)
    (anyones_place / "closed" / "file").touch()
    (anyones_place / "closed").chmod(0)
    (anyones_place / "link").symlink_to("closed/file")
    with as_nobody():
        with pytest.raises(NotAFile, match="link leads"):
            LocalStore(anyones_place).sink(described(b"link", b"1234"), True)
        (anyones_place / "link").unlink()


async def test_a_download_and_an_upload_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "n").symlink_to("fifo")
    served = tmp_path / "served"
    served.mkdir()
    (served / "file").write_text("1234")
    (served / "n").symlink_to("../fifo")
    async with serving(served) as server:
        with pytest.raises(NotAFile):
            await server.client.get("file", tmp_path / "n")
        with pytest.raises(NotAFile):
            await server.client.put(served / "file", "n")
    assert (tmp_path / "n").is_symlink()
    assert (served / "n").is_symlink()
