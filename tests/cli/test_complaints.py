"""What has failed, told so that one cause doesn't fill the screen."""

from __future__ import annotations

from twisted_ft.cli.complaints import Complaints
from twisted_ft.errors import ConnectionFailed, Forbidden, NoSpace, PeerError


def test_the_first_ten_of_a_kind_are_named_and_the_others_counted() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for number in range(307):
        error = NoSpace("no space left on the disk; make room").at("here", f"f{number}")
        complaints.take(error, error.text)
    other = Forbidden("permission denied").at("here", "g")
    complaints.take(other, other.text)
    complaints.end()
    complaints.end()
    assert len(said) == 12
    assert said[9] == "f9: no space left on the disk; make room"
    assert said[10] == "g: permission denied"
    assert said[11] == "297 more files: no space left on the disk"


def test_what_concerns_no_file_is_told_once() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for _ in range(3):
        complaints.take(ConnectionFailed("lost; run again"), "host:1: lost; run again")
    complaints.end()
    assert said == ["host:1: lost; run again", "2 more files: host:1: lost"]


def test_one_more() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for _ in range(11):
        complaints.take(Forbidden("no").at("there", "a"), "ft://h/a: no")
    complaints.end()
    assert said[-1] == "1 more file: no"


def test_a_peer_that_makes_up_codes() -> None:
    """It is told of, in so many lines and no more."""
    said: list[str] = []
    complaints = Complaints(said.append)
    for number in range(5000):
        complaints.take(PeerError("no", f"code{number}").at("there", "a"), "ft://h/a: no")
    complaints.end()
    assert len(said) <= 111
    assert said[-1].startswith("4,8")
