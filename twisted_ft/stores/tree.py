"""A whole tree of a store, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator

from twisted_ft.errors import BadName, FileTransferError, NotADirectory, NotFound
from twisted_ft.stores.interfaces import Store
from twisted_ft.wire.messages import Entry


def entries_below(store: Store, path: bytes) -> Iterator[Entry]:
    """What is in a folder and in all below it; for a file, the file.  Blocks.

    A folder's entries come together, sorted by name, and after them those of the folders among
    them, one after another.  Links aren't followed.  Of a folder below that can't be read, or not
    to its end, there is an entry more, of kind ``unreadable``, after its own; what is gone before
    it is looked at is passed over.
    What waits is only names of folders.

    :raises FileTransferError: as ``IStore.entries``, for ``path`` itself
    """
    pending = [path]
    while pending:
        here = pending.pop()
        folders, begun = [], False
        try:
            for entry in store.entries(here):
                if entry.path == here != path:
                    break  # a file has taken the folder's place
                begun = True
                yield entry
                if entry.kind == "directory":
                    folders.append(entry.path)
        except FileTransferError as error:
            if here == path and not (begun and isinstance(error, BadName)):
                raise
            if not isinstance(error, (NotFound, NotADirectory)):
                yield Entry(here, "unreadable", 0, 0, 0)
        pending.extend(reversed(folders))
