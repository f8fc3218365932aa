"""A session's view of its store: what it may not do raises before it reaches the store."""

from __future__ import annotations

from typing import Any, Protocol

from twisted_ft.server.rights import READING, Right
from twisted_ft.stores.interfaces import (
    Alike,
    Packer,
    Sink,
    Store,
    Unpacker,
)
from twisted_ft.stores.piecewise import unpacker_of
from twisted_ft.stores.wrapping import RoutedUnpacker, StoreWrapper, Use
from twisted_ft.wire.messages import Attributes

NEEDED: dict[Use, Right] = {
    Use.LIST: Right.LIST,
    Use.READ: Right.READ,
    Use.PUT: Right.UPLOAD,
    Use.MAKE_FOLDER: Right.UPLOAD,
    Use.COMPARE: Right.UPLOAD,
    Use.RENAME: Right.RENAME,
    Use.REMOVE: Right.REMOVE,
}
"""The right without which a store isn't used so."""


class Permits(Protocol):
    """Who knows what may be done: a Session."""

    @property
    def is_uniform(self) -> bool:
        """Whether that is the same for all paths."""

    def may(self, right: Right, path: bytes) -> bool:
        """Whether all of ``right`` may be done with what is at ``path``."""

    def check(self, right: Right, path: bytes) -> None:
        """Raise ReadOnly or Forbidden where it may not be done."""


class PermittedStore(StoreWrapper):
    """A store, as far as a session may use it; see IStore and ITreeStore.

    Where rights are the same for all paths, a tree is asked about once, and otherwise each of its
    files.  A folder is renamed, and removed, with all that is in it: only it is asked about.

    :param inner: the store
    :param permits: says what may be done with it
    """

    def __init__(self, inner: Store, permits: Permits) -> None:
        super().__init__(inner)
        self._permits = permits

    def check(self, use: Use, path: bytes) -> None:
        """See StoreWrapper.

        :raises ReadOnly, Forbidden: the session hasn't the right
        """
        self._permits.check(NEEDED[use], path)

    @property
    def checks_items(self) -> bool:
        """See StoreWrapper."""
        return not self._permits.is_uniform

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True, **more: Any) -> Sink:
        """See IStore; without the right to replace, nothing is replaced."""
        return super().sink(file, self._replaces(overwrite, file.path), durable, **more)

    def settle(self, path: bytes, mtime: int, mode: int) -> None:
        """See ISettlingStore; without the right to replace, both stay as they are."""
        if self._permits.may(Right.REPLACE, path):
            super().settle(path, mtime, mode)

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """See IStore; without the right to replace, nothing is replaced."""
        super().rename(path, new, self._replaces(overwrite, new))

    def packer(self) -> Packer:
        """See ITreeStore."""
        if self._permits.is_uniform:
            self._permits.check(READING, b"")
        return super().packer()

    def unpacker(self, overwrite: bool, durable: bool, alike: Alike | None = None) -> Unpacker:
        """See ITreeStore; without the right to replace, nothing is replaced."""
        if self._permits.is_uniform:
            self._permits.check(Right.UPLOAD, b"")
            return super().unpacker(self._replaces(overwrite, b""), durable, alike)
        if not overwrite:
            return super().unpacker(False, durable, alike)
        careful = unpacker_of(self.inner, False, durable, alike)
        replacing = unpacker_of(self.inner, True, durable, alike)

        def route(use: Use, path: bytes) -> Unpacker:
            self.check(use, path)
            compares = use is Use.COMPARE  # which replaces nothing
            return replacing if compares or self._replaces(True, path) else careful

        return RoutedUnpacker([replacing, careful], route)

    def _replaces(self, overwrite: bool, path: bytes) -> bool:
        return overwrite and self._permits.may(Right.REPLACE, path)
