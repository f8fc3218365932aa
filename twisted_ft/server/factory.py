"""The server's end: a factory like any other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from twisted_ft.errors import Busy, ConnectionFailed, FileTransferError, ReadOnly
from twisted_ft.server.journal import Journal, SentTree, SmallFiles
from twisted_ft.stores.interfaces import IStore
from twisted_ft.stores.piecewise import unpacker_of
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.tracker import TransferProgress
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.connection.timeouts import limits
from twisted_ft.transfer.exchanges.changing import Changing
from twisted_ft.transfer.exchanges.listing import Answering
from twisted_ft.transfer.exchanges.receiving import Receiving
from twisted_ft.transfer.exchanges.sending import Sending
from twisted_ft.transfer.exchanges.tree_receiving import TreeReceiving
from twisted_ft.transfer.exchanges.tree_sending import AnsweringFetch
from twisted_ft.transfer.runtime import Runtime, installed_reactor
from twisted_ft.version import AGENT
from twisted_ft.wire.conversation import NO_SYNC, Conversation, Side
from twisted_ft.wire.messages import (
    Change,
    Failing,
    Fetch,
    Get,
    List,
    MakeFolder,
    Offer,
    Opening,
    Parcel,
    Refuse,
    Remove,
    Rename,
)

_TOLD: dict[type[Change], tuple[str, str]] = {
    MakeFolder: ("made", "a folder"),
    Rename: ("renamed", "it is {new} now"),
    Remove: ("removed", "{count} files and folders"),
}
"""What the log says of each change: what was done, and more about it."""


class FileTransferFactory(ServerFactory):
    """Serves a store over FT/1.

    :param store: what is served
    :param writable: whether clients may change anything
    :param overwrite: whether what is there may be replaced, renamed and removed
    :param max_connections: connections at once; who comes after is told so, and sent away
    :param timeout: seconds that a peer whose turn it is may say, or take, nothing
    :param durable: whether what is received is synced before it is called received
    :param runtime: clock and threads; those of the installed reactor, where none is given
    """

    log = Logger()
    noisy = False

    def __init__(
        self,
        store: IStore,
        *,
        writable: bool = False,
        overwrite: bool = True,
        max_connections: int = 1000,
        timeout: int = 60,
        durable: bool = True,
        runtime: Runtime | None = None,
    ) -> None:
        self.store = store
        self.writable = writable
        self.overwrite = overwrite
        self.max_connections = max_connections
        self.limits = limits(timeout)
        self.durable = durable
        self.connections: set[FileTransferProtocol] = set()
        self._receiving: dict[FileTransferProtocol, tuple[TreeReceiving, SmallFiles]] = {}
        self._given_runtime = runtime

    @cached_property
    def runtime(self) -> Runtime:
        """Clock and threads."""
        return self._given_runtime or Runtime.of(installed_reactor())

    @cached_property
    def _journal(self) -> Journal:
        return Journal(self.log, self.runtime)

    def buildProtocol(self, addr: IAddress | None) -> FileTransferProtocol:
        """One connection's protocol; whether it may stay is decided when it has greeted."""
        conversation = Conversation(Side.SERVER, AGENT, self.limits)
        protocol = FileTransferProtocol(Side.SERVER, conversation, self, self.runtime)
        protocol.factory = self
        self.connections.add(protocol)
        return protocol

    def disconnect(self) -> None:
        """Close every connection; clients carry their transfers on when they come again."""
        for protocol in list(self.connections):
            protocol.close()

    # -- Policy --------------------------------------------------------------------------

    async def greeted(self, protocol: FileTransferProtocol) -> None:
        """See Policy."""
        if len(self.connections) > self.max_connections:
            raise Busy(
                f"the server has as many connections as it takes ({self.max_connections}); "
                "try again later"
            )

    def begun(self, protocol: FileTransferProtocol, message: Opening) -> None:
        """See Policy."""
        if isinstance(message, Get):
            sending = Sending(protocol, message.exchange)
            self._journal.follow(
                protocol, "sent", message.path, sending.answer(self.store, message.path)
            )
        elif isinstance(message, Offer):
            file = message.file
            self._journal.follow(protocol, "received", file.path, self._receive(protocol, message))
        elif isinstance(message, List):
            answering = Answering(protocol, message.exchange)
            listing = answering.answer(self.store, message.path, message.deep)
            self._journal.follow(protocol, "listed", message.path, listing)
        elif isinstance(message, Fetch):
            fetch = self._send_tree(protocol, message)
            self._journal.follow(protocol, "sent", message.path, fetch, "{count} items")
        elif isinstance(message, Parcel):
            self._unpack(protocol, message)
        else:
            done, told = _TOLD[type(message)]
            new = {"new": escaped(message.new)} if isinstance(message, Rename) else {}
            change = self._change(protocol, message)
            self._journal.follow(protocol, done, message.path, change, told, **new)

    async def _change(self, protocol: FileTransferProtocol, change: Change) -> int:
        self._check_writable(protocol, change.exchange, "changes")
        if not self.overwrite and not isinstance(change, MakeFolder):
            self._refuse(
                protocol,
                change.exchange,
                "this server keeps what it has: it was started with --no-overwrite",
            )
        changing = Changing(protocol, change.exchange)
        return await changing.answer(change, self.store, self.overwrite)

    async def _send_tree(self, protocol: FileTransferProtocol, fetch: Fetch) -> int:
        watcher = SentTree(self._journal, protocol, fetch.path)
        try:
            return await AnsweringFetch(protocol, fetch).answer(self.store, watcher)
        finally:
            watcher.ended()

    def _unpack(self, protocol: FileTransferProtocol, parcel: Parcel) -> None:
        try:
            self._check_writable(protocol, parcel.exchange, "uploads")
        except ReadOnly:
            return
        if protocol not in self._receiving:
            self._receiving[protocol] = self._receive_tree(protocol)
        self._receiving[protocol][0].take(parcel)

    def _receive_tree(self, protocol: FileTransferProtocol) -> tuple[TreeReceiving, SmallFiles]:
        """Who takes a connection's parcels, and who logs them."""
        small = self._journal.small_files(protocol, "received")

        async def unpacked(parcel: Parcel, outcomes: bytes, failures: Sequence[Failing]) -> None:
            small.take(parcel.root, parcel.parts, outcomes, failures)

        unpacker = unpacker_of(self.store, self.overwrite, self._durable(protocol))
        return TreeReceiving(protocol, unpacker, unpacked), small

    def _durable(self, protocol: FileTransferProtocol) -> bool:
        return self.durable and NO_SYNC not in protocol.conversation.peer_features

    def _check_writable(self, protocol: FileTransferProtocol, exchange: int, what: str) -> None:
        if not self.writable:
            text = f"this server takes no {what}: it was started without --writable"
            self._refuse(protocol, exchange, text)

    @staticmethod
    def _refuse(protocol: FileTransferProtocol, exchange: int, text: str) -> None:
        error = ReadOnly(text)
        protocol.say(Refuse(exchange, error.code, error.text))
        raise error

    async def _receive(self, protocol: FileTransferProtocol, offer: Offer) -> TransferProgress:
        self._check_writable(protocol, offer.exchange, "uploads")
        receiving = Receiving(protocol, offer.exchange, durable=self._durable(protocol))
        return await receiving.receive(offer.file, self.store, self.overwrite)

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """See Policy: who broke the protocol, or doesn't speak it, is named in the log."""
        self.connections.discard(protocol)
        if protocol in self._receiving:
            self._receiving.pop(protocol)[1].tell()
        if type(error) is not ConnectionFailed:
            self.log.warn(
                "{peer} sent away: {error} ({code})",
                peer=protocol.peer,
                code=error.code,
                error=escaped(error.text),
            )
