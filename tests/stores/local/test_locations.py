"""What a local path on a command line means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twisted_ft.errors import BadName, FileTransferError, IsADirectory, NotADirectory, NotFound
from twisted_ft.stores.local.locations import destination, origin


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``folder`` and ``file`` in it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("content")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("dest", "where"),
    [
        (".", (".", "remote")),
        ("folder", ("folder", "remote")),
        ("folder/", ("folder/", "remote")),
        ("folder/name", ("folder", "name")),
        ("name", (".", "name")),
        ("file", (".", "file")),
        ("new/", ("new/", "remote")),
    ],
)
def test_where_a_download_goes(dest: str, where: tuple[str, str]) -> None:
    assert destination(dest, b"some/remote") == where
    assert os.path.isdir(where[0])


@pytest.mark.parametrize("dest", ["new/folder/", "new/folder/name"])
def test_folders_above_are_made_where_that_is_wanted(dest: str) -> None:
    with pytest.raises(NotFound, match=r"new.*make it first"):
        destination(dest, b"some/remote")
    assert not os.path.exists("new")
    assert destination(dest, b"some/remote", parents=True)[0].rstrip("/") == "new/folder"
    assert os.path.isdir("new/folder")


@pytest.mark.parametrize(
    ("dest", "failure"),
    [
        ("", BadName),
        ("missing/name", NotFound),
        ("file/name", NotFound),
        ("file/", FileTransferError),
        ("file/folder/", NotADirectory),
        ("nul\0/", BadName),
        ("nul\0", BadName),
    ],
)
def test_a_download_that_goes_nowhere(dest: str, failure: type[FileTransferError]) -> None:
    with pytest.raises(failure) as caught:
        destination(dest, b"remote")
    assert caught.value.text.isprintable()


@pytest.mark.parametrize("remote", [b"", b"folder/", b"../..", b".."])
def test_a_download_whose_name_is_no_name(remote: bytes) -> None:
    with pytest.raises(BadName):
        destination("folder", remote)


def test_where_an_upload_comes_from(place: Path) -> None:
    """The user's own links are followed."""
    assert origin("file") == (str(place.resolve()), "file")
    if os.name != "nt":
        (place / "link").symlink_to("file")
        assert origin("link") == (str(place.resolve()), "file")


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        ("", BadName),
        ("missing", NotFound),
        ("file/x", NotADirectory),
        ("/", IsADirectory),
        ("nul\0", BadName),
    ],
)
def test_an_upload_from_nowhere(path: str, failure: type[FileTransferError]) -> None:
    with pytest.raises(failure):
        origin(path)
