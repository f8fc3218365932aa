"""What a LocalStore does with what isn't a plain file, and with links above all."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from twisted_ft.errors import BadName, FileTransferError, NotADirectory, NotAFile, NotFound
from twisted_ft.stores.conformance.samples import content_in, described, names_in, put
from twisted_ft.stores.local import LocalStore, folder
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.record import partial_names

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")


@pytest.fixture(params=["by descriptor", "by path"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder that is served, beside one that isn't; all its links lead astray."""
    if request.param == "by path":
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    place = tmp_path / "place"
    (place / "folder").mkdir(parents=True)
    (place / "folder" / "inner").write_text("inner")
    (place / "to-file").symlink_to("folder/inner")
    (place / "to-folder").symlink_to("folder")
    (place / "to-secret").symlink_to(outside / "secret")
    (place / "to-outside").symlink_to("../outside")
    (place / "to-nothing").symlink_to("nothing")
    (place / "to-itself").symlink_to("to-itself")
    yield place
    assert [each.name for each in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"
    assert (place / "folder" / "inner").read_text() == "inner"


LINKS = [b"to-file", b"to-folder", b"to-secret", b"to-outside", b"to-nothing", b"to-itself"]


@pytest.mark.parametrize("path", [*LINKS, b"to-folder/inner", b"to-outside/secret"])
def test_a_link_is_not_read(place: Path, path: bytes) -> None:
    with pytest.raises(NotAFile, match="symbolic link"):
        LocalStore(place).source(path)


@pytest.mark.parametrize("path", [b"to-folder/new", b"to-outside/secret", b"to-file/new"])
def test_nothing_is_put_through_a_link(place: Path, path: bytes) -> None:
    with pytest.raises(NotAFile, match="symbolic link"):
        LocalStore(place).sink(described(path, b"new"), True)


@pytest.mark.parametrize("path", LINKS)
def test_a_link_in_a_files_place_is_replaced_itself(place: Path, path: bytes) -> None:
    put(LocalStore(place), described(path, b"new"), b"new")
    assert not (place / path.decode()).is_symlink()
    assert content_in(LocalStore(place), path) == b"new"


def test_links_are_listed_as_links(place: Path) -> None:
    kinds = {entry.path: entry.kind for entry in LocalStore(place).entries(b"")}
    assert kinds == {b"folder": "directory", **dict.fromkeys(LINKS, "link")}
    (entry,) = LocalStore(place).entries(b"to-outside")
    assert entry.kind == "link"
    with pytest.raises(NotAFile, match="symbolic link"):
        list(LocalStore(place).entries(b"to-outside/secret"))


def test_links_are_listed_with_where_they_lead(place: Path) -> None:
    """In their own words, also of one that is asked for by itself."""
    store = LocalStore(place)
    for entry in (*store.entries(b""), *store.entries(b"to-outside"), *store.entries(b"folder")):
        here = place / os.fsdecode(entry.path)
        assert entry.target == (os.fsencode(os.readlink(here)) if here.is_symlink() else b"")


@pytest.mark.parametrize("target", [b"\x1b[2J\n\xff", b"t" * 4095], ids=["strange", "longest"])
def test_any_target_is_listed(place: Path, target: bytes) -> None:
    (place / "folder" / "link").symlink_to(os.fsdecode(target))
    entry = next(each for each in LocalStore(place).entries(b"folder") if each.kind == "link")
    assert entry.target == target


@pytest.mark.parametrize("becomes", ["file", "nothing"])
def test_a_link_that_is_none_any_more_when_it_is_read(
    place: Path, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Folder.stat

    def change(folder: Folder, name: bytes) -> os.stat_result:
        status = look(folder, name)
        if name == b"to-file":
            (place / "to-file").unlink()
            if becomes == "file":
                (place / "to-file").touch()
        return status

    monkeypatch.setattr(Folder, "stat", change)
    (entry,) = LocalStore(place).entries(b"to-file")
    assert (entry.kind, entry.target) == ("link", b"")


def test_a_folder_that_becomes_a_link_is_not_followed(place: Path) -> None:
    """The moment between a look and the use of what was seen is none."""
    with Folder.root(str(place)) as root:
        (place / "folder").rename(place / "moved")
        (place / "folder").symlink_to("../outside")
        with pytest.raises(OSError, match="symbolic link"):
            root.below([b"folder"])
    (place / "folder").unlink()
    (place / "moved").rename(place / "folder")


def test_an_open_folder_stays_the_folder_that_it_was(place: Path) -> None:
    if not folder.HAS_DIR_FD:
        pytest.skip("a folder that is a path can be swapped; docs/stores.md says so")
    sink = LocalStore(place).sink(described(b"folder/new", b"1234"), True)
    sink.write([b"1234"])
    (place / "folder").rename(place / "moved")
    (place / "folder").symlink_to("../outside")
    sink.publish()
    assert (place / "moved" / "new").read_bytes() == b"1234"
    (place / "folder").unlink()
    (place / "moved").rename(place / "folder")


def test_a_file_that_becomes_a_link_as_it_is_opened(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at it and the opening."""
    (place / "late").write_text("harmless")
    look = Folder.stat

    def swap_after_look(self: Folder, name: bytes) -> os.stat_result:
        status = look(self, name)
        (place / "late").unlink()
        (place / "late").symlink_to("../outside/secret")
        return status

    monkeypatch.setattr(Folder, "stat", swap_after_look)
    with pytest.raises(NotAFile, match="symbolic link"):
        LocalStore(place).source(b"late")


def test_the_roots_own_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "file").write_text("content")
    (tmp_path / "link").symlink_to("place")
    assert content_in(LocalStore(tmp_path / "link"), b"file") == b"content"


# -- what others put where partial files belong ----------------------------------------------


@pytest.mark.parametrize("which", [0, 1], ids=["part", "from"])
def test_a_link_as_partial_file_leads_nowhere(place: Path, which: int) -> None:
    (place / partial_names(b"new")[which].decode()).symlink_to("../outside/secret")
    try:
        put(LocalStore(place), described(b"new", b"1234"), b"1234")
    except NotAFile:
        assert names_in(LocalStore(place)) == [b"folder", *sorted(LINKS)]


@pytest.mark.parametrize("which", [0, 1], ids=["part", "from"])
def test_another_files_second_name_as_partial_file_is_dropped(place: Path, which: int) -> None:
    """A hard link: to write into it would be to write into the other file."""
    os.link(place.parent / "outside" / "secret", place / partial_names(b"new")[which].decode())
    put(LocalStore(place), described(b"new", b"1234"), b"1234")
    assert content_in(LocalStore(place), b"new") == b"1234"


@pytest.mark.parametrize("which", [0, 1], ids=["part", "from"])
def test_a_fifo_as_partial_file_does_not_hang(place: Path, which: int) -> None:
    os.mkfifo(place / partial_names(b"new")[which].decode())
    try:
        put(LocalStore(place), described(b"new", b"1234"), b"1234")
    except NotAFile:
        assert which == 0


# -- other things that aren't files ----------------------------------------------------------


def _refused(store: LocalStore, name: bytes) -> None:
    with pytest.raises(NotAFile):
        store.source(name)
    for overwrite in (True, False):
        with pytest.raises(NotAFile):
            store.sink(described(name, b""), overwrite)
    (entry,) = store.entries(name)
    assert entry.kind == "other"
    with pytest.raises(NotADirectory):
        list(store.entries(name + b"/x"))


def test_a_fifo(place: Path) -> None:
    """It isn't waited for (fifo(7))."""
    os.mkfifo(place / "fifo")
    _refused(LocalStore(place), b"fifo")


def test_a_fifo_that_comes_late(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "late").write_text("harmless")
    look = Folder.stat

    def swap_after_look(self: Folder, name: bytes) -> os.stat_result:
        status = look(self, name)
        (place / "late").unlink()
        os.mkfifo(place / "late")
        return status

    monkeypatch.setattr(Folder, "stat", swap_after_look)
    with pytest.raises(NotAFile):
        LocalStore(place).source(b"late")


def test_a_socket(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)  # a socket's path has room for about 100 bytes (unix(7))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        _refused(LocalStore(place), b"socket")


def test_a_device(place: Path) -> None:
    """The one of /dev/null."""
    try:
        os.mknod(place / "null", 0o20666, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"only root can make a device: {error}")
    _refused(LocalStore(place), b"null")


def test_nothing_stays_open(place: Path) -> None:
    """Whatever fails."""
    if not os.path.isdir("/dev/fd"):
        pytest.skip("this system doesn't say what is open")
    os.mkfifo(place / "fifo")
    os.mkfifo(place / partial_names(b"fifo-part")[0].decode())
    (place / partial_names(b"folder-part")[0].decode()).mkdir()
    (place / partial_names(b"folder-from")[1].decode()).mkdir()
    store = LocalStore(place)
    busy = store.sink(described(b"busy", b"1234"), True)
    before = len(os.listdir("/dev/fd"))
    names = [b"fifo", b"fifo-part", b"folder-part", b"folder-from", b"folder", b"busy", b"no/no"]
    for path in (*LINKS[1:], *names, b"folder/inner/x", b"to-folder/x", b".."):
        with pytest.raises(FileTransferError):
            store.source(path)
        with suppress(FileTransferError):
            store.sink(described(path, b""), False).discard()
        listing = store.entries(path)
        with suppress(FileTransferError):
            next(listing, None)
        del listing
    with pytest.raises(FileTransferError):
        LocalStore(place / "missing").sink(described(b"x", b""), True)
    assert len(os.listdir("/dev/fd")) == before
    busy.discard()
    assert len(os.listdir("/dev/fd")) == before - (2 if folder.HAS_DIR_FD else 1)


def test_a_removed_file_is_left_out_of_a_listing(place: Path) -> None:
    listing = LocalStore(place).entries(b"")
    assert next(listing).path == b"folder"
    (place / "to-file").unlink()
    assert [entry.path for entry in listing] == sorted(set(LINKS) - {b"to-file"})


def test_what_a_path_has_no_room_for_is_told_of_at_the_end_of_a_listing(tmp_path: Path) -> None:
    """It couldn't be asked for; and no message that names it would be taken."""
    if not folder.HAS_DIR_FD:
        pytest.skip("no path is that long here")
    deep = b"/".join([b"d" * 200] * 20)
    here = os.open(tmp_path, os.O_RDONLY)
    for name in deep.split(b"/"):
        os.mkdir(name, dir_fd=here)
        there = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    for length in (4096 - len(deep) - 1, 4096 - len(deep)):
        os.close(os.open(b"n" * length, os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    entries = LocalStore(tmp_path).entries(deep)
    assert len(next(entries).path) == 4096
    with pytest.raises(BadName, match="1 name in it would make a path longer"):
        next(entries)
    with pytest.raises(NotFound):
        LocalStore(tmp_path).source(deep + b"/no")
    shutil.rmtree(tmp_path / ("d" * 200))
