"""Names of all kinds, from one disk to the other; and none that a terminal would obey."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from tests.kit.places import Place
from tests.kit.programs import ft

NAMES = {
    "spaces": b" a  b ",
    "a leading dash": b"-rf",
    "255 bytes": b"n" * 255,
    "composed": "é".encode(),
    "decomposed": "e\u0301".encode(),
    "not UTF-8": b"caf\xe9\xff",
    "what URLs use": b"a?b#c%41&d;e",
    "an escape": b"\x1b]0;owned\x07\x1b[2J",
    "a line end": b"one\ntwo",
    "right to left": "cod.\u202egpj".encode(),
    "a backslash": b"a\\x1bb",
    "what markup uses": b"[bold red]a",
    "a pattern": b"*",
}


@pytest.fixture(params=NAMES.values(), ids=list(NAMES))
def name(request: pytest.FixtureRequest) -> bytes:
    found = request.param
    assert isinstance(found, bytes)
    return found


def _control(text: str) -> list[str]:
    return [each for each in text if each in "\x07\x1b\u202e\r" or 0xD800 <= ord(each) < 0xE000]


def test_there_and_back(place: Place, tmp_path: Path, name: bytes) -> None:
    (tmp_path / "from").mkdir()
    path = os.path.join(os.fsencode(tmp_path / "from"), name)
    Path(os.fsdecode(path)).write_bytes(name)
    there = ft("put", "--", os.fsdecode(path), place.url()).ok()
    assert os.listdir(os.fsencode(place.folder)) == [name]
    back = ft("get", place.url(quote_from_bytes(name)), "to/", cwd=tmp_path).ok()
    assert os.listdir(os.fsencode(tmp_path / "to")) == [name]
    assert (tmp_path / "to" / os.fsdecode(name)).read_bytes() == name
    assert len(there.out.splitlines()) == len(back.out.splitlines()) == 1
    assert not _control(there.out + back.out)


def test_none_is_shown_raw(place: Place) -> None:
    for each in NAMES.values():
        (place.folder / os.fsdecode(each)).touch()
    shown = ft("ls", place.url()).ok().out
    assert len(shown.splitlines()) == len(NAMES)
    assert not _control(shown)


def test_json_is_plain_ascii_and_tells_every_name(place: Place) -> None:
    for each in NAMES.values():
        (place.folder / os.fsdecode(each)).touch()
    listed = ft("ls", "--json", place.url()).ok()
    assert listed.out.isascii()
    names = {os.fsencode(line["path"]).rpartition(b"/")[2] for line in listed.lines}
    assert names == set(NAMES.values())


def test_a_hostile_name_in_an_error_is_escaped(place: Place, tmp_path: Path) -> None:
    sentence = ft("get", place.url("%1b[2J%0a%ff"), cwd=tmp_path).sentence
    assert "/%1B%5B2J%0A%FF: there is no such file" in sentence


def test_a_hostile_name_in_the_log_is_escaped(place: Place, tmp_path: Path) -> None:
    ft("get", place.url("%1b[3J%0aforged"), cwd=tmp_path)
    place.server.wait_for(r"not sent .*\\x1b\[3J\\x0aforged")
    assert "\x1b" not in place.server.log


@pytest.mark.parametrize(
    "path",
    ["../served", "a/../b", "./a", "a//b", "%2fetc/passwd", "a%00b", "n" * 256, "%2e%2e/x"],
)
def test_bad_names(place: Place, tmp_path: Path, path: str) -> None:
    failed = ft("get", "--json", place.url(path), tmp_path)
    assert failed.line["code"] == "bad-name"
    assert failed.sentence
    assert not os.listdir(tmp_path)


def test_a_path_that_is_too_long(place: Place, tmp_path: Path) -> None:
    failed = ft("get", "--json", place.url("/".join(["n" * 200] * 25)), tmp_path)
    assert failed.line["code"] == "bad-name"


def test_an_absolute_name(place: Place, tmp_path: Path) -> None:
    failed = ft("get", "--json", place.server.url("%2fetc/passwd"), tmp_path)
    assert failed.line["code"] == "bad-name"
