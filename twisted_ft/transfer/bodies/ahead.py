"""Pieces that are read in one thread while those before them are hashed in another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor


def read_ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, of which the next is read while one is being used.  Blocks.

    :param pieces: none of them is empty; what reading raises is raised here
    """
    with ThreadPoolExecutor(1, "ft-ahead") as thread:
        following = thread.submit(next, pieces, b"")
        while piece := following.result():
            following = thread.submit(next, pieces, b"")
            yield piece
