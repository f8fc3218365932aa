"""What a LocalStore does where the operating system doesn't permit it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.kit.nobody import AsNobody
from twisted_ft.errors import Forbidden, IsADirectory, StorageFailed
from twisted_ft.stores.conformance.samples import content_in, described, names_in
from twisted_ft.stores.local import LocalStore, folder


def test_a_file_that_may_not_be_read(anyones_place: Path, as_nobody: AsNobody) -> None:
    (anyones_place / "file").write_text("content")
    (anyones_place / "file").chmod(0)
    with as_nobody(), pytest.raises(Forbidden, match="file: permission denied"):
        LocalStore(anyones_place).source(b"file")


@pytest.mark.parametrize("by_path", [False, True])
def test_a_folder_that_may_not_be_entered(
    anyones_place: Path, as_nobody: AsNobody, by_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_path:
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
    (anyones_place / "folder").mkdir()
    (anyones_place / "folder" / "inner").write_text("inner")
    (anyones_place / "folder").chmod(0)
    store = LocalStore(anyones_place)
    with as_nobody():
        for path in (b"folder", b"folder/inner"):
            with pytest.raises(Forbidden):
                list(store.entries(path))
        with pytest.raises(Forbidden):
            store.source(b"folder/inner")
        with pytest.raises(Forbidden):
            store.sink(described(b"folder/new", b""), True)
        assert names_in(store) == [b"folder"]


def test_a_folder_that_shows_names_only(anyones_place: Path, as_nobody: AsNobody) -> None:
    """Its names can be read, and nothing else."""
    (anyones_place / "folder").mkdir()
    (anyones_place / "folder" / "inner").write_text("inner")
    (anyones_place / "folder").chmod(0o444)
    with as_nobody(), pytest.raises(Forbidden, match="folder: permission denied"):
        list(LocalStore(anyones_place).entries(b"folder"))


def test_a_folder_that_takes_no_files(anyones_place: Path, as_nobody: AsNobody) -> None:
    (anyones_place / "folder").mkdir()
    (anyones_place / "folder").chmod(0o555)
    with as_nobody(), pytest.raises(Forbidden, match="folder/new: permission denied"):
        LocalStore(anyones_place).sink(described(b"folder/new", b""), True)


def test_a_folder_that_takes_no_files_any_more(anyones_place: Path, as_nobody: AsNobody) -> None:
    """What has arrived by then is kept."""
    inbox = anyones_place / "inbox"
    inbox.mkdir()
    inbox.chmod(0o777)
    store, file = LocalStore(anyones_place), described(b"inbox/new", b"1234")
    with as_nobody():
        sink = store.sink(file, True)
        sink.write([b"1234"])
    inbox.chmod(0o555)
    with as_nobody(), pytest.raises(Forbidden):
        sink.publish()
    inbox.chmod(0o777)
    with as_nobody():
        sink = store.sink(file, True)
        assert b"".join(sink.kept()) == b"1234"
        sink.publish()
        assert content_in(store, b"inbox/new") == b"1234"


@pytest.mark.parametrize("mode", [0o000, 0o044, 0o444, 0o200])
def test_a_file_nobody_may_write_is_carried_on(
    anyones_place: Path, as_nobody: AsNobody, mode: int
) -> None:
    """The permissions that it is to have don't keep it from being finished."""
    store = LocalStore(anyones_place)
    file = replace(described(b"new", b"1234"), mode=mode)
    with as_nobody():
        sink = store.sink(file, True)
        sink.write([b"1234"])
        (anyones_place / "new").mkdir()
        with pytest.raises(IsADirectory):
            sink.publish()
        (anyones_place / "new").rmdir()
        sink = store.sink(file, True)
        assert sink.offset == 4
        sink.publish()
    assert (anyones_place / "new").stat().st_mode & 0o7777 == mode


def test_partial_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    sink = LocalStore(tmp_path).sink(described(b"new", b"1234"), True)
    sink.write([b"12"])
    sink.keep()
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}


# -- the root --------------------------------------------------------------------------------


@pytest.mark.parametrize("by_path", [False, True])
@pytest.mark.parametrize("path", [b"x", b"x/y", b""])
def test_a_root_that_is_not_there(
    tmp_path: Path, path: bytes, by_path: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It isn't mistaken for what was asked for; nor is its whole path told to a peer."""
    if by_path:
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
    (tmp_path / "file").write_text("no folder")
    for place in (tmp_path / "missing", tmp_path / "file"):
        store = LocalStore(place)
        with pytest.raises(StorageFailed, match=r"^the root: ") as caught:
            list(store.entries(path))
        assert str(tmp_path) not in caught.value.text
        if path:
            with pytest.raises(StorageFailed):
                store.source(path)
            with pytest.raises(StorageFailed):
                store.sink(described(path, b""), True)


def test_a_root_that_may_not_be_opened(anyones_place: Path, as_nobody: AsNobody) -> None:
    (anyones_place / "root").mkdir(mode=0o700)
    (anyones_place / "root").chmod(0)
    with as_nobody(), pytest.raises(StorageFailed, match=r"^the root: permission denied"):
        list(LocalStore(anyones_place / "root").entries(b""))
