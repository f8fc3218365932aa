"""A tree on the server, into a local folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_ft.client_connection import ClientConnection
from twisted_ft.delivery import Delivery
from twisted_ft.errors import FileTransferError, ProtocolError, error_for
from twisted_ft.sides import TreeSides
from twisted_ft.stores.interfaces import IUnpacker, Unpacker
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.names import join
from twisted_ft.stores.piecewise import unpacker_of
from twisted_ft.stores.states import States
from twisted_ft.transfer.bodies.tracker import Progress, TransferTracker
from twisted_ft.transfer.exchanges.tree_plan import SendOptions, insisting
from twisted_ft.transfer.exchanges.tree_receiving import TreeReceiving
from twisted_ft.trees.comparing import (
    Comparison,
    compare,
    local_entries,
    no_entries,
    remote_entries,
)
from twisted_ft.trees.deliveries import Deliveries, failed
from twisted_ft.trees.finishing import Finishing
from twisted_ft.trees.options import TreeOptions
from twisted_ft.trees.results import Large, Results
from twisted_ft.trees.settling import Settling
from twisted_ft.wire.messages import (
    Described,
    Failing,
    Item,
    Link,
    Outcome,
    Parcel,
    Part,
    Settled,
    Summed,
)

MOST_LATER = 1 << 20
"""Large files that wait for the end of a Fetch, at most: a tebibyte, at the least."""


class Download:
    """Receives what is in the folder ``path`` into the local one ``place``, made if missing."""

    def __init__(
        self,
        connection: ClientConnection,
        path: bytes,
        place: str,
        options: TreeOptions,
        deliveries: Deliveries,
        sides: TreeSides,
    ) -> None:
        self._connection, self._path, self._place = connection, path, place
        self._sides = sides
        self._options, self._deliveries = options, deliveries
        self._store = LocalStore(place, durable=connection.durable, makes_root=True)
        self._settling = Settling(self._settle)
        room = connection.protocol.conversation.limits.message
        self._send_options = options.send_options(says_ends=True).within(room)
        self._results = Results(
            os.path.join(place, ""),
            self._send_options.small,
            deliveries.tally,
            self._settling,
            connection.runtime.now,
            sides,
            "here",
            options.leaves_out,
            "it came in a way that nobody has asked for",
        )
        self._passed_over = frozenset(_passed_over(self._send_options))
        self._alike: dict[bytes, States] = {}
        """folders of which all files proved to be here, until that is told"""
        alike = None if options.force else self._alike.__setitem__
        unpacker = unpacker_of(self._store, True, connection.durable, alike)
        self._receiving = TreeReceiving(
            connection.protocol,
            _Insisting(unpacker) if options.force else unpacker,
            self._unpacked,
            self._choose,
            connection.limit,
        )
        self._is_new: bool | None = None
        self._later: list[Large] = []
        """large files, where the server keeps one exchange at once"""

    async def run(self) -> None:
        """Receive it all; at the end the folders with large files get their time, too."""
        await self._connection.fetch_tree(self._path, self._send_options, self._receiving)
        await self._receiving.idle()
        self._deliveries.add(self._results.never_came())
        await self._fetch_all(self._later)
        await self._deliveries.all_ended()
        await self._receiving.idle()

    def _choose(self, part: Part) -> Sequence[bool] | None:
        """All that is wanted; a folder is settled when everything in it has arrived."""
        chosen = self._options.chosen
        if chosen is not None:
            if part.folder and not self._options.takes_all_of(part.folder, True):
                return [False] * len(part.items)
            return [self._is_taken(item) and chosen(part.folder, item) for item in part.items]
        kinds = {*map(type, part.items)}
        if Described in kinds or not self._passed_over.isdisjoint(kinds):
            return [self._is_taken(item) for item in part.items]
        return None

    def _is_taken(self, item: Item) -> bool:
        """Whether an item came as it was asked for: a digest that wasn't would have us read a file
        of our own, and say whether it is the one that the server knows."""
        if type(item) is Described:
            return not item.blake3 or self._send_options.packing.digests
        return type(item) not in self._passed_over

    async def _unpacked(self, parcel: Parcel, outcomes: bytes, failures: Sequence[Failing]) -> None:
        if self._is_new is None:
            self._is_new = outcomes[:1] == bytes([Outcome.DONE])
        self._results.said(parcel.parts)
        results, large = self._results.of(parcel.parts, outcomes, failures)
        for part in parcel.parts:
            for item in part.items:
                if type(item) is Settled:
                    self._settling.listed(part.folder, item)
                elif type(item) is Summed:
                    self._tell_alike(join(part.folder, item.name))
        self._deliveries.add(*results)
        if self._connection.places.limit == 1:  # and that one is the Fetch's, up to its end
            self._later.extend(large)
            large = []
        if self._results.too_many_awaited or len(self._later) > MOST_LATER:
            error = ProtocolError("the server describes files without end, and sends none of them")
            self._connection.protocol.end(error)
            raise error
        await self._fetch_all(large)
        await self._deliveries.room()

    def _tell_alike(self, folder: bytes) -> None:
        states = self._alike.pop(folder, None)
        if states is not None:
            self._deliveries.put(self._results.alike(folder, states))

    async def _fetch_all(self, large: Sequence[Large]) -> None:
        for each in large:
            await self._fetch(each)

    async def _fetch(self, large: Large) -> None:
        """Get a large file by itself."""
        path = join(self._path, large.path)

        async def fetch(tracker: TransferTracker) -> Delivery:
            compare = self._options.compare
            return await self._connection.fetch(path, self._store, large.path, tracker, compare)

        def begin(progress: Progress) -> Deferred[Delivery]:
            sides = self._sides.of(large.path)
            return self._connection.call(fetch, progress, sides=sides, when_free=True)

        def ended() -> None:
            self._settling.end(large.folder)

        target = os.path.join(self._place, os.fsdecode(large.path))
        await self._deliveries.follow(target, large.item.size, begin, ended)

    def _settle(self, above: bytes, end: Settled) -> None:
        path = join(above, end.name)
        if not path and not self._is_new:
            return  # what was there already is the user's own folder

        def told(failures: Sequence[Failing]) -> None:
            if not failures:
                return
            target = os.path.join(self._place, os.fsdecode(path))
            errors = [error_for(each.code, each.text, "here") for each in failures]
            located = map(self._sides.of(path).located, errors)
            self._deliveries.add([failed(target, 0, error) for error in located])

        item: Item = end
        self._receiving.unpack_too(Part(above, (item,)), told)


@implementer(IUnpacker)
class _Insisting:
    """Another unpacker, by which files are wanted that are here already."""

    def __init__(self, inner: Unpacker) -> None:
        self._inner = inner

    def unpack(self, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        """See IUnpacker."""
        outcomes, failures = self._inner.unpack(parts)
        return [*map(Outcome, insisting(parts, bytes(outcomes)))], failures

    def close(self) -> None:
        """See IUnpacker."""
        self._inner.close()


def _passed_over(wanted: SendOptions) -> Iterator[type[Item]]:
    """What isn't unpacked when it comes."""
    yield Settled
    if not wanted.sums:
        yield Summed
    if not wanted.packing.links:
        yield Link


def download(
    connection: ClientConnection, path: bytes, place: str, wanted: TreeOptions | None
) -> Deliveries:
    """Download all that is in the folder ``path`` into the local one ``place``, made if missing."""
    options = wanted or TreeOptions()
    root, store = path.rstrip(b"/"), LocalStore(place)
    sides = TreeSides(place, root)

    async def difference() -> Comparison:
        there = await connection.runtime.in_thread(os.path.isdir, place)
        ours = local_entries(connection.runtime, store) if there else no_entries()
        return await compare(remote_entries(connection, root, False), ours, options)

    async def remove(path: bytes) -> None:
        try:
            await connection.runtime.in_thread(store.remove, path, True)
        except FileTransferError as error:
            raise sides.of(path).located(error) from None

    async def work(deliveries: Deliveries) -> None:
        async def again(paths: frozenset[bytes]) -> None:
            await Download(connection, root, place, options.only(paths), deliveries, sides).run()

        if not options.dry_run:
            await Download(connection, root, place, options, deliveries, sides).run()
        target = os.path.join(place, "")
        ending = Finishing(
            deliveries, target, b"", sides, "here", options, difference, remove, again
        )
        await ending.finish()

    return Deliveries(work, sides.of(b"").located, options.delete and not options.dry_run)
