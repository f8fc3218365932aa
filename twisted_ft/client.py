"""The client's end: connect, then get, put, list and change."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from twisted_ft.delivery import Delivery
from twisted_ft.errors import BadName, Busy, Corrupt, FileTransferError, Unchanged, Unsupported
from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.locations import destination, origin
from twisted_ft.stores.names import PATH_MAX
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.tracker import Progress, TransferProgress, TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.connection.timeouts import limits
from twisted_ft.transfer.exchanges.changing import AskingForChange
from twisted_ft.transfer.exchanges.listing import Asking
from twisted_ft.transfer.exchanges.receiving import Receiving
from twisted_ft.transfer.exchanges.sending import Sending
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.version import AGENT
from twisted_ft.walk import Walk
from twisted_ft.wire.conversation import NO_SYNC, Conversation, Side
from twisted_ft.wire.messages import (
    Abort,
    Change,
    Entry,
    Get,
    MakeFolder,
    Opening,
    Parcel,
    Refuse,
    Remove,
    Rename,
)

if TYPE_CHECKING:  # loaded where a tree is moved, and by nobody else
    from twisted_ft.transfer.exchanges.tree_plan import SendOptions
    from twisted_ft.transfer.exchanges.tree_receiving import TreeReceiving
    from twisted_ft.trees.deliveries import Deliveries
    from twisted_ft.trees.options import TreeOptions

T = TypeVar("T")
RemotePath = str | bytes
"""A path on the server, relative to its root; as str, in the file system's encoding."""
LocalPath = str | os.PathLike[str]


