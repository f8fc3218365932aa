"""Whole trees, file by file: a stream of what becomes of each.

Every file of a tree is an exchange of its own, so each is resumed, skipped or refused for itself,
and a window of them is under way at once: the round trip is paid once, not for each.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from twisted_ft.delivery import Delivery
from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Cancelled,
    ConnectionFailed,
    FileTransferError,
    Forbidden,
    NotADirectory,
    NotAFile,
)
from twisted_ft.stores.folder import sentences
from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.names import file_components
from twisted_ft.stores.tree import walk
from twisted_ft.terminal import shown
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.outcome import Moved, Progress
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.wire.messages import Entry

WINDOW = 48
"""Files that are under way, or of which nobody has taken what became of them, at most."""
_LOCAL_BATCH = 256
"""Entries of a local tree that are read in one trip to a thread."""


class Walking(Protocol):
    """The entries of a tree on the server: see ``client.Walk``."""

    def __aiter__(self) -> AsyncIterator[Entry]: ...

    async def __anext__(self) -> Entry: ...

    async def close(self) -> None:
        """Have no more of it."""


class Mover(Protocol):
    """What a tree asks of a connection: see Client."""

    runtime: Runtime

    def walk(self, path: bytes) -> Walking:
        """The entries of a tree on the server."""

    def fetch(
        self, path: bytes, store: IStore, name: bytes, progress: Progress | None
    ) -> Deferred[Delivery]:
        """Download a file."""

    def send(
        self, store: IStore, name: bytes, path: bytes, progress: Progress | None
    ) -> Deferred[Delivery]:
        """Upload a file."""

    def mkdir(self, path: bytes) -> Deferred[None]:
        """Make a folder on the server."""


class Tally:
    """How a tree is going."""

    def __init__(self) -> None:
        self.files = self.bytes = 0
        """those that have been listed so far"""
        self.all_listed = False
        self.files_ended = self.bytes_moved = 0
        """those that are done, skipped or failed; and bytes that the receiver has"""
        self.current = b""
        """the file that was begun last, by its path below the tree's root"""
        self._under_way: dict[bytes, int] = {}
        """bytes of each file that is under way"""

    def begins(self, entry: Entry, name: bytes) -> Progress:
        """A file has been listed; what is to be told of its progress."""
        self.files += 1
        self.bytes += entry.size
        self._under_way[name] = 0
        self.current = name

        def moves(moved: Moved) -> None:
            if name in self._under_way:
                self.bytes_moved += moved.position - self._under_way[name]
                self._under_way[name] = moved.position

        return moves

    def ends(self, entry: Entry, name: bytes) -> None:
        """It is done with."""
        self.files_ended += 1
        self.bytes_moved += entry.size - self._under_way.pop(name, 0)


class Deliveries:
    """What becomes of each file of a tree: ``async for delivery in ...``, in no certain order.

    The work begins with the first step and goes on as results are taken; leaving it early takes a
    ``close``.  A file that fails is one of the results, and the others go on.

    :raises FileTransferError: the tree itself can't be listed, or the connection has ended; after
        the results that there are
    """

    def __init__(self, work: Callable[[Deliveries], Coroutine[Deferred[Any], Any, None]]) -> None:
        self.tally = Tally()
        self._work = work
        self._places = DeferredSemaphore(WINDOW)
        self._results: deque[Delivery] = deque()
        self._under_way: set[Deferred[Any]] = set()
        self._waiting: Deferred[None] | None = None
        self._main: Deferred[None] | None = None
        self._over = False
        self._failure: FileTransferError | None = None

    def __aiter__(self) -> Deliveries:
        return self

    async def __anext__(self) -> Delivery:
        if self._main is None and not self._over:
            self._begin()
        while not self._results:
            if self._over and not self._under_way:
                failure, self._failure = self._failure, None
                if failure is not None:
                    raise failure
                raise StopAsyncIteration
            self._waiting = Deferred()
            await self._waiting
        self._places.release()
        return self._results.popleft()

    async def close(self) -> None:
        """Call off what is under way; what has arrived is kept.  May be called more than once."""
        over, self._over = self._over, True
        if self._main is not None and not over:
            self._main.cancel()
        for each in list(self._under_way):
            each.cancel()

    def _begin(self) -> None:
        self._main = Deferred.fromCoroutine(self._work(self))
        self._main.addCallbacks(self._listed, self._failed)

    def _stop(self, error: FileTransferError) -> None:
        """Nothing more can be had: what is under way ends without a result."""
        self.give_back()
        if self._failure is None and not isinstance(error, Cancelled):
            self._failure = error
        if self._main is not None and not self._over:
            self._main.cancel()
        self._wake()

    def _listed(self, _: None) -> None:
        self.tally.all_listed = True
        self._over = True
        self._wake()

    def _failed(self, reason: Failure) -> None:
        self._over = True
        if self._failure is None and not reason.check(CancelledError):
            self._failure = as_error(reason)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    # -- for the work ----------------------------------------------------------------------

    def place(self) -> Deferred[Any]:
        """Fires when there is room for one more result."""
        return self._places.acquire()

    def give_back(self) -> None:
        """The place isn't needed: there is no result."""
        self._places.release()

    def add(self, delivery: Delivery) -> None:
        """One more result, for which there is a place."""
        self._results.append(delivery)
        self._wake()

    def follow(self, path: str, name: bytes, entry: Entry, work: Deferred[Delivery]) -> None:
        """A file is under way, for whose result there is a place.

        :param path: where it goes
        :param name: its path below the tree's root
        """
        self._under_way.add(work)

        def ended(result: Delivery | Failure) -> None:
            self._under_way.discard(work)
            self.tally.ends(entry, name)
            if isinstance(result, Delivery):
                self.add(replace(result, path=path))
                return
            error = as_error(result)
            if isinstance(error, (ConnectionFailed, Cancelled)):
                self._stop(error)
            else:
                self.add(_failed(path, entry.size, error))

        work.addBoth(ended)


