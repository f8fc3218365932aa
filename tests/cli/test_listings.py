"""ls where the server can't list all of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.listers import Listing
from twisted_ft.cli.listings import show
from twisted_ft.urls import parse_url
from twisted_ft.wire.messages import End, Entries, Entry, Refuse

PLACE = parse_url("ft://host/d")
A = Entry(b"d/a", "file", 1, 5, 0o644)
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("named", [b"d", b"d/sub"])
def test_a_folder_of_which_something_is_left_out(
    capsys: Captured, deep: bool, named: bytes
) -> None:
    """What is listed is printed, and then the folder is named."""
    ls: Any = Listing()
    unreadable = Entry(named, "unreadable", 0, 0, 0)
    status = ls.status(show(ls, PLACE, False, deep), Entries(1, (A, unreadable)), End(1, 2))
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
