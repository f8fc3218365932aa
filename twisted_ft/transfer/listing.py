"""A listing: asked on one end, answered on the other."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.python.failure import Failure

from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.names import PATH_MAX
from twisted_ft.transfer.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import End, Entries, Entry, List, Refuse

BATCH = 1 << 16
"""Bytes in one Entries message, at most; fewer, where the other side takes fewer."""
_ENTRY_SIZE = 48
"""Bytes that an entry takes beside its path, at most."""
_MESSAGE_SIZE = 32
"""Bytes that Entries takes beside its entries, at most."""


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
        size = min(BATCH, self.protocol.conversation.peer_limits.message)
        room = size - _MESSAGE_SIZE - _ENTRY_SIZE - PATH_MAX  # so the last one fits, too
        count = 0
        while batch := await self.protocol.in_thread(_next_batch, entries, room):
            await self.protocol.writable()
            self.protocol.say(Entries(self.number, batch))
            count += len(batch)
        self.protocol.say(End(self.number, count))
        return count


def _next_batch(entries: Iterator[Entry], room: int) -> tuple[Entry, ...]:
    """The next entries, up to the one with which they take ``room`` bytes.  Blocks."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.path) + _ENTRY_SIZE
        if size >= room:
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
        except Exception:
            await self.protocol.leave(self.number)
            raise
        self.protocol.leave(self.number)
        return entries
