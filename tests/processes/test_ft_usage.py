"""What is typed wrong ends with 2 and a usage line; help, version and completion; ways to start."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import ft, outcome, start_ft
from twisted_ft.version import VERSION

WRONG = {
    "no command": ["fetch"],
    "no url": ["get"],
    "a path as url": ["get", "a.txt"],
    "another scheme": ["get", "http://host/a"],
    "a url behind dest": ["get", "ft://host/a", "dest", "ft://host/b"],
    "a folder to get": ["get", "ft://host/folder/"],
    "the root to get": ["get", "ft://host"],
    "a stream and a folder": ["put", "--parents", "-", "ft://host/a"],
    "a stream that is compared": ["get", "--checksum", "ft://host/a", "-"],
    "nothing to be compared": ["get", "--checksum", "--force", "ft://host/a"],
    "no host": ["ls", "ft:///a"],
    "a port that is none": ["ls", "ft://host:port/"],
    "a port too high": ["ls", "ft://host:65536/"],
    "port 0": ["ls", "ft://host:0/"],
    "put without url": ["put", "a.txt"],
    "put to a path": ["put", "a.txt", "b.txt"],
    "standard input to a folder": ["put", "-", "ft://host/folder/"],
    "standard input as a folder": ["put", "-r", "-", "ft://host/a"],
    "standard input beside a file": ["put", "-", "a.txt", "ft://host/a"],
    "a folder to standard output": ["get", "-r", "ft://host/folder", "-"],
    "lines beside a file": ["get", "--json", "ft://host/a", "-"],
    "a folder to cat": ["cat", "ft://host/folder/"],
    "a path to cat": ["cat", "a.txt"],
    "an unknown option": ["ls", "--colour", "ft://host/"],
    "a rate that is none": ["get", "--limit-rate", "fast", "ft://host/a"],
    "a rate of 0": ["get", "--limit-rate", "0", "ft://host/a"],
    "a timeout of 0": ["ls", "--timeout", "0", "ft://host/"],
    "a timeout that is none": ["ls", "--timeout", "soon", "ft://host/"],
    "a shell that is none": ["completion", "cobol"],
}


@pytest.mark.parametrize("args", WRONG.values(), ids=WRONG)
def test_usage(args: list[str]) -> None:
    wrong = ft(*args)
    assert (wrong.status, wrong.out) == (2, "")
    assert wrong.err.startswith("Usage: ft")
    *_, last = wrong.err.splitlines()
    assert last.startswith("Error: ")


def test_a_user_in_the_url() -> None:
    wrong = ft("ls", "ft://ada@host/")
    assert wrong.status == 2
    assert "this version can't log in" in wrong.err


def test_a_password_in_the_url_is_not_shown() -> None:
    assert "secret" not in ft("ls", "ft://ada:secret@host/").err


def test_no_arguments_show_the_help() -> None:
    shown = ft()
    assert "Commands:" in shown.out + shown.err
    assert shown.status in (0, 2)


@pytest.mark.parametrize("command", ["get", "put", "ls", "mkdir", "mv", "rm", "lab", "completion"])
def test_help(command: str) -> None:
    """In both ways the same, with examples."""
    shown = ft(command, "--help").ok()
    assert shown.out.startswith(f"Usage: ft {command} ")
    assert re.search(rf"\n  Examples:\n    .*ft {command} ", shown.out)
    assert ft("help", command).ok() == shown


def test_help_of_all() -> None:
    assert ft("help").ok() == ft("--help").ok() == ft("-h").ok()
    wrong = ft("help", "fetch")
    assert (wrong.status, wrong.out) == (2, "")
    assert "no command 'fetch'" in wrong.err


def test_version() -> None:
    assert VERSION in ft("--version").ok().out
    assert ft("-V") == ft("--version")


def test_a_url_to_put() -> None:
    wrong = ft("put", "ft://host/a", "ft://host/b")
    assert wrong.status == 2
    assert "get it first, then put it" in wrong.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert "_FT_COMPLETE" in ft("completion", shell).ok().out


def test_bash_takes_the_completion() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = ft("completion", "bash").ok().out
    subprocess.run([bash, "-n"], input=script, text=True, check=True)


def test_python_m(place: Place) -> None:
    place.file("a", b"a")
    assert outcome(start_ft("ls", place.url())).ok().out == "a\n"


def test_the_script(place: Place) -> None:
    script = Path(sys.executable).parent / "ft"
    if not script.exists():
        pytest.skip("the package is not installed beside this Python")
    place.file("a", b"a")
    done = subprocess.run([script, "ls", place.url()], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"a\n", b"")


@pytest.mark.parametrize("option", [["--limit-rate", "1M"], ["--tls-ca", "ca.pem"]])
def test_lab_takes_no_option_that_it_would_not_keep(option: list[str]) -> None:
    ended = ft("lab", *option, "localhost")
    assert ended.status == 2
    assert "No such option" in ended.err
