"""Entries of a listing that are held at once: a server may list without end."""

from __future__ import annotations

from twisted_ft.errors import OverLimit
from twisted_ft.wire.messages import Entry

MOST_HELD = 1 << 29
"""Bytes of the entries that are held at once, at most, with ``_ENTRY_COST`` for each: some
million."""
_ENTRY_COST = 448
"""Bytes that an entry takes beside its path and its target."""


class Held:
    """How much room there is for more entries.

    :param excess: what to say where there is none
    """

    def __init__(self, excess: str) -> None:
        self._excess = excess
        self._room = MOST_HELD

    def add(self, entry: Entry) -> None:
        """One more entry is held.

        :raises OverLimit: they are too many
        """
        self._room -= len(entry.path) + len(entry.target) + _ENTRY_COST
        if self._room < 0:
            raise OverLimit(self._excess)
