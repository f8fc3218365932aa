"""What is done with any open file of any store."""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from twisted_ft.stores.interfaces import ISource

_PIECE = 1 << 20
"""Bytes of a file that are read at once for its digest."""


def _go_on() -> None:
    """There is nothing to stop for."""


def digest_of(source: ISource, check: Callable[[], None] = _go_on) -> bytes:
    """The digest of a whole file, 32 bytes; read, where it isn't known.  Blocks.

    :param check: is called for each piece, and raises what there is to stop for
    """
    known = source.digest()
    if known is not None:
        return known
    digest, position = blake3(), 0
    while piece := source.read(position, _PIECE):
        check()
        digest.update(piece)
        position += len(piece)
    source.check()
    source.remember(digest.digest())
    return digest.digest()
