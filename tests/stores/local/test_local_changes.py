"""What a LocalStore makes, renames and removes: links, permissions, depth, and what is in use."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.nobody import AsNobody
from twisted_ft.errors import (
    AlreadyExists,
    Busy,
    FileTransferError,
    Forbidden,
    IsADirectory,
    NotAFile,
    NotFound,
    StorageFailed,
)
from twisted_ft.stores import system
from twisted_ft.stores.conformance.samples import content_in, described, names_in, put
from twisted_ft.stores.interfaces import Sink
from twisted_ft.stores.local import LocalStore, folder
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.record import partial_names

resource = pytest.importorskip("resource")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, permissions and FIFOs of POSIX")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A root with a folder, and links into it and out of the root."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    root = tmp_path / "place"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "inner").write_text("inner")
    (root / "to-folder").symlink_to("folder")
    (root / "to-outside").symlink_to("../outside")
    (root / "to-file").symlink_to("folder/inner")
    (root / "to-nothing").symlink_to("nothing")
    return root


LINKS = [b"to-folder", b"to-outside", b"to-file", b"to-nothing"]


def check_outside(place: Path) -> None:
    assert (place.parent / "outside" / "secret").read_text() == "secret"
    assert sorted(os.listdir(place.parent / "outside")) == ["secret"]


# -- links -----------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("path", LINKS)
def test_a_link_is_removed_itself(place: Path, path: bytes, deep: bool) -> None:
    assert LocalStore(place).remove(path, deep) == 1
    assert not os.path.lexists(place / path.decode())
    assert (place / "folder" / "inner").read_text() == "inner"
    check_outside(place)


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("path", LINKS)
def test_a_link_is_renamed_itself(place: Path, path: bytes, overwrite: bool) -> None:
    target = os.readlink(place / path.decode())
    LocalStore(place).rename(path, b"folder/renamed", overwrite)
    assert os.readlink(place / "folder" / "renamed") == target
    assert not os.path.lexists(place / path.decode())
    check_outside(place)


@pytest.mark.parametrize("link", ["to-folder", "to-outside"])
def test_nothing_is_changed_through_a_link(place: Path, link: str) -> None:
    store, inside = LocalStore(place), os.fsencode(link) + b"/secret"
    uses: list[Callable[[], object]] = [
        lambda: store.make_folder(inside),
        lambda: store.rename(inside, b"stolen", True),
        lambda: store.rename(b"folder/inner", inside, True),
        lambda: store.remove(inside, True),
    ]
    for use in uses:
        with pytest.raises(NotAFile, match="symbolic link"):
            use()
    assert names_in(store, b"folder") == [b"folder/inner"]
    check_outside(place)


@pytest.mark.parametrize("path", LINKS)
def test_no_folder_is_made_in_the_place_of_a_link(place: Path, path: bytes) -> None:
    with pytest.raises(AlreadyExists):
        LocalStore(place).make_folder(path)
    with pytest.raises(AlreadyExists):
        LocalStore(place).rename(b"folder", path, True)


def test_links_in_a_folder_are_removed_with_it(place: Path) -> None:
    for number, target in enumerate(("../../outside", "..", "../folder", "/")):
        (place / "folder" / f"link-{number}").symlink_to(target)
    assert LocalStore(place).remove(b"folder", True) == 6
    check_outside(place)
    assert sorted(os.listdir(place)) == sorted(map(os.fsdecode, LINKS))


def test_a_folder_that_becomes_a_link_is_not_emptied(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at it and its opening."""
    look = Folder.has_folder

    def swap_after_look(self: Folder, name: bytes) -> bool:
        found = look(self, name)
        (place / "folder").rename(place / "moved")
        (place / "folder").symlink_to("../outside")
        return found

    monkeypatch.setattr(Folder, "has_folder", swap_after_look)
    with pytest.raises(FileTransferError):
        LocalStore(place).remove(b"folder", True)
    check_outside(place)


