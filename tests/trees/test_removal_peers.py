"""Servers whose listings nobody should remove anything for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.planting import grow, result_of
from tests.kit.saying import ROOT
from tests.kit.tree_peers import Fetching
from twisted_ft.errors import FileTransferError
from twisted_ft.wire.messages import End, Entries, Entry, List, Message, Refuse


def file(path: bytes) -> Entry:
    return Entry(path, "file", 1, 5, 0o644)


B = file(b"d/b")
UNREADABLE = Entry(b"d", "unreadable", 0, 0, 0)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ((Entries(3, (B, file(b"elsewhere/c"))), End(3, 2)), "protocol"),
        ((Entries(3, (B, file(b"d2/c"))), End(3, 2)), "protocol"),
        ((Entries(3, (B, file(b"../c"))), End(3, 2)), "protocol"),
        ((Entries(3, (B, file(b"d/a"))), End(3, 2)), "protocol"),
        ((Entries(3, (B, B)), End(3, 2)), "protocol"),
        ((Entries(3, (B, UNREADABLE)), End(3, 2)), "forbidden"),
        ((Entries(3, (B, Entry(b"d/b", "unreadable", 0, 0, 0))), End(3, 2)), "forbidden"),
        ((Entries(3, (B,)), Refuse(3, "io", "d: broken")), "io"),
        ((Refuse(3, "not-found", "d: gone"),), "not-found"),
        ((Entries(3, (file(b"d"),)), End(3, 1)), "not-a-directory"),
    ],
)
def test_nothing_is_removed(tmp_path: Path, said: tuple[Message, ...], code: str) -> None:
    grow(tmp_path / "t", {"a": b"mine", "c": b"mine", "d/e": b"mine"})
    fetching = Fetching(tmp_path / "t", delete=True)
    fetching.parcel(ROOT)
    fetching.say(End(1, 0))
    assert List(3, b"d", True) in fetching.peer.messages
    fetching.say(*said)
    with pytest.raises(FileTransferError) as caught:
        result_of(fetching.done)
    assert caught.value.code == code
    assert all((tmp_path / "t" / name).exists() for name in ("a", "c", "d/e"))
    assert not [each for each in fetching.results if each.status == "removed"]
