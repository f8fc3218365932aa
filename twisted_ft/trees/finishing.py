"""The end of a tree: what the source doesn't have is removed, or only said to be."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from twisted_ft.delivery import Delivery
from twisted_ft.errors import ConnectionFailed, FileTransferError
from twisted_ft.trees.comparing import Comparison
from twisted_ft.trees.deliveries import Deliveries, failed
from twisted_ft.trees.options import TreeOptions


async def finish(
    deliveries: Deliveries,
    place: str,
    options: TreeOptions,
    difference: Callable[[], Awaitable[Comparison]],
    remove: Callable[[bytes], Awaitable[None]],
) -> None:
    """Remove what is extra, if that is asked for and nothing has failed; or say what would be done.

    :param place: where the tree goes, with what stands between it and a name in it
    :param difference: finds out what is lacking and what is extra
    :param remove: removes something of the destination, with all that is in it
    """
    await deliveries.all_ended()
    if options.dry_run:
        found = await difference()
        for path, size in found.lacking:
            await _tell(deliveries, place, path, size, "would send")
        for path, size in found.extra if options.delete else ():
            await _tell(deliveries, place, path, size, "would remove")
    elif options.delete and not deliveries.any_failed:
        for path, size in (await difference()).extra:
            try:
                await remove(path)
            except ConnectionFailed:
                raise
            except FileTransferError as error:
                deliveries.add([failed(place + os.fsdecode(path), size, error)])
            else:
                await _tell(deliveries, place, path, size, "removed")


async def _tell(deliveries: Deliveries, place: str, path: bytes, size: int, status: str) -> None:
    target = place + os.fsdecode(path)
    deliveries.add([Delivery(target, size, 0, 0, None, 0.0, status)])
    await deliveries.room()
