"""The contract of mkdir, mv and rm: what is changed, what is said, and the exit status."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import Server, ft


@pytest.fixture
def filled(place: Place) -> Place:
    """A place with files and folders."""
    place.file("a.txt", b"aaa")
    place.file("b.txt", b"b")
    (place.folder / "sub" / "deeper").mkdir(parents=True)
    (place.folder / "sub" / "c").touch()
    (place.folder / "sub" / "deeper" / "d").touch()
    return place


def found(place: Place) -> list[str]:
    return sorted(str(each.relative_to(place.folder)) for each in place.folder.rglob("*"))


ALL = ["a.txt", "b.txt", "sub", "sub/c", "sub/deeper", "sub/deeper/d"]


# -- mkdir -----------------------------------------------------------------------------------


def test_mkdir(place: Place) -> None:
    outcome = ft("mkdir", place.url("new"), place.url("new/inner/"), place.url("o ther")).ok()
    name = place.folder.name
    assert outcome.out.splitlines() == [
        f"{name}/new: folder made",
        f"{name}/new/inner: folder made",
        f"{name}/o ther: folder made",
    ]
    assert found(place) == ["new", "new/inner", "o ther"]


def test_mkdir_where_something_is(filled: Place) -> None:
    assert "already" in ft("mkdir", filled.url("a.txt")).sentence
    assert "already" in ft("mkdir", filled.url("sub")).sentence
    assert "no such file or folder" in ft("mkdir", filled.url("no/new")).sentence
    assert found(filled) == ALL


def test_one_of_several_fails_and_the_rest_is_made(filled: Place) -> None:
    urls = [filled.url(each) for each in ("x", "sub", "y")]
    outcome = ft("mkdir", "--json", *urls)
    assert outcome.status == 1
    assert [(each["status"], each["count"]) for each in outcome.lines] == [
        ("done", 1),
        ("failed", 0),
        ("done", 1),
    ]
    failed = outcome.lines[1]
    assert list(failed) == ["path", "count", "status", "code", "error"]
    assert (failed["path"], failed["code"]) == (f"{filled.folder.name}/sub", "exists")
    assert outcome.sentence == failed["error"]
    assert {"x", "y"} < set(os.listdir(filled.folder))


# -- mv --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_url", [True, False])
def test_mv(filled: Place, by_url: bool) -> None:
    name = filled.folder.name
    new = filled.url("new.txt") if by_url else f"/{name}/new.txt"
    outcome = ft("mv", filled.url("a.txt"), new).ok()
    assert outcome.out == f"{name}/a.txt: now {name}/new.txt\n"
    assert (filled.folder / "new.txt").read_bytes() == b"aaa"
    assert not (filled.folder / "a.txt").exists()


@pytest.mark.parametrize("by_url", [True, False])
def test_mv_into_a_folder(filled: Place, by_url: bool) -> None:
    new = filled.url("sub/") if by_url else f"{filled.folder.name}/sub/"
    ft("mv", filled.url("a.txt"), new).ok()
    assert (filled.folder / "sub" / "a.txt").read_bytes() == b"aaa"


def test_mv_of_a_folder(filled: Place) -> None:
    line = ft("mv", "--json", filled.url("sub/deeper/"), filled.url("up")).ok().line
    assert line == {"path": f"{filled.folder.name}/sub/deeper", "count": 1, "status": "done"}
    assert found(filled) == ["a.txt", "b.txt", "sub", "sub/c", "up", "up/d"]


def test_mv_replaces_a_file_and_never_a_folder(filled: Place) -> None:
    ft("mv", filled.url("a.txt"), filled.url("b.txt")).ok()
    assert (filled.folder / "b.txt").read_bytes() == b"aaa"
    assert "folder" in ft("mv", filled.url("b.txt"), filled.url("sub")).sentence
    assert "already" in ft("mv", filled.url("sub"), filled.url("b.txt")).sentence
    assert "itself" in ft("mv", filled.url("sub"), filled.url("sub/deeper/x")).sentence


def test_a_server_that_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with Server(tmp_path, "--writable", "--no-overwrite") as server:
        assert "nothing may be renamed" in ft("mv", server.url("a"), "c").sentence
        assert "nothing may be removed" in ft("rm", server.url("a")).sentence
        ft("mkdir", server.url("b")).ok()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


# -- rm --------------------------------------------------------------------------------------


def test_rm(filled: Place) -> None:
    name = filled.folder.name
    outcome = ft("rm", filled.url("a.txt"), filled.url("sub/c")).ok()
    assert outcome.out.splitlines() == [f"{name}/a.txt: removed", f"{name}/sub/c: removed"]
    assert found(filled) == ["b.txt", "sub", "sub/deeper", "sub/deeper/d"]


def test_rm_of_a_folder(filled: Place) -> None:
    assert "-r" in ft("rm", filled.url("sub")).sentence
    assert found(filled) == ALL
    outcome = ft("rm", "-r", filled.url("sub"), filled.url("a.txt")).ok()
    name = filled.folder.name
    assert outcome.out.splitlines() == [
        f"{name}/sub: removed, 4 files and folders in all",
        f"{name}/a.txt: removed",
    ]
    assert found(filled) == ["b.txt"]


def test_rm_as_json(filled: Place) -> None:
    urls = [filled.url(each) for each in ("sub", "missing", "a.txt")]
    outcome = ft("rm", "--recursive", "--json", *urls)
    assert outcome.status == 1
    assert [(each["status"], each["count"]) for each in outcome.lines] == [
        ("done", 4),
        ("failed", 0),
        ("done", 1),
    ]
    assert outcome.lines[1]["code"] == "not-found"
    assert list(outcome.lines[0]) == ["path", "count", "status"]


def test_rm_of_a_link_leaves_what_it_leads_to(filled: Place) -> None:
    (filled.folder / "link").symlink_to("sub")
    assert ft("rm", "-r", filled.url("link")).ok().out.endswith("link: removed\n")
    assert found(filled) == ALL


# -- all of them -----------------------------------------------------------------------------


@pytest.fixture(params=["mkdir", "mv", "rm"])
def command(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """A command, and what follows its URL."""
    return request.param, ["other"] if request.param == "mv" else []


def test_quiet(filled: Place, command: tuple[str, list[str]]) -> None:
    what, more = command
    done = ft(what, "--quiet", filled.url("new" if what == "mkdir" else "a.txt"), *more)
    assert done.ok().out == ""
    assert ft(what, "--quiet", filled.url("no/no"), *more).sentence


def test_a_server_that_is_read_only(read_only: Place, command: tuple[str, list[str]]) -> None:
    what, more = command
    outcome = ft(what, "--json", read_only.file("a", b"a"), *more)
    assert outcome.line["code"] == "read-only"
    assert "nothing can be changed" in outcome.sentence
    assert os.listdir(read_only.folder) == ["a"]


def test_a_server_that_is_not_there(command: tuple[str, list[str]]) -> None:
    what, more = command
    outcome = ft(what, "--json", "ft://localhost:1/a", *more)
    assert (outcome.line["code"], outcome.line["path"]) == ("unreachable", "a")


@pytest.mark.parametrize("url", ["ft://host", "ft://host/", "ft://host//"])
def test_the_root_is_never_meant(url: str, command: tuple[str, list[str]]) -> None:
    what, more = command
    wrong = ft(what, url, *more)
    assert (wrong.status, wrong.out) == (2, "")
    assert "the root" in wrong.err


@pytest.mark.parametrize(
    "args",
    [
        ["mkdir"],
        ["mkdir", "folder"],
        ["mv", "ft://host/a"],
        ["mv", "a", "ft://host/b"],
        ["mv", "ft://host/a", "ft://other/b"],
        ["mv", "ft://host/a", "fts://host/b"],
        ["mv", "ft://host/a", "http://host/b"],
        ["rm"],
        ["rm", "-f", "ft://host/a"],
        ["rm", "a.txt"],
    ],
)
def test_usage(args: list[str]) -> None:
    wrong = ft(*args)
    assert (wrong.status, wrong.out) == (2, "")
    assert wrong.err.startswith("Usage: ft")


def test_the_log_has_a_line_for_each(filled: Place) -> None:
    name = filled.folder.name
    ft("mkdir", filled.url("new")).ok()
    ft("mv", filled.url("a.txt"), filled.url("new/")).ok()
    ft("rm", "-r", filled.url("sub")).ok()
    filled.server.wait_for(rf"made {name}/new: a folder")
    filled.server.wait_for(rf"renamed {name}/a\.txt: it is {name}/new/a\.txt now")
    filled.server.wait_for(rf"removed {name}/sub: 4 files and folders")
