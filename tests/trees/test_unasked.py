"""Servers that send what the options don't ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3

from tests.kit.saying import ROOT, D, N, W, described, whole
from tests.kit.tree_peers import Fetching
from twisted_ft.wire.messages import Described, End, Link, Part, Receipts, Summed


def begun(place: Path, **options: bool) -> Fetching:
    fetching = Fetching(place / "t", **options)
    fetching.parcel(ROOT)
    return fetching


def told(fetching: Fetching) -> dict[str, str]:
    """What became of each, by its last name."""
    return {os.path.basename(each.path): each.status for each in fetching.results}


@pytest.mark.parametrize("together", [True, False])
def test_links_are_left_out_and_told(tmp_path: Path, together: bool) -> None:
    fetching = begun(tmp_path)
    link = Link(b"l", 0, b"a")
    if together:
        assert fetching.parcel(whole(b"a"), link) == Receipts(4, D + N, ())
    else:
        fetching.parcel(whole(b"a"))
        assert fetching.parcel(link) == Receipts(6, N, ())
    fetching.say(End(1, 3))
    assert fetching.done.called
    assert os.listdir(fetching.place) == ["a"]
    assert told(fetching) == {"a": "done", "l": "left out"}


def test_links_that_were_asked_for(tmp_path: Path) -> None:
    fetching = begun(tmp_path, links=True)
    assert fetching.parcel(whole(b"a"), Link(b"l", 0, b"a")) == Receipts(4, D + D, ())
    fetching.say(End(1, 3))
    assert os.readlink(fetching.place / "l") == "a"


def test_sums_where_digests_are_to_be_compared(tmp_path: Path) -> None:
    fetching = begun(tmp_path, checksum=True)
    nothing = blake3(b"").digest()
    assert fetching.parcel(Summed(b"", 0, nothing)) == Receipts(4, N, ())


def test_a_digest_is_no_question_that_a_server_may_put(tmp_path: Path) -> None:
    """It would learn which of our files it knows, and have us read them all."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine").write_bytes(b"hello")
    fetching = begun(tmp_path)
    asked = Described(b"mine", "file", 5, 77, 0o644, blake3(b"hello").digest())
    assert fetching.parcel(asked, described(b"other")) == Receipts(4, N + W, ())
    fetching.parcel(whole(b"other"))
    fetching.say(End(1, 3))
    assert told(fetching) == {"mine": "failed", "other": "done"}


def test_a_whole_file_that_is_larger_than_was_asked_for_is_as_good(tmp_path: Path) -> None:
    """A message bounds it, and its digest is compared."""
    fetching = begun(tmp_path)
    content = bytes((1 << 20) - 500)
    assert fetching.parcel(whole(b"a", content)) == Receipts(4, D, ())
    assert (fetching.place / "a").read_bytes() == content


def test_a_whole_file_that_was_to_be_described_first(tmp_path: Path) -> None:
    fetching = begun(tmp_path, checksum=True)
    assert fetching.parcel(Part(b"", (whole(b"a"),))) == Receipts(4, D, ())
