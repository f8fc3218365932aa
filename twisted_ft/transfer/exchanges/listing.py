"""A listing: asked on one end, answered on the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_ft.errors import Cancelled, FileTransferError
from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.names import PATH_MAX
from twisted_ft.stores.tree import entries_below
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import End, Entries, Entry, List, Message, More

ENTRIES_SIZE = 1 << 16
"""Bytes in one Entries message, at most; fewer, where the other side takes fewer."""
_ENTRY_SIZE = 48
"""Bytes that an entry takes beside its path, at most."""
_MESSAGE_SIZE = 32
"""Bytes that Entries takes beside its entries, at most."""


class Answering(Dialogue):
    """Sends the entries of a folder, as the other side takes them."""

    async def answer(self, store: IStore, path: bytes, deep: bool) -> int:
        """Send them all, or say Refuse; how many there were.

        :param deep: those in all folders below, too
        """
        try:
            entries = entries_below(store, path) if deep else store.entries(path)
            count = await self._send(entries)
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return count

    async def _send(self, entries: Iterator[Entry]) -> int:
        """Send them; with the last of them goes the End, as nobody need ask for it."""
        size = min(ENTRIES_SIZE, self.protocol.conversation.peer_limits.message)
        room = size - _MESSAGE_SIZE - _ENTRY_SIZE - PATH_MAX  # so the last one fits, too
        count = 0
        batch = await self.protocol.in_thread(_next_entries, entries, room)
        while batch:
            following = await self.protocol.in_thread(_next_entries, entries, room)
            await self.protocol.writing.writable()
            self.protocol.say(Entries(self.number, batch))
            count += len(batch)
            if following:
                await self.hear(More)
            batch = following
        self.protocol.say(End(self.number, count))
        return count


def _next_entries(entries: Iterator[Entry], room: int) -> tuple[Entry, ...]:
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
    """Asks for the entries of a folder, and takes them batch by batch.

    At most two batches are here that nobody has taken: what the other side sends waits for More.
    """

    def __init__(
        self, protocol: FileTransferProtocol, path: bytes, deep: bool, partial: bool = False
    ) -> None:
        super().__init__(protocol)
        self._list: List | None = List(self.number, path, deep, partial)
        self._batch: deque[Entry] = deque()
        self._lost = False
        self._occasion: Deferred[None] | None = None

    async def next_entry(self) -> Entry | None:
        """The next entry; None when there are no more.  The first call says List.

        :raises FileTransferError: the failure that the other side names, or that ended it here
        """
        try:
            self._say_list()
            while not self._batch:
                said = await self.hear_any()
                if not isinstance(said, Entries):
                    self.protocol.leave(self.number)
                    return None
                self._batch.extend(said.entries)
                if self.state is State.LISTED:
                    self.protocol.say(More(self.number))
            return self._batch.popleft()
        except Exception:
            error = as_error(Failure())
            await self.leave()
            raise error from None

    async def leave(self) -> None:
        """Have no more of it: the other side is told when it is our turn to speak."""
        self._batch.clear()
        while self.state is State.LISTING and not self._lost:
            self._occasion = Deferred()
            await self._occasion
        self.tell(Cancelled("no more of it is wanted"))
        await self.protocol.leave(self.number)

    def _say_list(self) -> None:
        message, self._list = self._list, None
        if message is not None:
            self.check()
            self.protocol.say(message)

    def heard(self, message: Message) -> None:
        """See Participant."""
        super().heard(message)
        self._tell_occasion()

    def connection_lost(self, error: FileTransferError) -> None:
        """See Participant."""
        self._lost = True
        super().connection_lost(error)
        self._tell_occasion()

    def _tell_occasion(self) -> None:
        waiting, self._occasion = self._occasion, None
        if waiting is not None:
            waiting.callback(None)
