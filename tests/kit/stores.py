"""Stores that lack something, and one that notes what it is used for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zope.interface import implementer_only

from twisted_ft.errors import Forbidden, Unsupported
from twisted_ft.stores.capabilities import Capabilities
from twisted_ft.stores.interfaces import IStore, Sink, Store
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.memory import MemorySink, MemoryStore
from twisted_ft.stores.names import above, components
from twisted_ft.stores.wrapping import StoreWrapper, Use
from twisted_ft.wire.messages import Attributes


@implementer_only(IStore)
class PlainLocalStore(LocalStore):
    """One that has no ways of its own for many small files."""


class NotingStore(StoreWrapper):
    """Another store; ``noted`` is each use of it, and those in ``forbidden`` are refused."""

    def __init__(self, inner: Store, *forbidden: tuple[Use, bytes]) -> None:
        super().__init__(inner)
        self.noted: list[tuple[Use, bytes]] = []
        self.forbidden = forbidden

    def check(self, use: Use, path: bytes) -> None:
        """See StoreWrapper."""
        self.noted.append((use, path))
        if (use, path) in self.forbidden:
            raise Forbidden(f"not {use.name}")


class _Forgetful(MemorySink):
    """A sink of which nothing is kept."""

    def keep(self) -> None:
        """See ISink."""
        self.discard()


@implementer_only(IStore)
class PutAndGet(MemoryStore):
    """One that carries on with nothing, and gives nothing another name."""

    capabilities = Capabilities(renames=False, resumes=False)

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """See IStore."""
        raise Unsupported("nothing is given another name here; get it, and put it")

    def sink(
        self, file: Attributes, overwrite: bool, durable: bool = True, *, owner: str = ""
    ) -> Sink:
        """See IStore."""
        sink = super().sink(file, overwrite, durable)
        sink.__class__ = _Forgetful
        return sink


class WithoutEmptyFolders(MemoryStore):
    """One whose folders are there as long as files are in them."""

    capabilities = Capabilities(empty_folders=False)

    def sink(
        self, file: Attributes, overwrite: bool, durable: bool = True, *, owner: str = ""
    ) -> Sink:
        """See IStore."""
        with self._folder_of(file.path):
            return super().sink(file, overwrite, durable, owner=owner)

    def make_folder(self, path: bytes) -> None:
        """See IStore."""
        raise Unsupported("folders come with what is put into them")

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """See IStore."""
        with self._folder_of(new):
            super().rename(path, new, overwrite)

    def remove(self, path: bytes, deep: bool) -> int:
        """See IStore."""
        with self._folder_of(b""):
            return super().remove(path, deep)

    @contextmanager
    def _folder_of(self, path: bytes) -> Iterator[None]:
        """The folder that something goes into is there for as long as that takes."""
        components(path)
        with self.lock:
            self._made = {above(path)} - {b""}
            yield
            self._made.clear()
