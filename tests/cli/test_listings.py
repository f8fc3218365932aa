"""ls where the server can't list all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.listers import Listing
from twisted_ft.cli.listings import show
from twisted_ft.errors import Unsupported
from twisted_ft.urls import parse_url
from twisted_ft.wire.messages import End, Entries, Entry, List, Refuse

PLACE = parse_url("ft://host/d")
A = Entry(b"d/a", "file", 1, 5, 0o644)
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("named", [b"d", b"d/sub"])
def test_a_folder_of_which_something_is_left_out(capsys: Captured, named: bytes) -> None:
    """What is listed is printed, and then the folder is named."""
    ls: Any = Listing()
    unreadable = Entry(named, "unreadable", 0, 0, 0)
    status = ls.status(show(ls, PLACE, False, True), Entries(1, (A, unreadable)), End(1, 2))
    captured = capsys.readouterr()
    assert status == 1
    assert captured.out == "a\n"
    assert captured.err.startswith(f"ft: {named.decode()}: ")
    assert "can't list" in captured.err


@pytest.mark.parametrize("deep", [False, True])
def test_a_listing_that_ends_in_an_error(capsys: Captured, deep: bool) -> None:
    ls: Any = Listing()
    status = ls.status(show(ls, PLACE, False, deep), Entries(1, (A,)), Refuse(1, "io", "d: broken"))
    captured = capsys.readouterr()
    assert (status, captured.out, captured.err) == (1, "a\n", "ft: d: broken\n")


KEPT = Entry(b"d/large", "partial", 5000, 5, 0o644)


@pytest.mark.parametrize("deep", [False, True])
def test_what_is_kept_of_transfers(capsys: Captured, deep: bool) -> None:
    ls: Any = Listing("partial")
    said = Entries(1, (KEPT,)), End(1, 1)
    assert ls.status(show(ls, PLACE, True, deep, True), *said) == 0
    assert List(1, b"d", deep, True) in ls.peer.messages
    line = capsys.readouterr().out
    assert line.startswith("-rw-r--r--")
    assert "5,000" in line
    assert line.endswith(" large\n")


def test_what_is_kept_as_json(capsys: Captured) -> None:
    ls: Any = Listing("partial", json=True)
    assert ls.status(show(ls, PLACE, False, False, True), Entries(1, (KEPT,)), End(1, 1)) == 0
    line = json.loads(capsys.readouterr().out)
    assert line == {"path": "d/large", "kind": "partial", "size": 5000, "mtime": 5}


def test_a_server_that_does_not_list_it(capsys: Captured) -> None:
    ls: Any = Listing()
    assert ls.status(show(ls, PLACE, False, False, True)) == 1
    assert "older version" in capsys.readouterr().err
    with pytest.raises(Unsupported):
        ls.network.run(ls.network.run(ls.client(None)).list("d", partial=True))
    assert not [each for each in ls.peer.messages if isinstance(each, List)]
