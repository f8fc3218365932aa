"""The client's end: connect, then get, put, list and change."""

from __future__ import annotations

import builtins
import os
import time
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer

from twisted_ft.client_connection import ClientConnection
from twisted_ft.delivery import Delivery
from twisted_ft.errors import BadName
from twisted_ft.sides import Sides
from twisted_ft.stores.interfaces import Store
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.locations import destination, origin
from twisted_ft.stores.names import PATH_MAX
from twisted_ft.streaming import Chunks, Writer
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.passing import Output
from twisted_ft.transfer.bodies.streams import IteratorStream, Stream
from twisted_ft.transfer.bodies.tracker import Progress, TransferTracker
from twisted_ft.walk import Walk
from twisted_ft.wire.messages import BY_NOTHING, BY_SIZE, BY_TIME, Attributes, Entry, Rename

if TYPE_CHECKING:  # loaded where a tree is moved, and by nobody else
    from twisted_ft.trees.deliveries import Deliveries
    from twisted_ft.trees.options import TreeOptions

RemotePath = str | bytes
"""A path on the server, relative to its root; as str, in the file system's encoding."""
LocalPath = str | os.PathLike[str]


class Client:
    """What can be asked of a server; ``connect`` makes one.

    Calls may be made side by side; each gives a Deferred that can be awaited, and cancelled.
    Those that the server has no room for yet wait in line.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._connection.closed

    def get(
        self,
        path: RemotePath,
        dest: LocalPath = ".",
        progress: Progress | None = None,
        *,
        checksum: bool = False,
        force: bool = False,
        parents: bool = False,
    ) -> Deferred[Delivery]:
        """Download a file, and carry on with it where an earlier run was cut off.

        A file that is there with the same size and time is compared by digest, and not sent again
        if it is the same.

        :param dest: a file, or a folder if it exists as one or ends in ``/`` (then it is made)
        :param progress: is told how it goes, piece by piece
        :param checksum: a file that is there is compared if it has the same size, whatever its time
        :param force: what is there isn't compared: the file is sent
        :param parents: missing folders above are made, too
        :raises FileTransferError: through the Deferred; what arrived is kept
        """

        local = os.fspath(dest)
        sides = Sides(_said(path), here={_said(local): local})

        async def get(tracker: TransferTracker) -> Delivery:
            connection, asked = self._connection, _checked(path)
            folder, name = await connection.runtime.in_thread(destination, local, asked, parents)
            store = LocalStore(folder, durable=connection.durable)
            compare = _compared(checksum, force)
            target = os.path.join(folder, name)
            sides.here = {_checked(name): target, b"": folder}
            delivery = await connection.fetch(asked, store, _checked(name), tracker, compare)
            return replace(delivery, path=target)

        return self._connection.call(get, progress, sides=sides, when_free=True)

    def put(
        self,
        path: LocalPath,
        remote: RemotePath = "",
        progress: Progress | None = None,
        *,
        checksum: bool = False,
        force: bool = False,
        parents: bool = False,
    ) -> Deferred[Delivery]:
        """Upload a file, and carry on with it where an earlier run was cut off.

        A file that is there with the same size and time is compared by digest, and not sent again
        if it is the same.

        :param remote: the file's new name, or a folder, which ends in ``/`` (then it is made) or is
            empty
        :param progress: is told how it goes, piece by piece
        :param checksum: a file that is there is compared if it has the same size, whatever its time
        :param force: what is there isn't compared: the file is sent
        :param parents: missing folders above are made, too
        :raises FileTransferError: through the Deferred
        """

        local = os.fspath(path)
        sides = Sides(_said(remote), here={_said(local): local})

        async def put(tracker: TransferTracker) -> Delivery:
            folder, name = await self._connection.runtime.in_thread(origin, local)
            sides.here = {_checked(name): local, b"": folder}
            target = _checked(remote)
            if not target or target.endswith(b"/"):
                target = _checked(target + os.fsencode(os.path.basename(os.path.abspath(local))))
            sides.there = (target,)
            store, compare = LocalStore(folder), _compared(checksum, force)
            into = target.rpartition(b"/")[0] if parents or target != remote else b""

            async def send() -> Delivery:
                return await self._connection.send(store, _checked(name), target, tracker, compare)

            return await self._connection.into_folder(into, parents, tracker, send)

        return self._connection.call(put, progress, sides=sides, when_free=True)

    def fetch(
        self,
        path: RemotePath,
        store: Store,
        name: RemotePath,
        progress: Progress | None = None,
        *,
        checksum: bool = False,
        force: bool = False,
    ) -> Deferred[Delivery]:
        """As ``get``, into any store, as ``name``."""

        async def fetch(tracker: TransferTracker) -> Delivery:
            asked, compare = _checked(path), _compared(checksum, force)
            return await self._connection.fetch(asked, store, _checked(name), tracker, compare)

        sides = Sides(_said(path), here={_said(name): os.fsdecode(name)})
        return self._connection.call(fetch, progress, sides=sides, when_free=True)

    def send(
        self,
        store: Store,
        name: RemotePath,
        path: RemotePath,
        progress: Progress | None = None,
        *,
        checksum: bool = False,
        force: bool = False,
    ) -> Deferred[Delivery]:
        """As ``put``, out of any store, where the file is ``name``."""

        async def send(tracker: TransferTracker) -> Delivery:
            target, compare = _checked(path), _compared(checksum, force)
            return await self._connection.send(store, _checked(name), target, tracker, compare)

        sides = Sides(_said(path), here={_said(name): os.fsdecode(name)})
        return self._connection.call(send, progress, sides=sides, when_free=True)

    def read(
        self, path: RemotePath, to: IConsumer | Output, progress: Progress | None = None
    ) -> Deferred[Delivery]:
        """Download a file into a consumer, as fast as that takes it; it is kept nowhere.

        The file is verified at its end: where this fails, what the consumer had is not to be used.

        :param to: an IConsumer; or an object with a ``write(pieces)`` that may block, and is called
            in threads
        :param progress: is told how it goes, piece by piece
        :raises FileTransferError: through the Deferred
        """

        async def read(tracker: TransferTracker) -> Delivery:
            return await self._connection.read(_checked(path), to, tracker)

        return self._connection.call(read, progress, sides=Sides(_said(path), here={}))

    def chunks(self, path: RemotePath) -> Chunks:
        """As ``read``, for ``async for``: a file's bytes as they come."""
        return Chunks(lambda consumer: self.read(path, consumer))

    def write(
        self,
        path: RemotePath,
        chunks: AsyncIterable[bytes] | Stream,
        progress: Progress | None = None,
        *,
        mtime: int | None = None,
        mode: int = 0o644,
    ) -> Deferred[Delivery]:
        """Upload what an asynchronous iterator gives, to its end, as the file ``path``.

        It has its name when all of it is verified, as after ``put``; where that fails, nothing of
        it is kept.

        :param chunks: bytes, in pieces of any size
        :param progress: is told how it goes, piece by piece
        :param mtime: the file's modification time, in nanoseconds since 1970; now, if left out
        :param mode: its permission bits
        :raises FileTransferError: through the Deferred; Unsupported, where the server is of a
            version that takes no files of unknown size
        """
        stream = IteratorStream(chunks) if isinstance(chunks, AsyncIterable) else chunks

        async def write(tracker: TransferTracker) -> Delivery:
            time_of = time.time_ns() if mtime is None else mtime
            file = Attributes(_checked(path), None, time_of, mode, b"")
            return await self._connection.write(file, stream, tracker)

        return self._connection.call(write, progress, sides=Sides(_said(path), here={}))

    def writer(
        self,
        path: RemotePath,
        progress: Progress | None = None,
        *,
        mtime: int | None = None,
        mode: int = 0o644,
    ) -> Writer:
        """As ``write``, for producers: an IConsumer.

        A push producer is paused, and a pull producer asked, as the server takes what it writes.
        ``finish`` gives the Deferred.
        """
        return Writer(lambda stream: self.write(path, stream, progress, mtime=mtime, mode=mode))

    def list(self, path: RemotePath = "", partial: bool = False) -> Deferred[builtins.list[Entry]]:
        """What is in a folder, sorted by name; for a file, the file.

        :param partial: instead, what the server keeps there of transfers that were cut off: of kind
            ``partial``, with the path that the file will have, its bytes so far, and when it grew
        :raises Unsupported: through the Deferred: the server can't list that
        """

        async def entries(tracker: TransferTracker) -> builtins.list[Entry]:
            return await self._connection.entries(_folder(path), partial, tracker)

        return self._connection.call(entries, sides=Sides(_said(path)))

    def stat(self, path: RemotePath) -> Deferred[Entry]:
        """What is at ``path``: a file, a folder, a link, or something else.

        Of the root, and of a folder in one that may not be listed, only the kind is known.  A
        folder's size and time are found in a listing of the folder that it is in.

        :raises NotFound: through the Deferred: there is nothing
        """

        async def entry(tracker: TransferTracker) -> Entry:
            return await self._connection.stat(_folder(path), tracker)

        return self._connection.call(entry, sides=Sides(_said(path)))

    def walk(self, path: RemotePath = "", deep: bool = True, partial: bool = False) -> Walk:
        """What is in a folder and in all folders below it, as it comes: ``async for``.

        :param deep: False: only what is in the folder itself
        :param partial: see ``list``
        """
        return self._connection.walk(_folder(path), deep, partial)

    def mkdir(self, path: RemotePath, parents: bool = False) -> Deferred[None]:
        """Make a folder; the one that it is in must be there.

        :param parents: the folders above it are made, too, and it is no failure where it is there
        """

        async def make(tracker: TransferTracker) -> None:
            folder = _folder(path)
            if parents:
                await self._connection.have_folder(folder, True, tracker)
            else:
                await self._connection.make_folder(folder, tracker)

        return self._connection.call(make, sides=Sides(_said(path)))

    def rename(self, path: RemotePath, new: RemotePath) -> Deferred[None]:
        """Give a file, or a folder with all that is in it, another name, in one step.

        :param new: the new name, or a folder to go to, which ends in ``/`` or is empty.  A file
            of that name is replaced, if the server lets it; a folder never is
        """

        async def rename(tracker: TransferTracker) -> None:
            old, to = _folder(path), _checked(new)
            if not to or to.endswith(b"/"):
                to = _checked(to + old.rpartition(b"/")[2])
            sides.there = (old, to)
            await self._connection.change(lambda number: Rename(number, old, to), tracker)

        sides = Sides(_said(path), _said(new))
        return self._connection.call(rename, sides=sides)

    def remove(self, path: RemotePath, deep: bool = False) -> Deferred[int]:
        """Remove a file or a link; how many files, folders and links were removed.

        :param deep: a folder as well, with all that is in it.  It stops at the first failure;
            what was removed by then is removed
        """

        async def remove(tracker: TransferTracker) -> int:
            return await self._connection.remove(_folder(path), deep, tracker)

        return self._connection.call(remove, sides=Sides(_said(path)))

    def get_tree(
        self, path: RemotePath, folder: LocalPath, options: TreeOptions | None = None
    ) -> Deliveries:
        """Download all that is in a folder into ``folder``: a stream of what becomes of each file.

        :param folder: made if missing; what else is in it stays, unless the options say delete
        :param options: how; all of it, as it is, where none are given
        """
        from twisted_ft.trees.downloading import download

        return download(self._connection, _checked(path), os.fspath(folder), options)

    def put_tree(
        self,
        folder: LocalPath,
        path: RemotePath = "",
        options: TreeOptions | None = None,
        *,
        makes_above: bool = False,
    ) -> Deliveries:
        """Upload all that is in ``folder`` into a folder: a stream of what becomes of each file.

        :param path: made if missing, in a folder that is there; what else is in it stays, unless
            the options say delete
        :param options: how; all of it, as it is, where none are given
        :param makes_above: the folder that ``path`` is in is made, too, if it is missing
        """
        from twisted_ft.trees.uploading import upload

        place = os.fspath(folder)
        return upload(self._connection, place, _checked(path), options, makes_above)

    def when_closed(self) -> Deferred[None]:
        """Fires when the connection is over, whoever has ended it."""
        return self._connection.when_closed()

    def close(self) -> Deferred[None]:
        """Close the connection; fires when it is closed."""
        return self._connection.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def _compared(checksum: bool, force: bool) -> str:
    """What makes a file that is there worth comparing: see Offer."""
    return BY_NOTHING if force else BY_SIZE if checksum else BY_TIME


def _said(path: RemotePath) -> bytes:
    """The path as sentences name it, whether it can be said or not."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return repr(path).encode()


def _folder(path: RemotePath) -> bytes:
    """As ``_checked``, for what may be a folder: a slash at its end says nothing more."""
    return _checked(path).rstrip(b"/")


def _checked(path: RemotePath) -> bytes:
    """The path as it is said: BadName where it can't be; the server checks the rest."""
    try:
        encoded = path if isinstance(path, bytes) else os.fsencode(path)
    except UnicodeEncodeError:
        text = "no name can be made of these characters"
        raise BadName(text).at("there", os.fsdecode(path), text) from None
    if len(encoded) > PATH_MAX:
        raise BadName(f"{escaped(encoded[:40])}...: a path has at most {PATH_MAX} bytes")
    return encoded
