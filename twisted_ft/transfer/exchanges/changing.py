"""A change of the tree: the end that makes it, and the end that asks for it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from twisted_ft.stores.interfaces import Store
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.wire.messages import Change, Changed, MakeFolder, Remove


class Changing(Dialogue):
    """Makes a change, and says so when it is durable."""

    async def answer(self, change: Change, store: Store, overwrite: bool) -> int:
        """Make it, or say Refuse; how many files, folders and links are concerned.

        :param overwrite: whether what is renamed may replace a file
        """
        try:
            count = await self.protocol.in_thread(_make, change, store, overwrite)
            if self.failure is None:  # else nobody hears it; it is made all the same
                self.protocol.say(Changed(self.number, count))
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return count


def _make(change: Change, store: Store, overwrite: bool) -> int:
    """Blocks."""
    if isinstance(change, Remove):
        count: int = store.remove(change.path, change.deep)
        return count
    if isinstance(change, MakeFolder):
        store.make_folder(change.path)
    else:
        store.rename(change.path, change.new, overwrite)
    return 1


class AskingForChange(Dialogue):
    """Asks for a change."""

    async def ask(self, change: Callable[[int], Change]) -> int:
        """How many files, folders and links it concerned; the failure that the other side names.

        :param change: the message, once the number of its exchange is known
        """
        try:
            self.protocol.say(change(self.number))
            changed = await self.hear(Changed)
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return changed.count
