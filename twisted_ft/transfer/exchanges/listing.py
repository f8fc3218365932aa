"""A listing: asked on one end, answered on the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from twisted.python.failure import Failure

from twisted_ft.errors import Cancelled, FileTransferError, Unsupported
from twisted_ft.stores.interfaces import Store
from twisted_ft.stores.tree import entries_below
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import End, Entries, Entry, List, Message, More
from twisted_ft.wire.sizes import BESIDE_ENTRIES, MOST_ENTRY, entry_size

ENTRIES_SIZE = 1 << 16
"""Bytes in one Entries message, at most; fewer, where the other side takes fewer."""

OnBegun = Callable[[bool], None]
"""Hears of a listing that has begun, and whether all of it has been read."""


class Answering(Dialogue):
    """Sends the entries of a folder, as the other side takes them."""

    async def answer(
        self,
        store: Store,
        path: bytes,
        deep: bool,
        partial: bool = False,
        on_begun: OnBegun | None = None,
    ) -> int:
        """Send them all, or say Refuse, behind those that there are; how many there were.

        :param deep: those in all folders below, too
        :param partial: what is kept of transfers that were cut off, and nothing else
        :param on_begun: hears, when the first of them are read, whether these are all
        """
        size = min(ENTRIES_SIZE, self.protocol.conversation.peer_limits.message)
        room = size - BESIDE_ENTRIES - MOST_ENTRY  # so the last one fits, too
        reading = _Reading(lambda: _entries_of(store, path, deep, partial), room, self.check)
        try:
            count = await self._send(reading, on_begun)
        except Exception:
            reason = Failure()
            if not reading.over:
                await self.protocol.in_thread(reading.close).addErrback(as_error)
            raise await self.called_off(reason) from None
        self.protocol.leave(self.number)
        return count

    async def _send(self, reading: _Reading, on_begun: OnBegun | None) -> int:
        """Send them; with the last of them goes the End, as nobody need ask for it."""
        count = 0
        batch = await self.protocol.at_length(reading.next_batch)  # which sorts a folder's names
        if on_begun is not None:
            on_begun(reading.over)
        while batch:
            following = await self._following(reading)
            await self.protocol.writing.writable()
            self.protocol.say(Entries(self.number, batch))
            count += len(batch)
            if following or reading.has_failed:
                await self.hear(More)
            batch = following
        reading.check()
        self.protocol.say(End(self.number, count))
        return count

    async def _following(self, reading: _Reading) -> tuple[Entry, ...]:
        self.check()
        return () if reading.over else await self.protocol.in_thread(reading.next_batch)


class _Reading:
    """The entries that a store lists, batch by batch.  Its calls block, but for ``check``.

    :param begin: begins with it
    :param room: bytes with which a batch is full
    :param wanted: is called before each, and raises why no more is wanted
    """

    def __init__(
        self, begin: Callable[[], Iterator[Entry]], room: int, wanted: Callable[[], None]
    ) -> None:
        self._begin, self._room, self._wanted = begin, room, wanted
        self._entries: Iterator[Entry] | None = None
        self.over = False
        """whether there are no more"""
        self._failure: Exception | None = None

    def next_batch(self) -> tuple[Entry, ...]:
        """The next entries; what the store raises waits until those before it have been said."""
        batch: list[Entry] = []
        size = 0
        self._wanted()
        try:
            if self._entries is None:
                self._entries = self._begin()
            for entry in self._entries:
                batch.append(entry)
                size += entry_size(entry)
                if size >= self._room:
                    return tuple(batch)
        except Exception as error:
            self._failure = error
        self.over = True
        return tuple(batch)

    @property
    def has_failed(self) -> bool:
        """Whether the store has raised something."""
        return self._failure is not None

    def check(self) -> None:
        """Raise what the store has raised."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Give up what the store holds for it: open folders, and names still to be said."""
        close = getattr(self._entries, "close", None)  # a generator has it, an iterator needn't
        if close is not None:
            close()


def _entries_of(store: Store, path: bytes, deep: bool, partial: bool) -> Iterator[Entry]:
    """What is asked for, of a store.  Blocks.

    :raises FileTransferError: Unsupported, or as ``IStore.entries``
    """
    if partial:
        kept: Callable[[bytes, bool], Iterator[Entry]] | None = getattr(store, "kept", None)
        if kept is None:
            raise Unsupported("this server keeps nothing of transfers that it could list")
        return kept(path, deep)
    return entries_below(store, path) if deep else store.entries(path)


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
        self._occasion = Event()
        """when it may be our turn to speak"""

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
            await self._occasion.wait()
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
        self._occasion.fire()

    def connection_lost(self, error: FileTransferError) -> None:
        """See Participant."""
        self._lost = True
        super().connection_lost(error)
        self._occasion.fire()
