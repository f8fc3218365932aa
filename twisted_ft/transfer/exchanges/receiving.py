"""The receiver of one file, whichever end it is on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

from blake3 import blake3
from msgspec.structs import replace
from twisted.python.failure import Failure

from twisted_ft.errors import Corrupt, Differs, FileTransferError, Unchanged
from twisted_ft.stores.interfaces import Sink, Store
from twisted_ft.stores.sources import open_sink
from twisted_ft.stores.standing import Standing, standing_file
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.inflow import Inflow
from twisted_ft.transfer.bodies.tracker import TransferProgress, TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.dialogue import Dialogue
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.sockets.recvfile import WORTHWHILE, SocketBody
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import BY_TIME, Accept, Attributes, Done, Get, Offer, Receipt

Published = Callable[[TransferProgress], Awaitable[None]]
"""Is told of a file that is verified and has its name."""


class Receiving(Dialogue):
    """Takes a file that is offered: verified, synced, in its place, and only then receipted.

    :param durable: whether it is synced at all
    """

    _DAMAGED = "the data was damaged on the way; it was dropped"

    def __init__(
        self,
        protocol: FileTransferProtocol,
        number: int | None = None,
        tracker: TransferTracker | None = None,
        durable: bool = True,
    ) -> None:
        super().__init__(protocol, number)
        self._durable = durable
        self._tracker = tracker or TransferTracker()
        self._tracker.stop = self.fail
        self._inflow: Inflow | None = None

    async def get(
        self, path: bytes, store: Store, name: bytes, compare: str = BY_TIME
    ) -> TransferProgress:
        """Ask for ``path``, and receive it into ``store`` as ``name``."""
        file = await self.ask(path)
        file = replace(file, path=name)
        return await self.receive(file, store, overwrite=True, compare=compare)

    async def ask(self, path: bytes) -> Attributes:
        """Ask for ``path``; what is offered of it."""
        try:
            self.protocol.say(Get(self.number, path))
            return (await self.hear(Offer)).file
        except Exception:
            raise await self.called_off(Failure()) from None

    async def receive(
        self,
        file: Attributes,
        store: Store,
        overwrite: bool,
        published: Published | None = None,
        owner: str = "",
        compare: str = BY_TIME,
    ) -> TransferProgress:
        """Receive ``file``, which has been offered, under the name that it has.

        :param published: is waited for when it has that name, before its sender is told so
        :param owner: whose it is, where the store writes that down: see IKeepingStore
        :param compare: what makes a file that is here worth comparing with it: see Offer
        :raises Unchanged: it is here already
        :raises Differs: what is here is another one; it can be offered again
        :raises FileTransferError: why it isn't there; what arrived is kept for the next time
        """

        def begin() -> Standing | Sink:
            standing = standing_file(store, file, compare)
            return standing or open_sink(store, file, overwrite, self._durable, owner)

        return await self.receive_into(begin, file, published)

    async def receive_into(
        self,
        begin: Callable[[], Standing | Sink],
        file: Attributes,
        published: Published | None = None,
    ) -> TransferProgress:
        """As ``receive``, into what ``begin`` gives, which is called in a thread.

        :param begin: a file that is here and may be the one that comes; else where that goes
        """
        self._tracker.begins(file)
        try:
            sink = await self.protocol.in_thread(begin)
            if isinstance(sink, Standing):
                await self._compare(sink, file)
            moved = await self._receive_or_keep(sink, file, published)
        except Exception:
            raise await self.called_off(Failure()) from None
        self.protocol.leave(self.number)
        return moved

    async def _compare(self, standing: Standing, file: Attributes) -> NoReturn:
        """Have the sender say the digest of a file that is here, and see whether it is the same."""
        try:
            self.check()
            digest = blake3().digest()
            if file.size:
                digest = await self._said_digest(standing, file, file.size)
            self._tracker.ends(digest)
            await self.protocol.in_thread(standing.settle, file)
        finally:
            self.protocol.in_thread(standing.source.close).addErrback(as_error)
        raise Unchanged(f"{escaped(file.path)}: already there, with the same content")

    async def _said_digest(self, standing: Standing, file: Attributes, size: int) -> bytes:
        """The digest that the sender says, which is that of the file here, 32 bytes.

        :raises Differs: it isn't
        """
        self._tracker.goes_on_from(size)
        self.protocol.say(Accept(self.number, size))
        hashing = self.protocol.at_length(standing.digest, self.check)
        try:
            done = await self.hear(Done)
        finally:  # nothing is closed while it is being read
            found = await hashing
        self.check()
        if found != done.blake3:
            raise Differs(
                f"{escaped(file.path)}: the file there has the same size but other content"
            )
        return done.blake3

    async def _receive_or_keep(
        self, sink: Sink, file: Attributes, published: Published | None
    ) -> TransferProgress:
        """Receive, or write what has arrived before letting go of it."""
        try:
            return await self._receive_into(sink, file, published)
        except Exception:
            reason = as_error(Failure())
            if self._inflow is not None:
                await self._inflow.at_rest()
            await self.protocol.in_thread(sink.keep).addErrback(as_error)
            raise reason from None

    async def _receive_into(
        self, sink: Sink, file: Attributes, published: Published | None
    ) -> TransferProgress:
        self.check()
        self._tracker.goes_on_from(sink.offset)
        self._inflow = self._inflow_into(sink)
        self.protocol.say(Accept(self.number, sink.offset))
        done = await self.hear(Done)
        await self._inflow.at_rest()
        if self.failure is not None:
            raise self.failure
        if self._inflow.digest() != done.blake3:
            await self.protocol.in_thread(sink.discard)
            raise Corrupt(f"{escaped(file.path)}: {self._DAMAGED}")
        await self.protocol.in_thread(sink.publish)
        progress = self._tracker.ends(done.blake3, done.size)
        if published is not None:
            with self.protocol.keep_alive.under_way():
                await published(progress)
        self.protocol.say(Receipt(self.number, done.blake3))
        return progress

    def _inflow_into(self, sink: Sink) -> Inflow:
        return Inflow(self.protocol.reading, self.protocol, sink, self._sink_failed)

    def fail(self, error: FileTransferError) -> None:
        """See Dialogue."""
        super().fail(error)
        if self._inflow is not None:
            self._inflow.stop()

    def data_received(self, content: bytes | memoryview) -> None:
        """See Participant."""
        if self._inflow is not None and self.state is State.BODY:
            self._inflow.take(content)
            if self._tracker.limit is not None:
                self.protocol.reading.pace(self._tracker.limit, len(content))
            self._tracker.moves(len(content))

    def socket_offered(self, waiting: SocketBody) -> bool:
        """See Participant; where there is a limit on the rate, the pieces are better counted."""
        if self._inflow is None or self.state is not State.BODY or self._tracker.limit is not None:
            return False
        to_come = self.protocol.conversation.body_left(self.number)
        if to_come < max(waiting.left, WORTHWHILE):
            return False
        waiting.to_come = to_come
        return self._inflow.take_from(waiting, self._taken)

    def _taken(self, waiting: SocketBody) -> None:
        self.protocol.reading.body_returned(waiting)
        self._tracker.moves(waiting.received)

    def _sink_failed(self, error: FileTransferError) -> None:
        """The disk takes no more: say so at once; the sender's Abort ends the exchange."""
        self.fail(self.tell(error))
