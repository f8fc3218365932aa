"""ls where the server can't list all of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.kit.listers import Commanded, Listing
from twisted_ft import LocalStore
from twisted_ft.cli import held
from twisted_ft.cli.listings import Look, human_size, show, show_all
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
    status = ls.status(show(ls, PLACE, Look(deep=True)), Entries(1, (A, unreadable)), End(1, 2))
    captured = capsys.readouterr()
    assert status == 1
    assert captured.out == "a\n"
    assert captured.err.startswith(f"ft: ft://host/{named.decode()}: ")
    assert "can't list" in captured.err


@pytest.mark.parametrize("deep", [False, True])
def test_a_listing_that_ends_in_an_error(capsys: Captured, deep: bool) -> None:
    ls: Any = Listing()
    status = ls.status(
        show(ls, PLACE, Look(deep=deep)), Entries(1, (A,)), Refuse(1, "io", "d: broken")
    )
    captured = capsys.readouterr()
    assert (status, captured.out, captured.err) == (1, "a\n", "ft: ft://host/d: broken\n")


KEPT = Entry(b"d/large", "partial", 5000, 5, 0o644)


@pytest.mark.parametrize("deep", [False, True])
def test_what_is_kept_of_transfers(capsys: Captured, deep: bool) -> None:
    ls: Any = Listing("partial")
    said = Entries(1, (KEPT,)), End(1, 1)
    assert ls.status(show(ls, PLACE, Look(long=True, deep=deep, partial=True)), *said) == 0
    assert List(1, b"d", deep, True) in ls.peer.messages
    line = capsys.readouterr().out
    assert line.startswith("-rw-r--r--")
    assert "5,000" in line
    assert line.endswith(" large\n")


def test_what_is_kept_as_json(capsys: Captured) -> None:
    ls: Any = Listing("partial", json=True)
    assert ls.status(show(ls, PLACE, Look(partial=True)), Entries(1, (KEPT,)), End(1, 1)) == 0
    line = json.loads(capsys.readouterr().out)
    assert line == {"path": "d/large", "kind": "partial", "size": 5000, "mtime": 5}


def test_a_server_that_does_not_list_it(capsys: Captured) -> None:
    ls: Any = Listing()
    assert ls.status(show(ls, PLACE, Look(partial=True))) == 1
    assert "older version" in capsys.readouterr().err
    with pytest.raises(Unsupported):
        ls.network.run(ls.network.run(ls.client(None)).list("d", partial=True))
    assert not [each for each in ls.peer.messages if isinstance(each, List)]


HOSTILE = b"\x1b[2J\n-rw \xe2\x80\xae\xff" + b"\x1b" * 4083
LINKS = (
    Entry(b"d/l", "link", 6, 5, 0o777, b"../a b"),
    Entry(b"d/m", "link", 4096, 5, 0o777, HOSTILE),
    Entry(b"d/n", "link", 6, 5, 0o777),
    Entry(b"d/o", "file", 6, 5, 0o644, b"nowhere"),
)
LISTED = [
    "l -> ../a b",
    "m -> \\x1b[2J\\x0a-rw \\u202e\\xff" + "\\x1b" * 4083,
    "n",
    "o",
]
"""A target as it is; one that would do harm to a terminal; an older server's; and a lie."""