def test_a_folder_that_is_moved_while_it_is_emptied(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way up from it leads elsewhere, and is not gone."""
    if not folder.HAS_DIR_FD:
        pytest.skip("a folder that is a path can be swapped; docs/stores.md says so")
    (place / "folder" / "a" / "b").mkdir(parents=True)
    (place / "folder" / "a" / "b" / "file").touch()
    remove = Folder.remove

    def move_after_removal(self: Folder, name: bytes) -> None:
        remove(self, name)
        (place / "folder" / "a" / "b").rename(place.parent / "outside" / "b")

    monkeypatch.setattr(Folder, "remove", move_after_removal)
    with pytest.raises(Busy):
        LocalStore(place).remove(b"folder", True)
    assert (place.parent / "outside" / "secret").read_text() == "secret"
    assert (place / "folder" / "inner").read_text() == "inner"


# -- other things ----------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_fifo_is_renamed_and_removed_and_not_replaced(place: Path, overwrite: bool) -> None:
    os.mkfifo(place / "fifo")
    store = LocalStore(place)
    store.rename(b"fifo", b"folder/fifo", overwrite)
    with pytest.raises(NotAFile):
        store.rename(b"folder/inner", b"folder/fifo", overwrite)
    assert store.remove(b"folder/fifo", False) == 1
    assert names_in(store, b"folder") == [b"folder/inner"]


def test_two_names_of_one_file_become_one(place: Path) -> None:
    """Where rename(2) would do nothing."""
    os.link(place / "folder" / "inner", place / "second")
    LocalStore(place).rename(b"folder/inner", b"second", True)
    assert os.listdir(place / "folder") == []
    assert (place / "second").read_text() == "inner"


def test_a_file_system_without_links(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = LocalStore(place)
    store.make_folder(b"taken")
    with pytest.raises(IsADirectory):
        store.rename(b"folder/inner", b"taken", False)
    store.rename(b"folder/inner", b"taken/new", False)
    (place / "file").write_text("other")
    with pytest.raises(AlreadyExists):
        store.rename(b"file", b"taken/new", False)
    assert content_in(store, b"taken/new") == b"inner"


@pytest.mark.parametrize("call", ["replace", "link"])
def test_another_file_system(place: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StorageFailed, match="new: the new name is on another file system"):
        LocalStore(place).rename(b"folder/inner", b"new", call == "replace")
    assert content_in(LocalStore(place), b"folder/inner") == b"inner"


def test_a_change_is_synced(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each folder that it concerns, before it is called done."""
    if not folder.HAS_DIR_FD:
        pytest.skip("a folder can't be synced here")
    synced: list[int] = []
    sync = os.fsync

    def note(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(os, "fsync", note)
    store = LocalStore(place)
    root, inside = place.stat().st_ino, (place / "folder").stat().st_ino
    for change, folders in (
        (lambda: store.make_folder(b"folder/new"), {inside}),
        (lambda: store.rename(b"folder/inner", b"moved", True), {root, inside}),
        (lambda: store.rename(b"folder/new", b"new", True), {root, inside}),
        (lambda: store.remove(b"moved", False), {root}),
        (lambda: store.remove(b"folder", True), {root}),
    ):
        synced.clear()
        change()
        assert set(synced) == folders


# -- permissions -----------------------------------------------------------------------------


@pytest.mark.parametrize("by_path", [False, True])
def test_a_folder_that_takes_no_changes(
    anyones_place: Path, as_nobody: AsNobody, by_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_path:
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
    (anyones_place / "folder" / "inner").mkdir(parents=True)
    (anyones_place / "folder" / "file").write_text("content")
    (anyones_place / "folder").chmod(0o555)
    store = LocalStore(anyones_place)
    uses: list[Callable[[], object]] = [
        lambda: store.make_folder(b"folder/new"),
        lambda: store.rename(b"folder/file", b"new", True),
        lambda: store.rename(b"folder/inner", b"folder/new", True),
        lambda: store.remove(b"folder/file", False),
        lambda: store.remove(b"folder", True),
    ]
    with as_nobody():
        for use in uses:
            with pytest.raises(Forbidden):
                use()
        assert names_in(store, b"folder") == [b"folder/file", b"folder/inner"]


def test_what_was_removed_before_a_failure_is_removed(
    anyones_place: Path, as_nobody: AsNobody
) -> None:
    """And the failure names what couldn't be."""
    for name in ("a", "b", "c"):
        (anyones_place / "folder" / name).mkdir(parents=True)
        (anyones_place / "folder" / name / "file").touch()
        (anyones_place / "folder" / name).chmod(0o777)
    (anyones_place / "folder").chmod(0o777)
    (anyones_place / "folder" / "b").chmod(0o555)
    with as_nobody():
        with pytest.raises(Forbidden, match="folder/b/file: permission denied"):
            LocalStore(anyones_place).remove(b"folder", True)
        assert names_in(LocalStore(anyones_place), b"folder") == [b"folder/b", b"folder/c"]


def test_an_empty_folder_that_may_not_be_entered(anyones_place: Path, as_nobody: AsNobody) -> None:
    """It is removed without that, as by rm(1)."""
    (anyones_place / "folder").mkdir()
    (anyones_place / "folder").chmod(0o777)
    with as_nobody():
        (anyones_place / "folder" / "closed").mkdir(mode=0)
        assert LocalStore(anyones_place).remove(b"folder", True) == 2


# -- partial files ---------------------------------------------------------------------------


def test_a_transfer_under_way_keeps_all_of_its_folder(place: Path) -> None:
    """Its record too, so that it can be carried on."""
    store = LocalStore(place)
    file = described(b"folder/deeper/new", b"1234")
    (place / "folder" / "deeper").mkdir()
    (place / "folder" / "deeper" / "!first").touch()
    sink = store.sink(file, True)
    sink.write([b"12"])
    with pytest.raises(Busy, match="transfer"):
        store.remove(b"folder", True)
    sink.keep()
    assert names_in(store, b"folder/deeper") == [b"folder/deeper/!first"]
    sink = store.sink(file, True)
    assert sink.offset == 2
    sink.discard()


@pytest.mark.parametrize("which", [0, 1], ids=["part", "from"])
def test_what_others_put_where_partial_files_belong_is_removed(place: Path, which: int) -> None:
    names = [partial_names(each)[which].decode() for each in (b"1", b"2", b"3")]
    (place / "folder" / names[0]).symlink_to("../../outside/secret")
    os.mkfifo(place / "folder" / names[1])
    (place / "folder" / names[2]).mkdir()
    (place / "folder" / names[2] / "file").touch()
    assert LocalStore(place).remove(b"folder", True) == 4
    assert not (place / "folder").exists()
    check_outside(place)


def test_a_transfer_that_begins_while_its_folder_is_removed_keeps_what_it_writes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened is another file than what has its name by the time it is locked."""
    store = LocalStore(place)
    first = store.sink(described(b"folder/new", b"12345678"), True)
    first.write([b"1234"])
    first.keep()
    lock = system.lock

    def begin_before_lock(fd: int) -> bool:
        monkeypatch.setattr(system, "lock", lock)
        os.unlink(place / "folder" / os.fsdecode(partial_names(b"new")[0]))
        sinks.append(store.sink(described(b"folder/new", b"abcd", version=b"2"), True))
        return lock(fd)

    sinks: list[Sink] = []
    monkeypatch.setattr(system, "lock", begin_before_lock)
    with pytest.raises(Busy):
        store.remove(b"folder", True)
    sinks[0].write([b"abcd"])
    sinks[0].publish()
    assert content_in(store, b"folder/new") == b"abcd"


def test_a_file_that_comes_while_its_folder_is_removed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Folder.remove

    def put_after_removal(self: Folder, name: bytes) -> None:
        remove(self, name)
        (place / "folder" / "late").touch()

    monkeypatch.setattr(Folder, "remove", put_after_removal)
    with pytest.raises(Busy, match="put into the folder"):
        LocalStore(place).remove(b"folder", True)
    assert os.listdir(place / "folder") == ["late"]


def test_a_file_that_goes_while_its_folder_is_removed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Folder.names
    monkeypatch.setattr(Folder, "names", lambda self: [b"gone", *names(self)])
    assert LocalStore(place).remove(b"folder", True) == 2


# -- depth, and what is left open ------------------------------------------------------------


def test_a_folder_as_deep_as_a_path_can_be(tmp_path: Path) -> None:
    """And deeper, with few descriptors, and no more of the stack than else."""
    if not folder.HAS_DIR_FD:
        pytest.skip("no path is that long here")
    depth = 2500
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=there))
        os.close(here)
        here = there
    os.close(here)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = sys.getrecursionlimit()
    few = max(map(int, os.listdir("/dev/fd"))) + 8
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    sys.setrecursionlimit(200)
    try:
        count = LocalStore(tmp_path).remove(b"d", True)
    finally:
        sys.setrecursionlimit(limit)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert count == 2 * depth
    assert os.listdir(tmp_path) == []


def test_a_name_at_the_end_of_the_longest_path(tmp_path: Path) -> None:
    if not folder.HAS_DIR_FD:
        pytest.skip("no path is that long here")
    store, path = LocalStore(tmp_path), b""
    for _ in range(20):
        path += b"/" + b"d" * 200 if path else b"d" * 200
        store.make_folder(path)
    last = path + b"/" + b"n" * (4096 - len(path) - 1)
    put(store, described(path + b"/file", b"1"), b"1")
    store.rename(path + b"/file", last, False)
    assert names_in(store, path) == [last]
    assert store.remove(last, False) == 1
    assert store.remove(path[:200], True) == 20


def test_nothing_stays_open(place: Path) -> None:
    """Whatever is done, and whatever fails."""
    if not os.path.isdir("/dev/fd"):
        pytest.skip("this system doesn't say what is open")
    store = LocalStore(place)
    (place / "folder" / "a" / "b").mkdir(parents=True)
    sink = store.sink(described(b"folder/a/b/new", b"1234"), True)
    before = len(os.listdir("/dev/fd"))
    for path in (b"no/no", b"to-folder/x", b"folder/inner/x", b"folder", b"folder/a"):
        for use in (
            lambda path=path: store.make_folder(path),
            lambda path=path: store.rename(path, b"to-folder/x", True),
            lambda path=path: store.rename(path, b"no/x", True),
            lambda path=path: store.rename(b"folder/a", path + b"/a", False),
            lambda path=path: store.remove(path, True),
        ):
            with pytest.raises(FileTransferError):
                use()
    store.make_folder(b"new")
    store.rename(b"new", b"newer", False)
    assert store.remove(b"newer", True) == 1
    assert len(os.listdir("/dev/fd")) == before
    sink.discard()
    store.remove(b"folder", True)
    with pytest.raises(NotFound):
        store.remove(b"folder", True)
    assert len(os.listdir("/dev/fd")) == before - (2 if folder.HAS_DIR_FD else 1)
