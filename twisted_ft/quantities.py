"""Sizes and times as people type them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgtp]?)b?", re.IGNORECASE)
_TIME = re.compile(r"(\d+)([smhd])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def size_of(text: str) -> int:
    """Bytes, of 500k, 700M or 1.5G: powers of 1024, as in curl's --limit-rate (curl(1)).

    :raises ValueError: it can't be read so
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("this is not a size; write 500k, 700M or 1.5G")
    return int(float(found[1]) * 1024 ** " kmgtp".index(found[2].lower() or " "))


def time_of(text: str) -> int:
    """Seconds, one or more, of 45s, 30m, 12h or 1d.

    :raises ValueError: it can't be read so
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise ValueError("this is not a time; write 30m, 12h or 1d")
    return int(found[1]) * _SECONDS[found[2].lower()]
