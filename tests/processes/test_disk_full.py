"""A disk that is full on either side: said, nothing lost, and carried on when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import Server, ft, kept_in

CONTENT = os.urandom(6 << 20)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 8 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"only root may mount a file system: {error}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def _fill(disk: Path) -> Path:
    """Leave less room than a transfer wants."""
    (disk / "ballast").write_bytes(bytes(4 << 20))
    return disk / "ballast"


def test_at_the_client(place: Place, small_disk: Path) -> None:
    url = place.file("a", CONTENT)
    ballast = _fill(small_disk)
    failed = ft("get", "--json", url, small_disk)
    assert failed.line["code"] == "no-space"
    assert "make room, and try again" in failed.sentence
    kept = kept_in(small_disk)
    assert kept > 0
    assert not (small_disk / "a").exists()
    ballast.unlink()
    line = ft("get", "--json", url, small_disk).ok().line
    assert (line["resumed_from"], line["sent"]) == (kept, len(CONTENT) - kept)
    assert (small_disk / "a").read_bytes() == CONTENT


def test_at_the_server(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    ballast = _fill(small_disk)
    with Server(small_disk, "--writable") as server:
        failed = ft("put", "--json", tmp_path / "a", server.url())
        assert failed.line["code"] == "no-space"
        assert "make room, and try again" in failed.sentence
        kept = kept_in(small_disk)
        assert kept > 0
        assert not (small_disk / "a").exists()
        ballast.unlink()
        line = ft("put", "--json", tmp_path / "a", server.url()).ok().line
        assert (line["resumed_from"], line["sent"]) == (kept, len(CONTENT) - kept)
    assert (small_disk / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("direction", ["get", "put"])
def test_a_tree(tmp_path: Path, small_disk: Path, direction: str) -> None:
    """What has no room is named, file by file; the rest is there, and all of it later."""
    source, target = tmp_path / "source" / "tree", small_disk / "tree"
    source.mkdir(parents=True)
    for number in range(300):
        (source / f"{number:03}").write_bytes(CONTENT[number : number + 20_000])
    ballast = _fill(small_disk)
    root = source.parent if direction == "get" else small_disk
    with Server(root, "--writable") as server:
        ends: list[str | Path] = [server.url("tree"), small_disk]
        if direction == "put":
            ends = [source, server.url()]
        failed = ft(direction, "-r", "--json", *ends)
        assert failed.status == 1
        *files, whole = failed.lines
        reasons = {each["path"]: each["code"] for each in files if each["status"] == "failed"}
        assert set(reasons.values()) == {"no-space"}
        assert failed.err.count("make room, and try again") == len(reasons)
        done = {os.path.basename(each["path"]) for each in files if each["status"] == "done"}
        assert (len(done), len(reasons)) == (whole["done"], whole["failed"])
        assert len(done) + len(reasons) == 300
        assert set(os.listdir(target)) == done
        assert all((target / each).read_bytes() == (source / each).read_bytes() for each in done)
        ballast.unlink()
        assert ft(direction, "-r", "--json", *ends).ok().lines[-1]["done"] == len(reasons)
    assert len(os.listdir(target)) == 300
