"""get -r and put -r: where folders go, what is said, and that a killed run is carried on."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
from conftest import Place
from programs import ft, outcome, start_ft, wait_until

FILES: dict[str, bytes] = {
    "a.txt": b"a",
    "sub/b.bin": os.urandom(50_000),
    "sub/deeper/c": b"",
    "sub/-dash": b"dash",
}


def grow(root: Path) -> Path:
    """Make a tree."""
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "hollow").mkdir()
    return root


def tree(root: Path) -> dict[str, bytes | None]:
    """What is below a folder; None for folders."""
    return {
        str(each.relative_to(root)): each.read_bytes() if each.is_file() else None
        for each in root.rglob("*")
    }


@pytest.fixture
def served(place: Place) -> Place:
    grow(place.folder / "tree")
    return place


@pytest.mark.parametrize(
    ("url", "dest", "expected"),
    [
        ("tree", (), "tree"),
        ("tree", (".",), "tree"),
        ("tree", ("new",), "new/tree"),
        ("tree", ("new/",), "new/tree"),
        ("tree/", ("new",), "new"),
        ("tree/", ("new/",), "new"),
        ("tree/", (), "."),
    ],
)
def test_where_a_download_goes(
    served: Place, tmp_path: Path, url: str, dest: tuple[str, ...], expected: str
) -> None:
    ft("get", "-r", served.url(url), *dest, cwd=tmp_path).ok()
    assert tree(tmp_path / expected) == tree(served.folder / "tree")


@pytest.mark.parametrize(
    ("path", "url", "expected"),
    [
        ("tree", "", "tree"),
        ("tree/", "", "."),
        ("tree", "new", "new"),
        ("tree", "new/", "new/tree"),
        ("tree/", "new/", "new"),
        ("tree/sub/..", "new", "new"),
    ],
)
def test_where_an_upload_goes(
    place: Place, tmp_path: Path, path: str, url: str, expected: str
) -> None:
    grow(tmp_path / "tree")
    if expected == "new/tree":
        (place.folder / "new").mkdir()
    ft("put", "-r", path, place.url(url), cwd=tmp_path).ok()
    assert tree(place.folder / expected) == tree(tmp_path / "tree")


def test_files_and_folders_together(place: Place, tmp_path: Path) -> None:
    grow(tmp_path / "tree")
    (tmp_path / "file").write_bytes(b"file")
    ft("put", "-r", "file", "tree", place.url(), cwd=tmp_path).ok()
    assert sorted(os.listdir(place.folder)) == ["file", "tree"]


def test_several_downloads(served: Place, tmp_path: Path) -> None:
    grow(served.folder / "two")
    urls = [served.url("tree"), served.url("two")]
    ft("get", "-r", *urls, "one", cwd=tmp_path).ok()
    assert sorted(os.listdir(tmp_path / "one")) == ["tree", "two"]


@pytest.mark.parametrize("url", ["tree", "tree/"])
def test_the_same_command_again_means_the_same_files(
    served: Place, tmp_path: Path, url: str
) -> None:
    ft("get", "-r", served.url(url), "new", cwd=tmp_path).ok()
    before = tree(tmp_path)
    assert "4 already there" in ft("get", "-r", served.url(url), "new", cwd=tmp_path).ok().out
    assert tree(tmp_path) == before


@pytest.mark.parametrize("url", ["new", "new/"])
def test_the_same_for_an_upload(place: Place, tmp_path: Path, url: str) -> None:
    grow(tmp_path / "tree")
    (place.folder / "new").mkdir()
    ft("put", "-r", "tree", place.url(url), cwd=tmp_path).ok()
    before = tree(place.folder)
    assert "4 already there" in ft("put", "-r", "tree", place.url(url), cwd=tmp_path).ok().out
    assert tree(place.folder) == before


def test_without_r(served: Place, tmp_path: Path) -> None:
    outcome = ft("get", served.url("tree/"), cwd=tmp_path)
    assert outcome.status == 2
    assert "-r" in outcome.err
    assert "folder" in ft("get", served.url("tree"), cwd=tmp_path).sentence


def test_the_account(served: Place, tmp_path: Path) -> None:
    (served.folder / "tree" / "link").symlink_to("a.txt")
    first = ft("get", "-r", served.url("tree"), cwd=tmp_path).ok().out
    assert first.startswith("./tree: 4 files verified, 50 kB sent in ")
    assert first.endswith("; 1 left out (no files): ./tree/link\n")
    again = ft("get", "-r", served.url("tree"), cwd=tmp_path).ok().out
    assert again.startswith("./tree: 0 files verified, 0 bytes sent in ")
    assert "; 4 already there" in again
    assert ft("get", "-rq", served.url("tree"), cwd=tmp_path).ok().out == ""


def test_json(served: Place, tmp_path: Path) -> None:
    *files, whole = ft("get", "-r", "--json", served.url("tree/"), "t", cwd=tmp_path).ok().lines
    assert {each["path"] for each in files} == {f"t/{name}" for name in FILES}
    assert {each["status"] for each in files} == {"done"}
    assert whole.pop("seconds") >= 0
    assert whole == {
        "tree": "t",
        "done": 4,
        "skipped": 0,
        "failed": 0,
        "left_out": 0,
        "size": 50_005,
        "sent": 50_005,
        "status": "done",
    }


def test_what_fails_is_named_and_the_others_arrive(served: Place, tmp_path: Path) -> None:
    grow(tmp_path / "tree" / "a.txt")
    outcome = ft("get", "-r", "--json", served.url("tree"), cwd=tmp_path)
    assert outcome.status == 1
    assert outcome.err.startswith("ft: a.txt: this is a folder")
    *files, whole = outcome.lines
    assert [each["code"] for each in files if each["status"] == "failed"] == ["is-a-directory"]
    assert (whole["done"], whole["failed"], whole["status"]) == (3, 1, "failed")
    assert (tmp_path / "tree" / "sub" / "-dash").read_bytes() == b"dash"


def test_a_server_that_is_read_only(read_only: Place, tmp_path: Path) -> None:
    grow(tmp_path / "tree")
    outcome = ft("put", "-r", "tree", read_only.url(), cwd=tmp_path)
    assert outcome.status == 1
    assert "--writable" in outcome.err
    assert not os.listdir(read_only.folder)


def test_what_isnt_there(place: Place, tmp_path: Path) -> None:
    assert "no such file or folder" in ft("get", "-r", place.url("no"), cwd=tmp_path).err
    assert "no such file or folder" in ft("put", "-r", "no", place.url(), cwd=tmp_path).sentence
    assert ft("get", "-r", place.file("file", b""), cwd=tmp_path).status == 1
    assert not os.listdir(tmp_path)


def _kill_at(process: subprocess.Popen[str], target: Path, files: int) -> None:
    """Kill a client when so many files are there, unless it is done before."""
    wait_until(
        lambda: process.poll() is not None or (target.is_dir() and len(os.listdir(target)) > files)
    )
    process.kill()
    outcome(process)


@pytest.mark.parametrize("direction", ["get", "put"])
def test_killed_and_run_again(place: Place, tmp_path: Path, direction: str) -> None:
    """At ten moments; then the trees are the same, and nothing partial is left."""
    source = (place.folder if direction == "get" else tmp_path) / "tree"
    target = (tmp_path if direction == "get" else place.folder) / "tree"
    source.mkdir()
    for number in range(400):
        (source / f"{number:03}").write_bytes(os.urandom(random.choice([10, 5000, 300_000])))
    command: list[str | Path] = ["get", "-r", place.url("tree"), tmp_path]
    if direction == "put":
        command = ["put", "-r", source, place.url()]
    for wanted in range(30, 330, 30):
        _kill_at(start_ft(*command), target, wanted)
    ft(*command).ok()
    assert tree(target) == tree(source)
