"""The server's end: a factory like any other."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import cached_property
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_ft.errors import Busy, ConnectionFailed, FileTransferError, ReadOnly, Unchanged
from twisted_ft.stores.interfaces import IStore
from twisted_ft.terminal import printable, shown
from twisted_ft.transfer.changing import Changing
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.listing import Answering
from twisted_ft.transfer.outcome import Moved
from twisted_ft.transfer.patience import limits
from twisted_ft.transfer.protocol import FileTransferProtocol
from twisted_ft.transfer.receiving import Receiving
from twisted_ft.transfer.runtime import Runtime, installed_reactor
from twisted_ft.transfer.sending import Sending
from twisted_ft.version import AGENT
from twisted_ft.wire.conversation import Conversation, Side
from twisted_ft.wire.messages import Change, Get, List, MakeFolder, Offer, Refuse, Remove, Rename

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
        runtime: Runtime | None = None,
    ) -> None:
        self.store = store
        self.writable = writable
        self.overwrite = overwrite
        self.max_connections = max_connections
        self.limits = limits(timeout)
        self.connections: set[FileTransferProtocol] = set()
        self._given_runtime = runtime

    @cached_property
    def runtime(self) -> Runtime:
        """Clock and threads."""
        return self._given_runtime or Runtime.of(installed_reactor())

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

    def greeted(self, protocol: FileTransferProtocol) -> None:
        """See Policy."""
        if len(self.connections) > self.max_connections:
            raise Busy(
                f"the server has as many connections as it takes ({self.max_connections}); "
                "try again later"
            )

    def begun(self, protocol: FileTransferProtocol, message: Get | Offer | List | Change) -> None:
        """See Policy."""
        if isinstance(message, Get):
            sending = Sending(protocol, message.exchange)
            self._follow(protocol, "sent", message.path, sending.answer(self.store, message.path))
        elif isinstance(message, Offer):
            file = message.file
            self._follow(protocol, "received", file.path, self._receive(protocol, message))
        elif isinstance(message, List):
            answering = Answering(protocol, message.exchange)
            listing = answering.answer(self.store, message.path, message.deep)
            self._follow(protocol, "listed", message.path, listing)
        else:
            done, told = _TOLD[type(message)]
            new = {"new": shown(message.new)} if isinstance(message, Rename) else {}
            change = self._change(protocol, message)
            self._follow(protocol, done, message.path, change, told, **new)

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

    def _check_writable(self, protocol: FileTransferProtocol, exchange: int, what: str) -> None:
        if not self.writable:
            text = f"this server takes no {what}: it was started without --writable"
            self._refuse(protocol, exchange, text)

    @staticmethod
    def _refuse(protocol: FileTransferProtocol, exchange: int, text: str) -> None:
        error = ReadOnly(text)
        protocol.say(Refuse(exchange, error.code, error.text))
        raise error

    async def _receive(self, protocol: FileTransferProtocol, offer: Offer) -> Moved:
        self._check_writable(protocol, offer.exchange, "uploads")
        receiving = Receiving(protocol, offer.exchange)
        return await receiving.receive(offer.file, self.store, self.overwrite)

    def ended(self, protocol: FileTransferProtocol, error: FileTransferError) -> None:
        """See Policy: who broke the protocol, or doesn't speak it, is named in the log."""
        self.connections.discard(protocol)
        if type(error) is not ConnectionFailed:
            self.log.warn(
                "{peer} sent away: {error} ({code})",
                peer=protocol.peer,
                code=error.code,
                error=shown(error.text),
            )

    # -- the log: one event for each exchange, when its end is known -----------------------

    def _follow(
        self,
        protocol: FileTransferProtocol,
        done: str,
        path: bytes,
        exchange: Coroutine[Deferred[Any], Any, Moved | int],
        told: str = "{count} entries",
        **fields: str,
    ) -> None:
        """Run an exchange, and log what became of it.

        :param told: what is said of one that has counted something
        :param fields: what else belongs to the event
        """
        began = self.runtime.now()
        names: dict[str, Any] = {"peer": protocol.peer, "done": done, "path": shown(path) or "/"}
        names.update(fields)

        def ended(result: Moved | int) -> None:
            names["seconds"] = self.runtime.now() - began
            if isinstance(result, Moved):
                names.update(
                    size=result.file.size,
                    sent=result.sent,
                    resumed_from=result.resumed_from,
                    blake3=result.blake3.hex(),
                )
                self.log.info(
                    "{peer} {done} {path}: {size} bytes, verified, {sent} over the wire "
                    "in {seconds:.3f} s",
                    **names,
                )
            else:
                self.log.info(f"{{peer}} {{done}} {{path}}: {told}", count=result, **names)

        def failed(reason: Failure) -> None:
            error = as_error(reason)
            names.update(code=error.code, error=printable(error.text))
            if isinstance(error, Unchanged):
                self.log.info("{peer} {done} {path}: nothing to do, it is there already", **names)
            else:
                self.log.warn("{peer} not {done} {path}: {error} ({code})", **names)

        Deferred.fromCoroutine(exchange).addCallbacks(ended, failed)
