"""What is done with any open file of any store."""

from __future__ import annotations

from blake3 import blake3

from twisted_ft.stores.interfaces import ISource

_PIECE = 1 << 20
"""Bytes of a file that are read at once for its digest."""


def digest_of(source: ISource) -> bytes:
    """The digest of a whole file, 32 bytes; read, where it isn't known.  Blocks."""
    known = source.digest()
    if known is not None:
        return known
    digest, position = blake3(), 0
    while piece := source.read(position, _PIECE):
        digest.update(piece)
        position += len(piece)
    source.check()
    source.remember(digest.digest())
    return digest.digest()
