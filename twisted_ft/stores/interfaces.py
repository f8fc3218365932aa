"""What a place for files must be able to do.

All of it may block, and none of it is called on the reactor's thread.  A failure is a
FileTransferError, whose code and text go to the other side as they are.  Whoever writes a
store of their own can run ``twisted_ft.stores.conformance`` on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Union

from zope.interface import Attribute, Interface

from twisted_ft.wire.messages import Attributes, Entry

Buffer = Union[bytes, memoryview]


class ISource(Interface):
    """One file, opened for reading, in the state in which it was opened."""

    attributes: Attributes = Attribute("Its name, size, mtime, mode and version.")

    def read(offset: int, size: int) -> bytes:  # type: ignore[misc, empty-body]
        """Up to ``size`` bytes from ``offset``; fewer only at the end of the file."""

    def check() -> None:  # type: ignore[misc]
        """Raise SourceChanged where the bytes are no longer those that ``attributes`` name."""

    def close() -> None:  # type: ignore[misc]
        """Give up what is held.  May be called more than once."""


class ISink(Interface):
    """One file on its way in: under another name, until it is published.

    A sink is its name's only one: while it is open, another for the same name is Busy.
    """

    offset: int = Attribute("Bytes kept from an earlier run; writing goes on behind them.")

    def kept() -> Iterator[bytes]:  # type: ignore[misc, empty-body]
        """The bytes kept from an earlier run, in pieces, for the digest."""

    def write(pieces: Sequence[Buffer]) -> None:  # type: ignore[misc]
        """Append the pieces, in order."""

    def publish() -> None:  # type: ignore[misc]
        """Make it durable and give it its name, in one step; ends the sink."""

    def keep() -> None:  # type: ignore[misc]
        """End the sink, and keep what there is for a later run to go on from."""

    def discard() -> None:  # type: ignore[misc]
        """End the sink, and leave nothing of it."""


class IStore(Interface):
    """A place for files, which have names joined by ``/`` below one root."""

    def source(path: bytes) -> ISource:  # type: ignore[misc, empty-body]
        """Open a file for reading: NotFound, IsADirectory, NotAFile, Forbidden, BadName."""

    def sink(file: Attributes, overwrite: bool) -> ISink:  # type: ignore[misc, empty-body]
        """Begin, or go on with, receiving ``file``.

        :param overwrite: whether a file that has the name may be replaced
        :raises Unchanged: the store has this file, with the same size and mtime
        :raises AlreadyExists: there is one, and ``overwrite`` is false
        :raises Busy: another sink of this name is open
        :raises FileTransferError: NotFound (no such folder), IsADirectory, BadName, ...
        """

    def entries(path: bytes) -> Iterator[Entry]:  # type: ignore[misc, empty-body]
        """What is in a folder, sorted by name; for a file, the file.  Partial files are not named."""