def _failed(path: str, size: int, error: FileTransferError, status: str = "failed") -> Delivery:
    return Delivery(path, size, 0, 0, None, 0.0, status, error)


def download(mover: Mover, path: bytes, place: str) -> Deliveries:
    """Download all that is in the folder ``path`` into the local one ``place``, made if missing."""
    root = path.rstrip(b"/")
    store = LocalStore(place)

    async def work(deliveries: Deliveries) -> None:
        here = False
        async for entry in mover.walk(root):
            if entry.path == root:
                raise NotADirectory(f"{shown(root)}: this is a file; get it without -r")
            if not here:
                here = await mover.runtime.in_thread(_made, place)
            await deliveries.place()
            try:
                name = _name_below(root, entry)
            except FileTransferError as error:
                deliveries.add(_failed(place, entry.size, error))
                continue
            target = os.path.join(place, os.fsdecode(name))
            left_out = _left_out(entry)
            if left_out is not None:
                deliveries.add(replace(left_out, path=target))
            elif entry.kind == "directory":
                made = mover.runtime.in_thread(_have_folder, store, name)
                await _or_failed(deliveries, target, made)
            else:
                progress = deliveries.tally.begins(entry, name)
                fetched = mover.fetch(entry.path, store, name, progress)
                deliveries.follow(target, name, entry, fetched)
        if not here:
            await mover.runtime.in_thread(_made, place)

    return Deliveries(work)


def upload(mover: Mover, place: str, path: bytes) -> Deliveries:
    """Upload all that is in the local folder ``place`` to the folder ``path``, made if missing."""
    root = path.rstrip(b"/")
    store = LocalStore(place)
    before = root + b"/" if root else b""

    async def work(deliveries: Deliveries) -> None:
        if root:
            await _have_remote_folder(mover, root)
        entries = walk(store, b"")
        while batch := await mover.runtime.in_thread(_some, entries):
            for entry in batch:
                await deliveries.place()
                target = before + entry.path
                left_out = _left_out(entry)
                if left_out is not None:
                    deliveries.add(replace(left_out, path=os.fsdecode(target)))
                elif entry.kind == "directory":
                    made = _have_remote_folder(mover, target)
                    await _or_failed(deliveries, os.fsdecode(target), made)
                else:
                    progress = deliveries.tally.begins(entry, entry.path)
                    sent = mover.send(store, entry.path, target, progress)
                    deliveries.follow(os.fsdecode(target), entry.path, entry, sent)

    return Deliveries(work)


def _made(place: str) -> bool:
    """Have the folder that a tree goes into.  Blocks."""
    with sentences(os.fsencode(place)):
        os.makedirs(place, exist_ok=True)
    return True


def _some(entries: Iterator[Entry]) -> list[Entry]:
    """The next entries of a local tree.  Blocks."""
    return list(islice(entries, _LOCAL_BATCH))


def _name_below(root: bytes, entry: Entry) -> bytes:
    """The path of an entry below the folder that was asked for: it is only the server's word.

    :raises BadName: it isn't below it, or is no name
    """
    before = root + b"/" if root else b""
    if not entry.path.startswith(before):
        raise BadName(f"{shown(entry.path)}: this isn't in the folder that was asked for")
    name = entry.path[len(before) :]
    file_components(name)
    return name


def _have_folder(store: IStore, name: bytes) -> None:
    """Make a folder, where there is none of this name.  Blocks.

    :raises FileTransferError: there is something else of this name, or it can't be made
    """
    try:
        store.make_folder(name)
    except AlreadyExists:
        standing = next(iter(store.entries(name)), None)
        if standing is not None and standing.path == name:
            raise


async def _have_remote_folder(mover: Mover, path: bytes) -> None:
    """Make a folder on the server, where there is none of this name.

    :raises FileTransferError: there is something else of this name, or it can't be made
    """
    try:
        await mover.mkdir(path)
    except AlreadyExists:
        standing = mover.walk(path)
        try:
            if (await anext(standing)).path == path:
                raise
        except StopAsyncIteration:
            return
        finally:
            await standing.close()


async def _or_failed(deliveries: Deliveries, path: str, made: Awaitable[None]) -> None:
    """Wait for a folder; it is a result only where it can't be had."""
    try:
        await made
    except ConnectionFailed:
        raise
    except FileTransferError as error:
        deliveries.add(_failed(path, 0, error))
    else:
        deliveries.give_back()


def _left_out(entry: Entry) -> Delivery | None:
    """The result for what is neither a file nor a folder; None for those."""
    name = shown(entry.path)
    if entry.kind == "unreadable":
        return _failed("", 0, Forbidden(f"{name}: this folder can't be listed"))
    if entry.kind == "link":
        return _failed("", 0, NotAFile(f"{name}: a symbolic link"), "left out")
    if entry.kind not in ("file", "directory"):
        return _failed("", 0, NotAFile(f"{name}: neither a file nor a folder"), "left out")
    return None
