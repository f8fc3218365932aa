"""What stores that can't be written to have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from zope.interface import implementer

from twisted_ft.errors import ReadOnly
from twisted_ft.stores.capabilities import Capabilities
from twisted_ft.stores.interfaces import IStore, Sink, Source
from twisted_ft.wire.messages import Attributes, Entry


@implementer(IStore)
class ReadOnlyStore(ABC):
    """A store that only gives files; a subclass has ``source`` and ``entries``: see IStore."""

    capabilities = Capabilities(writable=False)

    @abstractmethod
    def source(self, path: bytes) -> Source:
        """See IStore."""

    @abstractmethod
    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore."""

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True) -> Sink:
        """See IStore; it is ReadOnly."""
        raise _read_only()

    def make_folder(self, path: bytes) -> None:
        """See IStore; it is ReadOnly."""
        raise _read_only()

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """See IStore; it is ReadOnly."""
        raise _read_only()

    def remove(self, path: bytes, deep: bool) -> int:
        """See IStore; it is ReadOnly."""
        raise _read_only()


def _read_only() -> ReadOnly:
    return ReadOnly("nothing can be changed here: this store is read-only")
