"""A file that is here already, and may be the one that comes: that is found out by its digest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted_ft.errors import FileTransferError
from twisted_ft.stores.interfaces import Source, Store
from twisted_ft.stores.sources import digest_of
from twisted_ft.wire.messages import BY_SIZE, BY_TIME, Attributes


class Standing(NamedTuple):
    """A file that is here, opened, as ``store`` has it."""

    store: Store
    source: Source

    def digest(self, check: Callable[[], None]) -> bytes:
        """Its digest, 32 bytes; nothing, where it can't be read as it was opened.  Blocks.

        :param check: is called for each piece, and raises what there is to stop for
        """
        try:
            return digest_of(self.source, check)
        except FileTransferError:
            return b""

    def settle(self, file: Attributes) -> None:
        """Give it the time, and the permissions, of ``file``, where its time is another.  Blocks.

        A store that has no ``settle`` (ISettlingStore) leaves both as they are.
        """
        settle: Any = getattr(self.store, "settle", None)
        if settle is not None and self.source.attributes.mtime != file.mtime:
            settle(file.path, file.mtime, file.mode)


def standing_file(store: Store, file: Attributes, compare: str) -> Standing | None:
    """The file that ``store`` has under the name of ``file``, where it is worth comparing.  Blocks.

    :param compare: see Offer; of a word that isn't known nothing follows
    """
    if compare not in (BY_TIME, BY_SIZE) or file.size is None:
        return None
    try:
        source = standing_source(store, file.path)
    except FileTransferError:  # whatever it is, it is not a file that could be the same
        return None
    found = source.attributes
    if found.size == file.size and (compare == BY_SIZE or found.mtime == file.mtime):
        return Standing(store, source)
    source.close()
    return None


def standing_source(store: Store, path: bytes) -> Source:
    """Open a file to compare it: whoever may upload it may find out that it is here.  Blocks.

    :raises FileTransferError: as ``IStore.source``
    """
    source: Source = getattr(store, "standing", store.source)(path)
    return source
