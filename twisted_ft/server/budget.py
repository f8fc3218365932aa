"""How much of us a peer may hold: bytes and descriptors, for a connection and for the server.

What is drawn is given back when its exchange ends.  Where there is no room, the exchange waits in
line before it begins, and the other side is told that it is worked on.  Of several connections that
wait for the server's budget each has its turn.
"""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred

from twisted_ft.errors import FileTransferError
from twisted_ft.wire.messages import (
    Fetch,
    Get,
    List,
    MakeFolder,
    Offer,
    Opening,
    Parcel,
    Remove,
    Rename,
)

MEBI = 1 << 20


class Cost(msgspec.Struct, frozen=True):
    """What is held at once."""

    bytes: int
    descriptors: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.bytes + other.bytes, self.descriptors + other.descriptors)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.bytes - other.bytes, self.descriptors - other.descriptors)

    def within(self, most: Cost) -> Cost:
        """As much of it as ``most`` has."""
        return Cost(min(self.bytes, most.bytes), min(self.descriptors, most.descriptors))

    def fits(self, room: Cost) -> bool:
        """Whether there is room for it."""
        return self.bytes <= room.bytes and self.descriptors <= room.descriptors


FREE = Cost(0, 0)
CONNECTION = Cost(24 * MEBI, 96)
"""What one connection may hold: a tree with the large files in it, or 64 transfers, or listings."""
SERVER = Cost(1024 * MEBI, 4096)
"""What all connections may hold together; fewer descriptors, where the process has fewer."""
COSTS: dict[type[Opening], Cost] = {
    Get: Cost(256 << 10, 1),
    Offer: Cost(256 << 10, 2),
    List: Cost(5 * MEBI, 1),
    Fetch: Cost(6 * MEBI, 36),
    Parcel: Cost(12 * MEBI, 40),
    MakeFolder: Cost(16 << 10, 2),
    Rename: Cost(16 << 10, 4),
    Remove: Cost(64 << 10, 4),
}
"""What an exchange holds at most: pieces that are read ahead, parcels that are filled ahead or wait
to be unpacked, batches of entries; the names in a folder that is listed (150,000 take two
mebibytes, and four times that while they are sorted); files and folders that are open.  Parcels are
counted for a whole upload, and not one by one."""


def server_budget() -> Cost:
    """SERVER, or what the process has room for: half of the descriptors that it may open.

    :returns: see getrlimit(2), RLIMIT_NOFILE
    """
    try:
        import resource
    except ImportError:  # Windows
        return SERVER
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return SERVER.within(Cost(SERVER.bytes, max(soft // 2, CONNECTION.descriptors)))


SHORT_LISTING = Cost(384 << 10, 1)
"""What a listing holds of which all has been read: a batch of entries, and the message that says
them.  An entry with a short name and a target takes 44 bytes of a batch at least, and 250 here."""


class Budget:
    """What may be held at once, of a connection or of the server.

    :param most: all of it; who asks for more than that gets it alone
    :param parent: the budget from which this one's is drawn as well
    """

    __slots__ = (
        "_children",
        "_closed",
        "_most",
        "_parent",
        "_serving",
        "_waiting",
        "held",
        "most_held",
    )

    def __init__(self, most: Cost, parent: Budget | None = None) -> None:
        self._most, self._parent = most, parent
        self.held = FREE
        self.most_held = 0
        """bytes that were held at once, at most"""
        self._waiting: list[tuple[Cost, Deferred[Holding]]] = []
        self._children: list[Budget] = []
        """those that wait for some of this one, the next one first"""
        self._serving = False
        self._closed: FileTransferError | None = None

    def hold(self, cost: Cost) -> Deferred[Holding]:
        """Fires with what is held, once there is room for it; fails when the budget is closed."""
        ready: Deferred[Holding] = Deferred(self._forget)
        if self._closed is not None:
            ready.errback(self._closed)
        elif not self._waiting and self._may_take(cost):
            ready.callback(self._take(cost))
        else:
            self._waiting.append((cost, ready))
            self._wait_for_parent()
        return ready

    def close(self, error: FileTransferError) -> None:
        """Who waits will get nothing; what is held is still to be given back."""
        self._closed = error
        waiting, self._waiting = self._waiting, []
        for _, each in waiting:
            each.errback(error)

    def give_back(self, cost: Cost) -> None:
        """Something is no longer held."""
        self.held -= cost
        if self._parent is not None:
            self._parent.give_back(cost)  # who gives to each of its own in turn
        else:
            self._serve()

    def _may_take(self, cost: Cost) -> bool:
        room = self._most - self.held
        fits = cost.within(self._most).fits(room)
        return fits and (self._parent is None or self._parent._may_take(cost))

    def _take(self, cost: Cost) -> Holding:
        self._draw(cost)
        return Holding(self, cost)

    def _draw(self, cost: Cost) -> None:
        self.held += cost
        self.most_held = max(self.most_held, self.held.bytes)
        if self._parent is not None:
            self._parent._draw(cost)

    def _forget(self, ready: Deferred[Holding]) -> None:
        """Nobody waits for this one any more."""
        self._waiting = [each for each in self._waiting if each[1] is not ready]

    def _wait_for_parent(self) -> None:
        if self._parent is not None and self not in self._parent._children:
            self._parent._children.append(self)

    def _serve(self) -> None:
        """Give to those who wait, as far as there is room.

        Who is given some may give it back at once; that is for the round that is under way.
        """
        if self._serving:
            return
        self._serving = True
        try:
            while self._serve_one() or self._serve_child():
                pass
        finally:
            self._serving = False

    def _serve_child(self) -> bool:
        """Give to one that waits for a part of this one; those that are served go to the end."""
        for _ in range(len(self._children)):
            child = self._children.pop(0)
            served = child._serve_one()
            if child._waiting:
                self._children.append(child)
            if served:
                return True
        return False

    def _serve_one(self) -> bool:
        if not self._waiting or not self._may_take(self._waiting[0][0]):
            return False
        cost, ready = self._waiting.pop(0)  # of at most as many as a peer may have under way
        ready.callback(self._take(cost))
        return True


class Holding:
    """What is held; it is given back once, however often that is said."""

    __slots__ = ("_budget", "_cost")

    def __init__(self, budget: Budget, cost: Cost) -> None:
        self._budget, self._cost = budget, cost

    def shrink(self, cost: Cost) -> None:
        """Give back what is beyond ``cost``."""
        if self._cost is not FREE and cost.fits(self._cost):
            over, self._cost = self._cost - cost, cost
            self._budget.give_back(over)

    def release(self) -> None:
        """Give it back."""
        cost, self._cost = self._cost, FREE
        if cost is not FREE:
            self._budget.give_back(cost)

    def __enter__(self) -> Holding:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
