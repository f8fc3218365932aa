"""Two sources of one name, sources that can't be read, missing folders: each path by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.planting import without_privileges
from tests.kit.programs import ft
from twisted_ft.cli.main import cli


def two(folder: Path, name: str, *contents: bytes) -> list[str]:
    """Files of one name, in folders a, b ..., and all of one time; their paths."""
    paths = []
    for letter, content in zip("abc", contents, strict=False):
        (folder / letter).mkdir(exist_ok=True)
        path = folder / letter / name
        path.write_bytes(content)
        os.utime(path, ns=(5, 5))
        paths.append(f"{letter}/{name}")
    return paths


def test_different_files_of_one_size_and_time(place: Place, tmp_path: Path) -> None:
    one, other = two(tmp_path, "x", b"one\n", b"two\n")
    ft("put", one, place.url("x"), cwd=tmp_path).ok()
    ft("put", other, place.url("x"), cwd=tmp_path).ok()
    assert (place.folder / "x").read_bytes() == b"two\n"
    ft("get", place.url("x"), one, cwd=tmp_path).ok()
    assert (tmp_path / one).read_bytes() == b"two\n"
    assert "already there, verified" in ft("get", place.url("x"), one, cwd=tmp_path).ok().out


def test_checksum_and_force(place: Place, tmp_path: Path) -> None:
    (path,) = two(tmp_path, "x", b"one\n")
    ft("put", path, place.url(), cwd=tmp_path).ok()
    os.utime(tmp_path / path, ns=(7, 7))
    line = ft("put", "--json", "--checksum", path, place.url(), cwd=tmp_path).ok().line
    assert (line["status"], line["sent"]) == ("skipped", 0)
    assert (place.folder / "x").stat().st_mtime_ns == 7
    line = ft("get", "--json", "--force", place.url("x"), path, cwd=tmp_path).ok().line
    assert (line["status"], line["sent"]) == ("done", 4)
    wrong = ft("put", "--force", "--checksum", path, place.url(), cwd=tmp_path)
    assert wrong.status == 2


@pytest.mark.parametrize("deep", [[], ["-r"]])
def test_two_sources_of_one_name(place: Place, tmp_path: Path, deep: list[str]) -> None:
    paths = two(tmp_path, "same", b"1", b"2")
    (tmp_path / "other").write_bytes(b"3")
    refused = ft("put", *deep, "other", *paths, place.url(), cwd=tmp_path)
    assert refused.status == 1
    assert "a/same and b/same would both be" in refused.sentence
    assert os.listdir(place.folder) == []
    for letter, name in zip("ab", paths, strict=True):
        (place.folder / letter).mkdir()
        (place.folder / name).write_bytes(letter.encode())
    (tmp_path / "into").mkdir()
    urls = [place.url(path) for path in paths]
    refused = ft("get", *deep, *urls, "into", cwd=tmp_path)
    assert refused.status == 1
    assert f"{urls[0]} and {urls[1]} would both be into/same" in refused.sentence
    assert os.listdir(tmp_path / "into") == []


def test_two_trees_of_one_name(place: Place, tmp_path: Path) -> None:
    two(tmp_path, "t", b"1", b"2")
    for letter in "ab":
        (tmp_path / letter / "tree").mkdir()
    for args in (["a/tree", "b/tree"], ["a/", "b/"]):
        refused = ft("put", "-r", *args, place.url(), cwd=tmp_path)
        assert "would both be" in refused.sentence
        assert os.listdir(place.folder) == []


def test_a_source_that_may_not_be_read() -> None:
    """It is for the transfer to say so, when the others have had theirs."""
    with without_privileges() as here:
        for name in ("shut", "good"):
            (here / name).write_bytes(b"")
        (here / "shut").chmod(0)
        args = [str(here / "shut"), str(here / "good"), "ft://host/"]
        typed = cli.commands["put"].make_context("put", [*args])
        assert typed.params["paths"] == tuple(args[:2])
        cli.commands["ls"].make_context("ls", ["--tls-ca", str(here / "shut"), "ft://host/"])


def test_put_makes_the_last_folder(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    ft("put", tmp_path / "a", place.url("new/")).ok()
    assert (place.folder / "new" / "a").read_bytes() == b"new"
    failed = ft("put", "--json", tmp_path / "a", place.url("not/there/"))
    assert failed.line["code"] == "not-found"
    failed = ft("put", "--json", tmp_path / "a", place.url("not/a"))
    assert failed.line["code"] == "not-found"
    assert os.listdir(place.folder) == ["new"]


def test_parents(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "b").write_bytes(b"b")
    ft("put", "--parents", "a", place.url("1/2/3/"), cwd=tmp_path).ok()
    ft("put", "-p", "a", place.url("1/4/name"), cwd=tmp_path).ok()
    ft("put", "-rp", "t", place.url("5/6/"), cwd=tmp_path).ok()
    ft("mkdir", "-p", place.url("7/8"), place.url("7/8"), place.url("1/4")).ok()
    assert {str(each.relative_to(place.folder)) for each in place.folder.rglob("*")} == {
        *("1", "1/2", "1/2/3", "1/2/3/a", "1/4", "1/4/name", "5", "5/6", "5/6/t", "5/6/t/b"),
        *("7", "7/8"),
    }
    assert "name" in ft("mkdir", "--parents", place.url("1/4/name")).sentence
    assert "no folder" in ft("get", place.url("1/4/name"), "x/y/", cwd=tmp_path).sentence
    assert "no folder" in ft("get", place.url("1/4/name"), "x/y", cwd=tmp_path).sentence
    ft("get", "-p", place.url("1/4/name"), "x/y/", cwd=tmp_path).ok()
    ft("get", "--parents", place.url("1/4/name"), "x/z/as", cwd=tmp_path).ok()
    assert (tmp_path / "x/y/name").read_bytes() == (tmp_path / "x/z/as").read_bytes() == b"new"


def test_trees_into_missing_folders(place: Place, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "b").write_bytes(b"b")
    ft("put", "-r", "t", place.url("new/"), cwd=tmp_path).ok()
    assert (place.folder / "new/t/b").read_bytes() == b"b"
    assert "no such folder" in ft("put", "-r", "t", place.url("x/y/"), cwd=tmp_path).sentence
    assert "no folder" in ft("get", "-r", place.url("new/t"), "x/y/", cwd=tmp_path).sentence
    assert not (tmp_path / "x").exists()
    ft("get", "-r", place.url("new/t"), "into/", cwd=tmp_path).ok()
    ft("get", "-rp", place.url("new/t"), "x/y/", cwd=tmp_path).ok()
    assert (tmp_path / "into/t/b").read_bytes() == (tmp_path / "x/y/t/b").read_bytes() == b"b"
