"""Whatever keeps to the limits on its fields, up to the longest: for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from twisted_ft.wire.messages import (
    NAME_LIMIT,
    PATH_LIMIT,
    SUM_LIMIT,
    TEXT_LIMIT,
    Described,
    Entry,
    Item,
    Link,
    Settled,
    Summed,
    Unsendable,
    Whole,
)

WIDE = "\U0001f4c1"
"""A character of four bytes."""
MOST = 2**63 - 1


def lengths(most: int) -> st.SearchStrategy[int]:
    """Those at which the form changes, too."""
    edges = [each for each in (15, 16, 31, 32, 255, 256, 65535, 65536) if each < most]
    return st.sampled_from([0, *edges, most]) | st.integers(0, most)


def blobs(most: int) -> st.SearchStrategy[bytes]:
    return lengths(most).map(bytes)


def texts(most: int) -> st.SearchStrategy[str]:
    letters = st.sampled_from(["a", "é", "€", WIDE])
    return st.builds(str.__mul__, letters, lengths(most))


numbers = st.sampled_from([0, 1, -1, 2**16, 2**32, -(2**63), MOST]) | st.integers(-(2**63), MOST)
sizes = st.sampled_from([0, 2**16, 2**32, MOST]) | st.integers(0, MOST)
modes = st.integers(0, 0o7777)
exchanges = st.sampled_from([0, 1, 2**53])
names, paths, kinds, codes = blobs(NAME_LIMIT), blobs(PATH_LIMIT), texts(16), texts(64)
digests = st.just(bytes(32))
items: st.SearchStrategy[Item] = st.one_of(
    st.builds(Whole, names, numbers, modes, blobs(70_000), digests),
    st.builds(Described, names, kinds, sizes, numbers, modes, st.just(b"") | digests),
    st.builds(Link, names, numbers, paths),
    st.builds(Unsendable, names, codes, texts(TEXT_LIMIT)),
    st.builds(Settled, names, numbers, modes),
    st.builds(Summed, names, st.integers(0, SUM_LIMIT), digests),
)
entries = st.builds(Entry, paths, kinds, sizes, numbers, modes, paths)
