"""Standard streams that are closed, full, ASCII only, or read by nobody: the work is done anyway.

The exit status tells of what couldn't be said, and a line does, where there is a place for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.forked import State
from tests.kit.places import Place
from tests.kit.programs import FT, Outcome, environment, ft
from twisted_ft.cli.streams import Output

STDIN, STDOUT, STDERR = 0, 1, 2
FAILING: tuple[State, ...] = ("closed", "full", "left")
SPOILED: list[dict[int, State]] = [
    {STDIN: "closed"},
    {STDIN: "closed", STDOUT: "closed", STDERR: "closed"},
    *({STDOUT: out} for out in (*FAILING, "ascii")),
    *({STDERR: err} for err in (*FAILING, "ascii")),
]
"""What may be the matter with each of them."""
TOGETHER: list[dict[int, State]] = [
    {STDIN: "closed", STDOUT: out, STDERR: err} for out in FAILING for err in FAILING
]
"""With all of them; tried on commands that say little, say much, and ask for something."""
NAME = "é"


def _get(place: Place, local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["get", place.url("%C3%A9"), local / "got"], (local / "got").exists


def _get_tree(place: Place, local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["get", "-r", place.url(), local / "tree"], (local / "tree" / NAME).exists


def _put(place: Place, local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    (local / NAME).write_bytes(b"new")
    return ["put", local / NAME, place.url("put/")], (place.folder / "put" / NAME).exists


def _put_tree(place: Place, local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    (local / "d").mkdir()
    (local / "d" / NAME).write_bytes(b"new")
    return ["put", "-r", local / "d", place.url()], (place.folder / "d" / NAME).exists


def _list(place: Place, _local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["ls", place.url()], lambda: True


def _mkdir(place: Place, _local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["mkdir", place.url("m%C3%A9")], (place.folder / "mé").exists


def _mv(place: Place, _local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["mv", place.url("%C3%A9"), place.url("%C3%A8")], (place.folder / "è").exists


def _rm(place: Place, _local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["rm", place.url("%C3%A9")], lambda: not (place.folder / NAME).exists()


def _help(_place: Place, _local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["get", "--help"], lambda: True


def _version(_place: Place, _local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["--version"], lambda: True


def _completion(_place: Place, _local: Path) -> tuple[list[str | Path], Callable[[], bool]]:
    return ["completion", "bash"], lambda: True


COMMANDS = [
    *(_get, _get_tree, _put, _put_tree, _list, _mkdir, _mv, _rm),
    *(_help, _version, _completion),
]


def _check(done: Outcome, spoiled: dict[int, State]) -> None:
    """What must hold of a command that would have said something on standard output only."""
    fails = spoiled.get(STDOUT) in FAILING
    assert done.status == (1 if fails else 0), done
    assert "Traceback" not in done.err
    if fails and spoiled.get(STDERR) not in FAILING:
        told = done.err.splitlines()
        assert len(told) <= 1
        assert told or spoiled[STDOUT] == "left"
        assert done.err.startswith("ft: standard output: ") or not told
    else:
        assert done.err == ""
    if spoiled.get(STDOUT) == "ascii":
        assert done.out.isascii()
    assert bool(done.out) is not fails


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__.strip("_"))
def test_the_work_is_done(place: Place, tmp_path: Path, command: object) -> None:
    assert callable(command)
    (place.folder / "put").mkdir()
    together = TOGETHER if command in (_get, _list, _put_tree) else []
    for number, spoiled in enumerate([*SPOILED, *together]):
        place.file(NAME, b"content")
        local = tmp_path / str(number)
        local.mkdir()
        args, is_done = command(place, local)
        _check(ft(*args, states=spoiled), spoiled)
        assert is_done()
        for made in ("mé", "d"):
            subprocess.run(["rm", "-rf", place.folder / made], check=True)
        (place.folder / "put" / NAME).unlink(missing_ok=True)


@pytest.mark.parametrize("args", [["ls", "ft://127.0.0.1:1/"], ["nonsense"], ["get"]])
def test_a_failure_that_can_not_be_told(args: list[str]) -> None:
    told = ft(*args)
    assert told.err
    for state in FAILING:
        assert ft(*args, states={STDERR: state}) == Outcome(told.status, "", "")


def test_a_listing_that_nobody_reads_any_more(place: Place) -> None:
    """It ends quietly, as with ``| head``."""
    for number in range(2000):
        place.file(f"{'long' * 20}{number}", b"")
    assert ft("ls", place.url(), states={STDOUT: "left"}) == Outcome(1, "", "")


def test_a_name_that_ascii_does_not_have(place: Place) -> None:
    """It isn't shown as the other name that it looks like with "backslashreplace"."""
    place.file(NAME, b"")
    (Path(os.fsdecode(os.fsencode(place.folder) + b"/\xe9"))).touch()
    assert ft("ls", place.url(), states={STDOUT: "ascii"}).ok().out == "\\u00e9\n\\xe9\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_programs_that_begin_without(place: Place, tmp_path: Path, closed: str) -> None:
    """As a shell starts them, so that Python itself finds them closed."""
    url = place.file("a", b"content")
    line = f'"$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *FT, "get", url, tmp_path],
        env=environment(),
        capture_output=True,
        check=False,
    )
    without_output = ">&-" in closed.replace("2>&-", "")
    assert done.returncode == (1 if without_output else 0)
    assert (tmp_path / "a").read_bytes() == b"content"
    assert done.stderr in (b"", b"ft: standard output: Bad file descriptor\n")


def test_output_that_somebody_has_made_non_blocking() -> None:
    """It is waited for: as with a pipe that is shared with a program that made it so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    reader = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(len(sys.stdin.buffer.read()))"],
        stdin=reading,
        stdout=subprocess.PIPE,
    )
    os.close(reading)
    output = Output(writing)
    data = memoryview(bytes(1 << 20))
    while data:
        data = data[output.write(data) :]
    os.close(writing)
    assert reader.communicate()[0] == b"1048576\n"
    assert output.failure is None
