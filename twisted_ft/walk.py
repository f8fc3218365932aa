"""The entries of a tree on the server, one after another."""

from __future__ import annotations

from twisted.internet.defer import DeferredSemaphore

from twisted_ft.errors import FileTransferError, Unsupported
from twisted_ft.sides import Sides
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.listing import Asking
from twisted_ft.wire.conversation import PARTIAL_LISTINGS
from twisted_ft.wire.messages import Entry

Order = tuple[list[bytes], bytes]
"""Where a path stands in a listing: these are sorted."""


def order_of(path: bytes) -> Order:
    """After all of the folders above it, and those before it."""
    *folders, name = path.split(b"/")
    return folders, name


class Walk:
    """The entries of a whole tree, one after another: ``async for entry in client.walk("d")``.

    A folder's entries come together, sorted by name, and then those of the folders among them;
    a folder that the server can't list has an entry more, of kind ``unreadable``.  The server
    goes on as entries are taken; whoever wants no more of them calls ``close``.

    :raises FileTransferError: where an entry is awaited
    """

    def __init__(
        self,
        protocol: FileTransferProtocol,
        places: DeferredSemaphore,
        path: bytes,
        deep: bool,
        partial: bool = False,
    ) -> None:
        self._protocol, self._places = protocol, places
        self._path, self._deep, self._partial = path, deep, partial
        self._asking: Asking | None = None
        self._over = False

    def __aiter__(self) -> Walk:
        return self

    async def __anext__(self) -> Entry:
        if self._over:
            raise StopAsyncIteration
        try:
            entry = await (await self._begun()).next_entry()
        except FileTransferError as error:
            await self.close()
            raise Sides(self._path).located(error) from None
        except BaseException:
            await self.close()
            raise
        if entry is None:
            await self.close()
            raise StopAsyncIteration
        return entry

    async def close(self) -> None:
        """Have no more of it; may be called more than once."""
        over, self._over = self._over, True
        if self._asking is not None and not over:
            try:
                await self._asking.leave()
            finally:
                self._places.release()

    async def _begun(self) -> Asking:
        if self._asking is None:
            if self._partial:
                check_partial_listings(self._protocol)
            await self._places.acquire()
            self._asking = Asking(self._protocol, self._path, self._deep, self._partial)
        return self._asking


def check_partial_listings(protocol: FileTransferProtocol) -> None:
    """Raise Unsupported where the server doesn't list what it keeps of transfers."""
    if PARTIAL_LISTINGS not in protocol.conversation.peer_features:
        raise Unsupported(
            "this server can't list what it keeps of transfers; it is of an older version"
        )
