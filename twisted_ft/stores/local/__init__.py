"""A store that is a folder: nothing outside of it is ever read or written."""

from twisted_ft.stores.local.store import LocalStore

__all__ = ["LocalStore"]
