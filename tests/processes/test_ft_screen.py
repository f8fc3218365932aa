"""What is on the screen while files move: a bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import FT, Outcome, environment, ft, outcome, start_ft


def _on_a_terminal(*args: str | Path) -> tuple[Outcome, str]:
    """``ft`` with its standard error on a terminal; its outcome, and what the terminal was sent."""
    ours, theirs = pty.openpty()
    process = start_ft(*args, stderr=theirs, TERM="xterm", COLUMNS="100", LINES="24")
    os.close(theirs)
    screen = _all_sent(ours)
    done = outcome(process)
    return Outcome(done.status, done.out, ""), screen


def _all_sent(terminal: int) -> str:
    """What a terminal is sent, until its other end is closed."""
    screen = bytearray()
    try:
        while some := os.read(terminal, 1 << 16):
            screen += some
    except OSError:  # EIO
        pass
    os.close(terminal)
    return screen.decode()


def _plain(screen: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)


def test_a_bar_on_a_terminal(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", os.urandom(4 << 20))
    done, screen = _on_a_terminal("get", "--limit-rate", "4M", url, tmp_path)
    done.ok()
    shown = _plain(screen)
    assert "a.bin" in shown
    assert re.search(r"\b[1-9]\d?%", shown), "a percentage"
    assert re.search(r"\d/4\.2 MB", shown), "how much of how much"
    assert re.search(r"\d MB/s", shown), "the rate"
    assert re.search(r"\d:\d\d:\d\d", shown), "the time left"
    assert "100%" not in shown
    assert done.out.endswith("verified\n")


def test_the_bar_goes_away(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", os.urandom(2 << 20))
    _, screen = _on_a_terminal("get", "--limit-rate", "2M", url, tmp_path)
    assert screen.rstrip("\r\n").endswith("\x1b[2K")  # erases the line
    assert "\x1b[?25l" not in screen  # the cursor is never hidden, however the process ends


def test_a_hostile_name_on_the_bar_is_escaped(place: Place, tmp_path: Path) -> None:
    url = place.file("a\x1b]0;owned\x07", os.urandom(2 << 20)).replace("\x1b", "%1b")
    _, screen = _on_a_terminal("get", "--limit-rate", "2M", url.replace("\x07", "%07"), tmp_path)
    assert "a\\x1b]0;owned\\x07" in _plain(screen)
    assert "\x1b]" not in screen
    assert "\x07" not in screen


def test_what_looks_like_markup_on_the_bar_is_shown(place: Place, tmp_path: Path) -> None:
    url = place.file("[red]a", os.urandom(2 << 20))
    _, screen = _on_a_terminal("get", "--limit-rate", "2M", url, tmp_path)
    assert "[red]a" in _plain(screen)


def test_no_bar_where_none_is_wanted(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", b"a")
    for option in ("--no-progress", "--quiet"):
        done, screen = _on_a_terminal("get", option, url, tmp_path / option)
        assert (done.status, screen) == (0, "")


def test_json_and_a_bar_side_by_side(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", os.urandom(2 << 20))
    done, screen = _on_a_terminal("get", "--json", "--limit-rate", "2M", url, tmp_path)
    assert done.line["status"] == "done"
    assert "a.bin" in screen


def test_no_bar_without_a_terminal(place: Place, tmp_path: Path) -> None:
    assert ft("get", place.file("a.bin", b"a" * 1000), tmp_path).err == ""


def test_json_of_a_tree_and_a_bar_side_by_side(place: Place, tmp_path: Path) -> None:
    """Its lines go to standard output, and not to the terminal."""
    for name in "ab":
        place.file(name, os.urandom(2 << 20))
    done, screen = _on_a_terminal(
        "get", "-r", "--json", "--limit-rate", "2M", place.url(), tmp_path
    )
    assert [line.get("status") for line in done.lines] == ["done"] * 3
    assert '"status"' not in screen
    assert "files" in screen


def test_no_bar_in_the_background(place: Place, tmp_path: Path) -> None:
    """The terminal is the shell's there."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    url = place.file("a.bin", os.urandom(2 << 20))
    command = shlex.join([*FT, "get", "--limit-rate", "2M", url, str(tmp_path)])
    for typed, seen in ((f"{command} & wait", False), (command, True)):
        child, ours = pty.fork()
        if child == 0:
            os.execve(
                bash, [bash, "--norc", "--noprofile", "-ic", typed], environment(TERM="xterm")
            )
        screen = _all_sent(ours)
        os.waitpid(child, 0)
        assert "verified" in screen or "already there" in screen
        assert bool(re.search(r"\d/2.1 MB", screen)) is seen
        (tmp_path / "a.bin").unlink()
