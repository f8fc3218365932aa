"""What is done with any file of any store."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from blake3 import blake3

from twisted_ft.stores.interfaces import Sink, Source, Store
from twisted_ft.stores.refusals import source_changed
from twisted_ft.wire.messages import Attributes

_PIECE = 1 << 20
"""Bytes of a file that are read at once for its digest."""


def open_sink(
    store: Store, file: Attributes, overwrite: bool, durable: bool, owner: str, **more: Any
) -> Sink:
    """Begin to receive a file: see IStore.  Blocks.

    :param owner: whose it is; said to a store that writes it down (IKeepingStore), and whose class
        takes it, as one may be made of another that was there before owners were
    """
    taken = signature(store.sink).parameters.values()
    if owner and any(each.name == "owner" or each.kind is each.VAR_KEYWORD for each in taken):
        more["owner"] = owner
    sink: Sink = store.sink(file, overwrite, durable, **more)
    return sink


def _go_on() -> None:
    """There is nothing to stop for."""


def digest_of(source: Source, check: Callable[[], None] = _go_on) -> bytes:
    """The digest of a whole file, 32 bytes; read, where it isn't known.  Blocks.

    :param check: is called for each piece, and raises what there is to stop for
    """
    known = source.digest()
    if known is not None:
        return known
    digest = hashed(source, check)
    check_read(source, digest, check)
    return digest


def hashed(source: Source, check: Callable[[], None] = _go_on) -> bytes:
    """The digest of what a file had when it was opened, 32 bytes.  Blocks."""
    digest, position, size = blake3(), 0, source.attributes.size
    while piece := source.read(position, _PIECE if size is None else min(_PIECE, size - position)):
        check()
        digest.update(piece)
        position += len(piece)
    return digest.digest()


def check_read(source: Source, digest: bytes, check: Callable[[], None] = _go_on) -> int:
    """What was read of a file is what it had when it was opened; its bytes by now.  Blocks.

    One that has grown is read again: only then does the part before show that it is as it was.

    :param digest: that of what was read
    :raises SourceChanged: the file isn't as it was
    """
    size, now = source.attributes.size, source.check()
    if size is None or now == size:
        source.remember(digest)
    elif hashed(source, check) != digest:
        raise source_changed(source.attributes.path)
    return now
