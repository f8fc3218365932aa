"""What a tree's transfer asks of a connection."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore

from twisted_ft.delivery import Delivery
from twisted_ft.stores.interfaces import IStore
from twisted_ft.transfer.bodies.tracker import Progress
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.tree_plan import SendOptions
from twisted_ft.transfer.exchanges.tree_receiving import TreeReceiving
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.walk import Walk


class TreeConnection(Protocol):
    """A connection: see Client."""

    runtime: Runtime
    durable: bool
    limit: RateLimit | None

    @property
    def protocol(self) -> FileTransferProtocol:
        """The connection itself."""

    @property
    def places(self) -> DeferredSemaphore:
        """The exchanges that the server keeps at once."""

    def fetch(
        self, path: bytes, store: IStore, name: bytes, progress: Progress | None
    ) -> Deferred[Delivery]:
        """Download a file."""

    def send(
        self, store: IStore, name: bytes, path: bytes, progress: Progress | None
    ) -> Deferred[Delivery]:
        """Upload a file."""

    async def fetch_tree(
        self, path: bytes, send_options: SendOptions, receiving: TreeReceiving
    ) -> None:
        """Have ``receiving`` take the parcels of a folder, to the last."""

    def walk(self, path: bytes) -> Walk:
        """The entries of a tree on the server."""

    def remove(self, path: bytes, deep: bool) -> Deferred[int]:
        """Remove something on the server."""
