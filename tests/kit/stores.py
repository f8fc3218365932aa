"""Stores that lack something."""

from __future__ import annotations

from zope.interface import implementer_only

from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.local import LocalStore


@implementer_only(IStore)
class PlainLocalStore(LocalStore):
    """One that has no ways of its own for many small files."""