class Client:
    """A connection to a server; ``connect`` makes one.

    Calls may be made side by side; each gives a Deferred that can be awaited, and cancelled.
    Those that the server has no room for yet wait in line.

    :param runtime: clock and threads
    :param timeout: seconds that the server, when it is its turn, may say nothing
    :param limit_rate: bytes a second, for all transfers of this connection together
    :param durable: whether a file is synced, here and on the server, before it is called done
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        timeout: int = 30,
        limit_rate: float | None = None,
        durable: bool = True,
    ) -> None:
        self.runtime = runtime
        self.durable = durable
        self.ready: Deferred[Client] = Deferred()
        """fires when both sides have greeted"""
        self._limits = limits(timeout)
        self.limit = RateLimit(limit_rate) if limit_rate is not None else None
        self._protocol: FileTransferProtocol | None = None
        self.places = DeferredSemaphore(1)
        """the exchanges that the server keeps at once"""
        self._trees: dict[int, TreeReceiving] = {}
        """what takes the parcels of each tree that was asked for"""
        self._closing: list[Deferred[None]] = []
        self.waits_when_busy: Sequence[float] = ()
        """seconds to wait, one after another, before asking again for a file that is Busy: a server
        may still be at what a client was sending that is dead by now"""
        self.closed = False
        """whether the connection is over"""

    def build_protocol(self) -> FileTransferProtocol:
        """The protocol of this client's one connection."""
        features = () if self.durable else (NO_SYNC,)
        conversation = Conversation(Side.CLIENT, AGENT, self._limits, features)
        self._protocol = FileTransferProtocol(Side.CLIENT, conversation, self, self.runtime)
        return self._protocol

    @property
    def protocol(self) -> FileTransferProtocol:
        """The connection."""
        assert self._protocol is not None, "the client has not been connected"
        return self._protocol

    # -- what people want ----------------------------------------------------------------

    def get(
        self, path: RemotePath, dest: LocalPath = ".", progress: Progress | None = None
    ) -> Deferred[Delivery]:
        """Download a file, and carry on with it where an earlier run was cut off.

        :param dest: a file, or a folder if it exists as one or ends in ``/`` (then it is made)
        :param progress: is told how it goes, piece by piece
        :raises FileTransferError: through the Deferred; what arrived is kept
        """
        tracker = TransferTracker(progress, self.limit)
        return _cancellable(tracker, self._get(path, os.fspath(dest), tracker))

    def put(
        self, path: LocalPath, remote: RemotePath = "", progress: Progress | None = None
    ) -> Deferred[Delivery]:
        """Upload a file, and carry on with it where an earlier run was cut off.

        :param remote: the file's new name, or a folder, which ends in ``/`` or is empty
        :param progress: is told how it goes, piece by piece
        :raises FileTransferError: through the Deferred
        """
        tracker = TransferTracker(progress, self.limit)
        return _cancellable(tracker, self._put(os.fspath(path), remote, tracker))

    def fetch(
        self, path: RemotePath, store: IStore, name: RemotePath, progress: Progress | None = None
    ) -> Deferred[Delivery]:
        """As ``get``, into any store, as ``name``."""
        tracker = TransferTracker(progress, self.limit)
        return _cancellable(tracker, self._fetch(path, store, name, tracker))

    def send(
        self, store: IStore, name: RemotePath, path: RemotePath, progress: Progress | None = None
    ) -> Deferred[Delivery]:
        """As ``put``, out of any store, where the file is ``name``."""
        tracker = TransferTracker(progress, self.limit)
        return _cancellable(tracker, self._send(store, name, path, tracker))

    def list(self, path: RemotePath = "") -> Deferred[builtins.list[Entry]]:
        """What is in a folder, sorted by name; for a file, the file."""
        tracker = TransferTracker()
        return _cancellable(tracker, self._list(path, tracker))

    def walk(self, path: RemotePath = "", deep: bool = True) -> Walk:
        """What is in a folder and in all folders below it, as it comes: ``async for``.

        :param deep: False: only what is in the folder itself
        """
        return Walk(self.protocol, self.places, _checked(path).rstrip(b"/"), deep)

    def mkdir(self, path: RemotePath) -> Deferred[None]:
        """Make a folder; the one that it is in must be there."""
        tracker = TransferTracker()
        return _cancellable(tracker, self._make_folder(path, tracker))

    def rename(self, path: RemotePath, new: RemotePath) -> Deferred[None]:
        """Give a file, or a folder with all that is in it, another name, in one step.

        :param new: the new name, or a folder to go to, which ends in ``/`` or is empty.  A file
            of that name is replaced, if the server lets it; a folder never is
        """
        tracker = TransferTracker()
        return _cancellable(tracker, self._rename(path, new, tracker))

    def remove(self, path: RemotePath, deep: bool = False) -> Deferred[int]:
        """Remove a file or a link; how many files, folders and links were removed.

        :param deep: a folder as well, with all that is in it.  It stops at the first failure;
            what was removed by then is removed
        """
        tracker = TransferTracker()
        return _cancellable(tracker, self._remove(path, deep, tracker))

    def get_tree(
        self, path: RemotePath, folder: LocalPath, options: TreeOptions | None = None
    ) -> Deliveries:
        """Download all that is in a folder into ``folder``: a stream of what becomes of each file.

        :param folder: made if missing; what else is in it stays, unless the options say delete
        :param options: how; all of it, as it is, where none are given
        """
        from twisted_ft.trees.downloading import download

        return download(self, _checked(path), os.fspath(folder), options)

    def put_tree(
        self, folder: LocalPath, path: RemotePath = "", options: TreeOptions | None = None
    ) -> Deliveries:
        """Upload all that is in ``folder`` into a folder: a stream of what becomes of each file.

        :param path: made if missing, in a folder that is there; what else is in it stays, unless
            the options say delete
        :param options: how; all of it, as it is, where none are given
        """
        from twisted_ft.trees.uploading import upload

        return upload(self, os.fspath(folder), _checked(path), options)

    async def fetch_tree(
        self, path: bytes, send_options: SendOptions, receiving: TreeReceiving
    ) -> None:
        """Have ``receiving`` take the parcels of a folder, to the last.

        :raises FileTransferError: the failure that the server names, or that ended it here
        """
        from twisted_ft.transfer.exchanges.tree_receiving import AskingFetch

        async with self.places:
            asking = AskingFetch(self.protocol)
            self._trees[asking.number] = receiving
            try:
                await asking.ask(path, send_options)
            finally:
                del self._trees[asking.number]
                receiving.no_more()

    def close(self) -> Deferred[None]:
        """Close the connection; fires when it is closed."""
        closed: Deferred[None] = Deferred()
        if self.closed:
            closed.callback(None)
        else:
            self._closing.append(closed)
            self.protocol.close()
        return closed

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- how it is done ------------------------------------------------------------------

    async def _get(self, path: RemotePath, dest: str, tracker: TransferTracker) -> Delivery:
        path = _checked(path)
        folder, name = await self.runtime.in_thread(destination, dest, path)
        store = LocalStore(folder, durable=self.durable)
        delivery = await self._fetch(path, store, os.fsencode(name), tracker)
        return replace(delivery, path=os.path.join(folder, name))

    async def _put(self, path: str, remote: RemotePath, tracker: TransferTracker) -> Delivery:
        folder, name = await self.runtime.in_thread(origin, path)
        remote = _checked(remote)
        if not remote or remote.endswith(b"/"):
            remote += os.fsencode(os.path.basename(os.path.abspath(path)))
        return await self._send(LocalStore(folder), os.fsencode(name), remote, tracker)

    async def _fetch(
        self, path: RemotePath, store: IStore, name: RemotePath, tracker: TransferTracker
    ) -> Delivery:
        asked, kept = _checked(path), _checked(name)

        async def attempt() -> TransferProgress:
            tracker.check()
            return await Receiving(self.protocol, tracker=tracker).get(asked, store, kept)

        return await self._deliver(kept, tracker, attempt)

    async def _send(
        self, store: IStore, name: RemotePath, path: RemotePath, tracker: TransferTracker
    ) -> Delivery:
        kept, offered = _checked(name), _checked(path)

        async def attempt() -> TransferProgress:
            try:
                source = await self.runtime.in_thread(store.source, kept)
            except Exception:
                raise as_error(Failure()) from None
            return await Sending(self.protocol, tracker=tracker).send(source, offered)

        return await self._deliver(offered, tracker, attempt)

    async def _list(self, path: RemotePath, tracker: TransferTracker) -> builtins.list[Entry]:
        folder = _checked(path).rstrip(b"/")
        async with self.places:
            tracker.check()
            asking = Asking(self.protocol, folder, deep=False)
            tracker.stop = asking.fail
            entries = []
            while (entry := await asking.next_entry()) is not None:
                entries.append(entry)
            return entries

    async def _make_folder(self, path: RemotePath, tracker: TransferTracker) -> None:
        folder = _checked(path).rstrip(b"/")
        await self._change(lambda number: MakeFolder(number, folder), tracker)

    async def _rename(self, path: RemotePath, new: RemotePath, tracker: TransferTracker) -> None:
        old, to = _checked(path).rstrip(b"/"), _checked(new)
        if not to or to.endswith(b"/"):
            to = _checked(to + old.rpartition(b"/")[2])
        await self._change(lambda number: Rename(number, old, to), tracker)

    async def _remove(self, path: RemotePath, deep: bool, tracker: TransferTracker) -> int:
        named = _checked(path).rstrip(b"/")
        return await self._change(lambda number: Remove(number, named, deep), tracker)

    async def _change(self, change: Callable[[int], Change], tracker: TransferTracker) -> int:
        async with self.places:
            tracker.check()
            asking = AskingForChange(self.protocol)
            tracker.stop = asking.fail
            return await asking.ask(change)

    async def _attempt(self, attempt: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T:
        """Begin an exchange when the server has room for it."""
        async with self.places:
            return await attempt()

    async def _attempt_when_free(
        self, attempt: Callable[[], Coroutine[Deferred[Any], Any, T]]
    ) -> T:
        """As ``_attempt``; again after a while, where another transfer to the name is under way."""
        for seconds in self.waits_when_busy:
            try:
                return await self._attempt(attempt)
            except Busy:
                await self.runtime.sleep(seconds)
        return await self._attempt(attempt)

    async def _deliver(
        self,
        path: bytes,
        tracker: TransferTracker,
        attempt: Callable[[], Coroutine[Deferred[Any], Any, TransferProgress]],
    ) -> Delivery:
        """One file; again from its beginning, where what an earlier run had left was damaged."""
        began = self.runtime.now()
        status = "done"
        try:
            try:
                moved = await self._attempt_when_free(attempt)
            except Corrupt:
                if not tracker.resumed:
                    raise
                moved = await self._attempt(attempt)
        except Unchanged:
            status, moved = "skipped", tracker.known
        return Delivery(
            path=os.fsdecode(path),
            size=moved.file.size,
            sent=moved.sent,
            resumed_from=moved.resumed_from,
            blake3=moved.blake3.hex() or None,
            seconds=self.runtime.now() - began,
            status=status,
        )

    # -- Policy --------------------------------------------------------------------------

    async def greeted(self, protocol: FileTransferProtocol) -> None:
        """See Policy."""
        self.places = DeferredSemaphore(protocol.conversation.peer_limits.exchanges)
        self.ready.callback(self)

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        """See Policy: a client takes what it has asked for, and serves nothing."""
        if isinstance(message, Parcel) and message.fetch in self._trees:
            self._trees[message.fetch].take(message)
            return
        answer = Abort if isinstance(message, Get) else Refuse
        text = "this client asks for files, and serves none"
        protocol.say(answer(message.exchange, Unsupported.code, text))

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """See Policy."""
        self.closed = True
        if not self.ready.called:
            self.ready.errback(error)
        waiting, self._closing = self._closing, []
        for each in waiting:
            each.callback(None)


def _cancellable(tracker: TransferTracker, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """The outcome of ``work``; the other side is told when it is cancelled, in a moment."""

    def cancel(outcome: Deferred[T]) -> None:
        outcome.errback(CancelledError())
        tracker.cancel()

    outcome: Deferred[T] = Deferred(cancel)

    def ended(result: T | Failure) -> None:
        if not outcome.called:
            outcome.callback(result)

    Deferred.fromCoroutine(work).addBoth(ended)
    return outcome


def _checked(path: RemotePath) -> bytes:
    """The path as it is said: BadName where it can't be; the server checks the rest."""
    try:
        encoded = path if isinstance(path, bytes) else os.fsencode(path)
    except UnicodeEncodeError:
        raise BadName(f"{escaped(path)}: no name can be made of these characters") from None
    if len(encoded) > PATH_MAX:
        raise BadName(f"{escaped(encoded[:40])}...: a path has at most {PATH_MAX} bytes")
    return encoded
