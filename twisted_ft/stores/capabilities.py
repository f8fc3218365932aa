"""What a store can do, and what it can't: it says so of itself."""

from __future__ import annotations

from typing import NamedTuple

from twisted_ft.stores.interfaces import Store


class Capabilities(NamedTuple):
    """What a store can do: its attribute ``capabilities``.  A store without one can do all of it.

    Of a store that isn't writable, the rest says nothing.
    """

    writable: bool = True
    """files are put, and what is there is removed; else each change is ReadOnly"""
    renames: bool = True
    """files and folders are given other names, in one step; else that is Unsupported"""
    resumes: bool = True
    """what is kept of a file that was cut off is carried on with; else ``ISink.keep`` is as
    ``discard``"""
    empty_folders: bool = True
    """folders are made, and stay when nothing is in them; else they come and go with the files in
    them: a file is put into a folder that isn't there, and ``make_folder`` is Unsupported"""


def capabilities_of(store: Store) -> Capabilities:
    """What a store says that it can do."""
    said: Capabilities = getattr(store, "capabilities", Capabilities())
    return said
