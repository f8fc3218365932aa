"""Stores that lack something, and one that notes what it is used for."""

from __future__ import annotations

from zope.interface import implementer_only

from twisted_ft.errors import Forbidden
from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.wrapping import StoreWrapper, Use


@implementer_only(IStore)
class PlainLocalStore(LocalStore):
    """One that has no ways of its own for many small files."""


class NotingStore(StoreWrapper):
    """Another store; ``noted`` is each use of it, and those in ``forbidden`` are refused."""

    def __init__(self, inner: IStore, *forbidden: tuple[Use, bytes]) -> None:
        super().__init__(inner)
        self.noted: list[tuple[Use, bytes]] = []
        self.forbidden = forbidden

    def check(self, use: Use, path: bytes) -> None:
        """See StoreWrapper."""
        self.noted.append((use, path))
        if (use, path) in self.forbidden:
            raise Forbidden(f"not {use.name}")
