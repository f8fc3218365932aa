"""A disk that is full on either side: said, and nothing is written that has no room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.disks import mounted
from tests.kit.places import Place
from tests.kit.programs import Server, ft

CONTENT = os.urandom(6 << 20)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 8 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    with mounted(path, "size=8m"):
        yield path


def _fill(disk: Path) -> Path:
    """Leave less room than a transfer wants."""
    (disk / "ballast").write_bytes(bytes(4 << 20))
    return disk / "ballast"


def test_at_the_client(place: Place, small_disk: Path) -> None:
    """Nothing is written of what can't fit; what fits goes on beside it."""
    large, few = place.file("large", CONTENT), place.file("few", CONTENT[:1000])
    ballast = _fill(small_disk)
    failed = ft("get", "--json", large, few, f"{small_disk}/")
    assert [line.get("code") for line in failed.lines[:2]] == ["no-space", None]
    assert "make room, and try again" in failed.err
    assert sorted(os.listdir(small_disk)) == ["ballast", "few"]
    ballast.unlink()
    assert ft("get", "--json", large, small_disk).ok().line["resumed_from"] == 0
    assert (small_disk / "large").read_bytes() == CONTENT


def test_at_the_server(tmp_path: Path, small_disk: Path) -> None:
    """Nothing is written of what can't fit; what fits goes on beside it."""
    (tmp_path / "large").write_bytes(CONTENT)
    (tmp_path / "few").write_bytes(CONTENT[:1000])
    ballast = _fill(small_disk)
    with Server(small_disk, "--writable", "--min-free", "0") as server:
        failed = ft("put", "--json", tmp_path / "large", tmp_path / "few", server.url())
        assert [line.get("code") for line in failed.lines[:2]] == ["no-space", None]
        assert "make room, and try again" in failed.err
        assert sorted(os.listdir(small_disk)) == ["ballast", "few"]
        ballast.unlink()
        line = ft("put", "--json", tmp_path / "large", server.url()).ok().line
        assert (line["resumed_from"], line["sent"]) == (0, len(CONTENT))
    assert (small_disk / "large").read_bytes() == CONTENT


def test_far_more_than_there_is(tmp_path: Path, small_disk: Path) -> None:
    """It is refused when it is offered, and not a byte of it is there; others don't notice."""
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 100 << 20)
    names = [f"file{number}" for number in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(CONTENT[: 1 << 20])
    with Server(small_disk, "--writable", "--min-free", "1M") as server:
        paths = [tmp_path / name for name in ("file0", "huge", "file1", "file2")]
        done = ft("put", "--json", *paths, server.url())
        assert [line.get("code") for line in done.lines[:4]] == [None, "no-space", None, None]
        assert done.lines[1]["sent"] == 0
        assert sorted(os.listdir(small_disk)) == names
        assert sorted(each.stat().st_size for each in small_disk.iterdir()) == [1 << 20] * 3


@pytest.mark.parametrize("direction", ["get", "put"])
def test_a_tree(tmp_path: Path, small_disk: Path, direction: str) -> None:
    """What has no room is named, file by file; the rest is there, and all of it later."""
    source, target = tmp_path / "source" / "tree", small_disk / "tree"
    source.mkdir(parents=True)
    for number in range(300):
        (source / f"{number:03}").write_bytes(CONTENT[number : number + 20_000])
    ballast = _fill(small_disk)
    root = source.parent if direction == "get" else small_disk
    with Server(root, "--writable", "--min-free", "0") as server:
        ends: list[str | Path] = [server.url("tree"), small_disk]
        if direction == "put":
            ends = [source, server.url()]
        failed = ft(direction, "-r", "--json", *ends)
        assert failed.status == 1
        *files, whole = failed.lines
        reasons = {each["path"]: each["code"] for each in files if each["status"] == "failed"}
        assert set(reasons.values()) == {"no-space"}
        assert failed.err.count("make room, and try again") == 10
        *_, last = failed.err.splitlines()
        assert last.startswith(f"ft: {len(reasons) - 10} more files: ")
        done = {os.path.basename(each["path"]) for each in files if each["status"] == "done"}
        assert (len(done), len(reasons)) == (whole["done"], whole["failed"])
        assert len(done) + len(reasons) == 300
        assert set(os.listdir(target)) == done
        assert all((target / each).read_bytes() == (source / each).read_bytes() for each in done)
        ballast.unlink()
        assert ft(direction, "-r", "--json", *ends).ok().lines[-1]["done"] == len(reasons)
    assert len(os.listdir(target)) == 300
