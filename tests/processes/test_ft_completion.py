"""What a shell offers when Tab is pressed: commands, options, files here, and names on a server."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import ANY_PORT, Server, environment, ft, outcome, start_ft


def _offered(line: str, word: str, cwd: Path | None = None) -> list[str]:
    """What is offered behind ``line``, of which bash would replace ``word``."""
    process = start_ft(cwd=cwd, _FT_COMPLETE="bash_complete", FT_LINE=line, FT_WORD=word)
    return outcome(process).ok().out.split()


@pytest.fixture
def served(place: Place) -> Place:
    """A folder with ``docs/``, ``docs2/`` and some files in it."""
    for folder in ("docs", "docs2", "docs/a b"):
        (place.folder / folder).mkdir()
    place.file("docs/x:y.txt", b"")
    place.file("docs/c,d é", b"")
    return place


def test_names_on_a_server(served: Place) -> None:
    """Bash replaces what stands behind the last colon; quoted, the whole of it."""
    url = served.url("do")
    behind = url.rpartition(":")[2]
    both = [f"plain,{behind}cs/", f"plain,{behind}cs2/"]
    assert _offered(f"ft get {url}", behind) == both
    assert _offered(f"ft ls -l '{url}", f"'{url}") == [f"plain,{url}cs/", f"plain,{url}cs2/"]
    assert _offered(f"ft put a.txt {url}", behind) == both
    assert _offered(f"ft rm {url}nothing", f"{behind}nothing") == []


def test_names_that_a_url_can_not_have(served: Place) -> None:
    url = served.url("docs/")
    names = [each.removeprefix(f"plain,{url}") for each in _offered(f"ft get {url}", url)]
    assert names == ["a%20b/", "c%2Cd%20%C3%A9", "x%3Ay.txt"]
    (one,) = _offered(f"ft get {url}a%20", f"{url}a%20")
    assert one == f"plain,{url}a%20b/"


def test_what_else_is_offered() -> None:
    assert _offered("ft he", "he") == ["plain,help"]
    assert _offered("ft ls f", "f") == ["plain,ft://", "plain,fts://"]
    assert _offered("ft put som", "som") == ["file,som"]
    assert _offered("ft ls --rev", "--rev") == ["plain,--reverse"]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """It is silent, as somebody is typing."""
    for url in ("ft://127.0.0.1:1/x", "ft://nosuch.invalid/x", "ft://host", "ft://host:port/x"):
        assert _offered(f"ft ls {url}", url) == []
    with Server(tmp_path, listen=ANY_PORT) as server:
        server.process.send_signal(signal.SIGSTOP)
        try:
            assert _offered(f"ft ls {server.url()}", server.url()) == []
        finally:
            server.process.send_signal(signal.SIGCONT)


def test_in_bash_itself(served: Place, tmp_path: Path) -> None:
    """Its function, as it is called when Tab is pressed, with what is typed."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    program, url = tmp_path / "ft", served.url("do")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m twisted_ft "$@"\n')
    program.chmod(0o755)
    (tmp_path / "completion").write_text(ft("completion", "bash").ok().out)
    word = url.rpartition(":")[2]
    done = subprocess.run(
        [bash, "--norc", "-c", TYPED, program, tmp_path / "completion", f"ft get {url}", word],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.split(), done.stderr) == ([f"{word}cs/", f"{word}cs2/"], "")


TYPED = r"""
compopt() { :; }  # bash has it only while Tab is pressed
. "$1"
COMP_LINE=$2 COMP_POINT=${#2}
_ft_completion "$0" "$3" get
printf '%s\n' "${COMPREPLY[@]}"
"""