@pytest.mark.parametrize("look", [Look(long=True), Look(long=True, deep=True)])
def test_where_links_lead(capsys: Captured, look: Look) -> None:
    """As ls -l says it."""
    assert len(HOSTILE) == 4096
    ls: Any = Listing()
    assert ls.status(show(ls, PLACE, look), Entries(1, LINKS), End(1, 4)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [each.split(" ", 1)[0] for each in lines] == [*["lrwxrwxrwx"] * 3, "-rw-r--r--"]
    for line, listed in zip(lines, LISTED, strict=True):
        assert line.endswith(f":00 {listed}")


def test_where_links_lead_isnt_said_in_a_short_listing(capsys: Captured) -> None:
    ls: Any = Listing()
    assert ls.status(show(ls, PLACE, Look()), Entries(1, LINKS), End(1, 4)) == 0
    assert capsys.readouterr().out.split() == ["l", "m", "n", "o"]


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make links")
def test_where_links_on_a_disk_lead(capsys: Captured, tmp_path: Path) -> None:
    """Of several URLs, one of them a link itself; and of a whole tree."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").symlink_to("../nowhere")
    (tmp_path / "link").symlink_to("folder")
    ls: Any = Commanded(LocalStore(tmp_path))
    places = [parse_url(f"ft://host/{name}") for name in ("link", "folder")]
    assert ls.run(show_all(ls, places, Look(long=True))) == 0
    link, *_, inner = capsys.readouterr().out.splitlines()
    assert link.endswith(" link -> folder")
    assert inner.endswith(" inner -> ../nowhere")
    assert ls.run(show(ls, parse_url("ft://host"), Look(long=True, deep=True))) == 0
    _, link, inner = capsys.readouterr().out.splitlines()
    assert link.endswith(" link -> folder")
    assert inner.endswith(" folder/inner -> ../nowhere")


def test_where_links_lead_as_json(capsys: Captured) -> None:
    """Names that aren't UTF-8 are as Python has them; null is what isn't known."""
    ls: Any = Listing(json=True)
    assert ls.status(show(ls, PLACE, Look(long=True)), Entries(1, LINKS), End(1, 4)) == 0
    lines = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"path": "d/l", "kind": "link", "size": 6, "mtime": 5, "target": "../a b"}
    assert [each.get("target", "none") for each in lines[1:]] == [
        os.fsdecode(HOSTILE),
        None,
        "none",
    ]


SOME = (
    Entry(b"d/a", "file", 5, 3 * 10**9, 0o644),
    Entry(b"d/b", "directory", 4096, 1 * 10**9, 0o755),
    Entry(b"d/c", "file", 5, 2 * 10**9, 0o644),
    Entry(b"d/e", "file", 700, 2 * 10**9, 0o644),
    Entry(b"d/b/x", "file", 1, 5 * 10**9, 0o644),
    Entry(b"d/b/y", "file", 2, 5 * 10**9, 0o644),
)


@pytest.mark.parametrize(
    ("order", "reverse", "listed"),
    [
        ("name", True, "e c b/ a"),
        ("size", False, "b/ e a c"),
        ("size", True, "c a e b/"),
        ("time", False, "a c e b/"),
        ("time", True, "b/ e c a"),
    ],
)
def test_sorted(capsys: Captured, order: str, reverse: bool, listed: str) -> None:
    """As ls does it: names decide where sizes or times are the same."""
    ls: Any = Listing()
    look = Look(order=order, reverse=reverse)
    assert ls.status(show(ls, PLACE, look), Entries(1, SOME[:4]), End(1, 4)) == 0
    assert capsys.readouterr().out.split() == listed.split()


def test_sorted_folder_by_folder(capsys: Captured) -> None:
    ls: Any = Listing()
    look = Look(deep=True, order="size")
    unreadable = Entry(b"d/b", "unreadable", 0, 0, 0)
    said = Entries(1, (*SOME, unreadable)), End(1, 7)
    assert ls.status(show(ls, PLACE, look), *said) == 1
    captured = capsys.readouterr()
    assert captured.out.split() == ["b/", "e", "a", "c", "b/y", "b/x"]
    assert "d/b" in captured.err


def test_sorted_before_a_failure(capsys: Captured) -> None:
    ls: Any = Listing()
    said = Entries(1, SOME[:4]), Refuse(1, "io", "d: broken")
    assert ls.status(show(ls, PLACE, Look(order="time")), *said) == 1
    captured = capsys.readouterr()
    assert captured.out.split() == ["a", "c", "e", "b/"]
    assert captured.err == "ft: ft://host/d: broken\n"


def test_more_than_can_be_sorted(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_HELD", 1500)
    ls: Any = Listing()
    assert ls.status(show(ls, PLACE, Look(reverse=True)), Entries(1, SOME[:4]), End(1, 4)) == 1
    assert "leave out -S, -t and -r" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "human"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.0K"),
        (1025, "1.1K"),
        (10137, "9.9K"),
        (10138, "10K"),
        (10240, "10K"),
        (10241, "11K"),
        (1023 * 1024, "1023K"),
        (1023 * 1024 + 1, "1.0M"),
        (1 << 30, "1.0G"),
        ((1 << 63) - 1, "8.0E"),
        ((1 << 70), "1024E"),
    ],
)
def test_sizes_for_people(size: int, human: str) -> None:
    """As GNU ls rounds them: up."""
    assert human_size(size) == human
