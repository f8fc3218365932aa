"""A local folder, into a folder on the server."""

from __future__ import annotations

import os
from collections.abc import Sequence

from twisted.internet.defer import Deferred

from twisted_ft.client_connection import ClientConnection
from twisted_ft.delivery import Delivery
from twisted_ft.sides import TreeSides
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.names import join
from twisted_ft.stores.states import States
from twisted_ft.transfer.bodies.tracker import Progress, TransferTracker
from twisted_ft.transfer.exchanges.tree_plan import FolderEnd
from twisted_ft.transfer.exchanges.tree_sending import TreeSending
from twisted_ft.trees.comparing import Comparison, compare, local_entries, remote_entries
from twisted_ft.trees.deliveries import Deliveries
from twisted_ft.trees.finishing import Finishing
from twisted_ft.trees.options import TreeOptions
from twisted_ft.trees.results import Large, Results
from twisted_ft.trees.settling import Settling
from twisted_ft.wire.messages import Failing, Outcome, Part, Settled


class Upload:
    """Sends what is in the local folder ``place`` to the folder ``path``, made if missing."""

    def __init__(
        self,
        connection: ClientConnection,
        place: str,
        path: bytes,
        options: TreeOptions,
        deliveries: Deliveries,
        sides: TreeSides,
    ) -> None:
        self._connection, self._path, self._sides = connection, path, sides
        self._deliveries, self._compare = deliveries, options.compare
        self._store = LocalStore(place)
        self._settling = Settling(self._settle)
        send_options = options.send_options(says_ends=False)
        self._results = Results(
            os.fsdecode(path + b"/" if path else b""),
            send_options.within(connection.protocol.conversation.peer_limits.message).small,
            deliveries.tally,
            self._settling,
            connection.runtime.now,
            sides,
            "there",
        )
        self._sending = TreeSending(
            connection.protocol,
            self._store,
            b"",
            send_options,
            self,
            root=path,
            chosen=options.chosen,
            places=connection.places,
            limit=connection.limit,
        )
        self._is_new: bool | None = None

    async def run(self) -> None:
        """Send it all."""
        await self._sending.send()

    def said(self, parts: Sequence[Part]) -> None:
        """See TreeWatcher."""
        self._results.said(parts)

    def listed(self, ends: Sequence[FolderEnd]) -> None:
        """See TreeWatcher."""
        for above, end in ends:
            self._settling.listed(above, end)

    def alike(self, folder: bytes, states: States) -> None:
        """See TreeWatcher."""
        self._deliveries.put(self._results.alike(folder, states))

    async def receipted(
        self, parts: Sequence[Part], outcomes: bytes, failures: Sequence[Failing]
    ) -> None:
        """See TreeWatcher."""
        if self._is_new is None:
            self._is_new = outcomes[:1] == bytes([Outcome.DONE])
            if failures:
                return  # of which the sending fails
        results, large = self._results.of(parts, outcomes, failures)
        self._deliveries.add(*results)
        for each in large:
            await self._send(each)
        await self._deliveries.room()

    async def _send(self, large: Large) -> None:
        """Put a large file by itself."""
        target = join(self._path, large.path)

        async def send(tracker: TransferTracker) -> Delivery:
            return await self._connection.send(
                self._store, large.path, target, tracker, self._compare
            )

        def begin(progress: Progress) -> Deferred[Delivery]:
            sides = self._sides.of(large.path)
            return self._connection.call(send, progress, sides=sides, when_free=True)

        def ended() -> None:
            self._settling.end(large.folder)
            self._sending.let_go()

        self._sending.hold()
        await self._deliveries.follow(os.fsdecode(target), large.item.size, begin, ended)

    def _settle(self, above: bytes, end: Settled) -> None:
        if end.name or self._is_new:  # what was there already is somebody's own folder
            self._sending.say_too(above, end)


def upload(
    connection: ClientConnection,
    place: str,
    path: bytes,
    wanted: TreeOptions | None,
    makes_above: bool = False,
) -> Deliveries:
    """Upload all that is in the local folder ``place`` to the folder ``path``, made if missing.

    :param makes_above: the folder that ``path`` is in is made, too
    """
    options = wanted or TreeOptions()
    root, store = path.rstrip(b"/"), LocalStore(place)
    above = root.rpartition(b"/")[0] if makes_above or options.parents else b""
    sides = TreeSides(place, root)

    async def difference() -> Comparison:
        ours = local_entries(connection.runtime, store)
        return await compare(ours, remote_entries(connection, root, True), options)

    async def remove(path: bytes) -> None:
        target = join(root, path)
        await connection.call(
            lambda tracker: connection.remove(target, True, tracker), sides=sides.of(path)
        )

    async def work(deliveries: Deliveries) -> None:
        async def send(options: TreeOptions = options) -> None:
            await Upload(connection, place, root, options, deliveries, sides).run()

        async def again(paths: frozenset[bytes]) -> None:
            await send(options.only(paths))

        if not options.dry_run:
            is_there = await connection.runtime.in_thread(os.path.isdir, place)
            into, tracker = above if is_there else b"", TransferTracker()
            await connection.into_folder(into, options.parents, tracker, send)
        target = os.fsdecode(root + b"/" if root else b"")
        ending = Finishing(
            deliveries, target, root, sides, "there", options, difference, remove, again
        )
        await ending.finish()

    return Deliveries(work, sides.of(b"").located, options.delete and not options.dry_run)
