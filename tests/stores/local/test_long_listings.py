"""What a listing holds while it waits for whoever reads it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.joined import apart, joined

COUNT = 50_000


@given(st.lists(st.binary(min_size=1, max_size=5).map(lambda name: name.replace(b"\0", b"x"))))
def test_names_come_apart_as_they_were_joined(names: list[bytes]) -> None:
    assert list(apart(joined(names))) == names


def test_names_wait_as_bytes_and_are_given_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ("0" * 12)).write_text("")
    monkeypatch.setattr(Folder, "names", lambda folder: [b"%012d" % n for n in range(COUNT)])
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        listing = LocalStore(tmp_path).entries(b"")
        assert next(listing).path == b"0" * 12
        assert tracemalloc.get_traced_memory()[0] - before < COUNT * 16
        listing.close()  # type: ignore[attr-defined]
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()
