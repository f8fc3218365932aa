"""Sizes and times as people type them."""

from __future__ import annotations

import pytest

from twisted_ft.quantities import size_of, time_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("1.5k", 1536),
        ("500K", 512000),
        ("700MB", 700 << 20),
        (" 2g ", 2 << 30),
        ("1T", 1 << 40),
    ],
)
def test_a_size(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1.k", "1e3", "1 M", "1MiB", "many"])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        size_of(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("30m", 1800), ("12H", 43200), ("1d", 86400)]
)
def test_a_time(text: str, seconds: int) -> None:
    assert time_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0d", "-1d", "1.5h", "1w", "soon"])
def test_what_is_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        time_of(text)
