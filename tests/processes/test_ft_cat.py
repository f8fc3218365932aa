"""Standard output and input in the place of files: get -, cat and put -."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import FT, environment, ft, wait_until
from tests.kit.staging import content_of

CONTENT = content_of(5_000_000)


def piped(*args: str, feed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """ft between two pipes, to its end."""
    return subprocess.run(
        [*FT, *args], input=feed, capture_output=True, env=environment(), timeout=60, check=False
    )


def test_there_and_back(place: Place) -> None:
    sent = piped("put", "--json", "-", place.url("a"), feed=CONTENT)
    told = json.loads(sent.stdout)
    assert (sent.returncode, told["status"], told["size"]) == (0, "done", len(CONTENT))
    assert (place.folder / "a").read_bytes() == CONTENT
    for command in (("get", place.url("a"), "-"), ("cat", place.url("a"))):
        got = piped(*command)
        assert (got.returncode, got.stderr) == (0, b"")
        assert got.stdout == CONTENT


def test_several_follow_one_another(place: Place) -> None:
    """One that isn't there is named, and the others come all the same."""
    (place.folder / "a").write_bytes(b"hello, ")
    (place.folder / "b").write_bytes(b"world")
    got = piped("cat", place.url("a"), place.url("nowhere"), place.url("b"))
    assert (got.returncode, got.stdout) == (1, b"hello, world")
    assert got.stderr.startswith(b"ft: ")
    assert got.stderr.count(b"\n") == 1


def test_a_file_in_the_place_of_a_pipe(place: Place, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(CONTENT)
    with (tmp_path / "in").open("rb") as source:
        command = [*FT, "put", "-", place.url("a")]
        subprocess.run(command, stdin=source, env=environment(), check=True, timeout=60)
    with (tmp_path / "out").open("wb") as target:
        command = [*FT, "cat", place.url("a")]
        subprocess.run(command, stdout=target, env=environment(), check=True, timeout=60)
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_reader_that_has_enough(place: Place) -> None:
    (place.folder / "a").write_bytes(CONTENT)
    command = [*FT, "cat", place.url("a")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        assert reading.stdout.read(10) == CONTENT[:10]
        reading.stdout.close()
        assert reading.stderr.read() == b""
        assert reading.wait(60) == 1


@pytest.mark.parametrize("what", ["input that gives nothing", "output that takes nothing"])
def test_an_interrupt_ends_it_at_once(place: Place, what: str) -> None:
    (place.folder / "a").write_bytes(CONTENT)
    gives = what.startswith("input")
    command = [*FT, "put", "-", place.url("new")] if gives else [*FT, "cat", place.url("a")]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as waiting:
        assert waiting.stdin is not None
        assert waiting.stdout is not None
        assert waiting.stderr is not None
        if gives:
            waiting.stdin.write(b"some")
            waiting.stdin.flush()
            wait_until(lambda: any(each.stat().st_size for each in place.folder.glob(".ft-*.from")))
        else:
            assert os.read(waiting.stdout.fileno(), 1)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(20) == 130
        assert waiting.stderr.read() == b"ft: interrupted\n"
    wait_until(lambda: not list(place.folder.glob(".ft-*")))
    assert not (place.folder / "new").exists()


@pytest.mark.parametrize("command", ["cat", "put"])
def test_a_stream_that_is_closed(place: Place, command: str) -> None:
    (place.folder / "a").write_bytes(b"hello")
    typed = f"cat {place.url('a')} >&-" if command == "cat" else f"put - {place.url('b')} <&-"
    closed = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {typed}', *FT],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    name = b"output" if command == "cat" else b"input"
    assert (closed.returncode, closed.stderr) == (1, b"ft: standard %b is closed\n" % name)
    assert not (place.folder / "b").exists()


def test_an_output_that_is_full(place: Place) -> None:
    (place.folder / "a").write_bytes(CONTENT)
    with open("/dev/full", "wb") as full:
        failed = subprocess.run(
            [*FT, "cat", place.url("a")],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert failed.returncode == 1
    assert failed.stderr == b"ft: standard output: No space left on device\n"


def test_a_file_that_is_called_so(place: Place, tmp_path: Path) -> None:
    (tmp_path / "-").write_bytes(b"hello")
    assert ft("put", "./-", place.url("a"), cwd=tmp_path).status == 0
    assert ft("get", place.url("a"), "./-", cwd=tmp_path).status == 0
    assert (place.folder / "a").read_bytes() == b"hello"
