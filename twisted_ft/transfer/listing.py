"""A listing: asked on one end, answered on the other."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.python.failure import Failure

from twisted_ft.stores.interfaces import IStore
from twisted_ft.transfer.dialogue import Dialogue
from twisted_ft.transfer.protocol import as_error
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import End, Entries, Entry, List, Refuse

BATCH = 1 << 16
"""Bytes, about, in one Entries message."""
_ENTRY_SIZE = 40
"""Bytes that an entry takes beside its name, at most, about."""


class Answering(Dialogue):
    """Sends the entries of a folder, as fast as the other side takes them."""

    async def answer(self, store: IStore, path: bytes) -> int:
        """Send them all, or say Refuse; how many there were."""
        try:
            return await self._send(store, path)
        except Exception:
            error = as_error(Failure())
            if self.state is State.LISTING and self.failure is None:
                self.protocol.say(Refuse(self.number, error.code, error.text))
            raise error from None
        finally:
            self.protocol.leave(self.number)

    async def _send(self, store: IStore, path: bytes) -> int:
        entries = await self.protocol.in_thread(store.entries, path)
        count = 0
        while batch := await self.protocol.in_thread(_next_batch, entries):
            await self.protocol.writable()
            self.protocol.say(Entries(self.number, batch))
            count += len(batch)
        self.protocol.say(End(self.number, count))
        return count


def _next_batch(entries: Iterator[Entry]) -> tuple[Entry, ...]:
    """The next entries, as many as make a message of about BATCH bytes.  Blocks."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.path) + _ENTRY_SIZE
        if size >= BATCH:
            break
    return tuple(batch)


class Asking(Dialogue):
    """Asks for the entries of a folder."""

    async def ask(self, path: bytes) -> list[Entry]:
        """All the entries; the failure that the other side names."""
        entries: list[Entry] = []
        try:
            self.protocol.say(List(self.number, path))
            while isinstance(said := await self.hear_any(), Entries):
                entries.extend(said.entries)
            return entries
        finally:
            await self.protocol.leave(self.number)
