"""A file from the lab's own server."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from typing import Any

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from twisted_ft.connecting import connected, host_endpoint
from twisted_ft.delivery import Delivery
from twisted_ft.errors import BadName, Cancelled, ConnectionFailed, FileTransferError, TimedOut
from twisted_ft.lab.spool import Spool
from twisted_ft.lab.stream import HEAD, Split, choose, splits
from twisted_ft.sides import Sides
from twisted_ft.stores.interfaces import Sink
from twisted_ft.stores.local import LocalStore
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.inflow import Inflow
from twisted_ft.transfer.bodies.tracker import Progress, TransferProgress
from twisted_ft.transfer.runtime import Runtime, installed_reactor
from twisted_ft.urls import Location, parse_url
from twisted_ft.wire.messages import Attributes

_COPIED = 1 << 22
"""Bytes that are copied in one trip to a thread."""


def lab_location(text: str) -> Location:
    """The place that ``HOST`` or ``HOST:PORT`` names; ValueError, with a sentence, if none."""
    try:
        location = parse_url(f"ft://{text}/")
    except ValueError:
        location = None
    if location is None or location.path:
        raise ValueError(f"{text!r} is no HOST, and no HOST:PORT with a port from 1 to 65535")
    return location


def receive_from_lab(
    where: IStreamClientEndpoint | Location | str,
    folder: str | os.PathLike[str] = "rec",
    *,
    name: str | bytes | None = None,
    reactor: Any = None,
    runtime: Runtime | None = None,
    progress: Progress | None = None,
    timeout: float = 30,
) -> Deferred[Delivery]:
    """Receive the one file that the lab's server sends.

    :param where: an endpoint of Twisted's, ``HOST[:PORT]``, or what ``lab_location`` makes of it
    :param folder: where the file goes, under the last part of the name that the server says;
        made if missing.  A file of that name is replaced
    :param name: what the file is called; needed only where what arrives is ambiguous
    :param reactor: the reactor to work on; Twisted's installed one, where none is given
    :param runtime: clock and threads, in place of the reactor's
    :param progress: is told how many bytes have arrived.  The file's size isn't known before
        the end; until then the ``size`` that it is told is what has arrived, header included
    :param timeout: seconds to connect in, and then of silence once the server has begun; before,
        somebody has to tell it a name, which may take any time
    :returns: a Deferred, which may be cancelled.  Its ``blake3`` is that of the file as it
        arrived: the exchange has no digest to compare it with
    :raises FileTransferError: through the Deferred: Unreachable, TimedOut, ConnectionFailed
        (among others where the transfer was cut short), Ambiguous, BadName, NoSpace, ...
        The folder is then as it was
    :raises ValueError: ``where`` is a string and no ``HOST[:PORT]``
    """
    if isinstance(where, str):
        where = lab_location(where)
    if reactor is None and (runtime is None or isinstance(where, Location)):
        reactor = installed_reactor()
    runtime = runtime or Runtime.of(reactor)
    host = "the server"
    if isinstance(where, Location):
        host = escaped(where.address)
        where = host_endpoint(where, reactor, timeout)
    wanted = os.fsencode(name) if name is not None else None
    reception = _Reception(runtime, os.fspath(folder), wanted, progress, timeout)
    outcome: Deferred[Delivery] = Deferred(lambda _: reception.cancel())

    def ended(result: Delivery | Failure) -> None:
        if isinstance(result, Failure) and isinstance(result.value, FileTransferError):
            result = Failure(_located(result.value, os.fspath(folder)))
        if not outcome.called:
            outcome.callback(result)

    Deferred.fromCoroutine(reception.run(where, host)).addBoth(ended)
    return outcome


def _located(error: FileTransferError, folder: str) -> FileTransferError:
    """The failure, with its side and its path; of names, the server's are meant."""
    if isinstance(error, BadName):
        return error.at("there")
    return Sides(here={os.fsencode(folder): folder, b"": folder}).located(error)


class LabClient(Protocol, TimeoutMixin):
    """Takes a stream into a spool until the server ends it; says nothing.

    :param on_arrival: is told how many bytes have come, with each piece
    """

    transport: Any

    def __init__(
        self,
        runtime: Runtime,
        spool: Spool,
        timeout: float,
        on_arrival: Callable[[int], None],
    ) -> None:
        self.runtime = runtime
        self.ended: Deferred[None] = Deferred()
        """fires when the server has ended the stream, or fails"""
        self._timeout = timeout
        self._on_arrival = on_arrival
        self._arrived = 0
        self._failure: FileTransferError | None = None
        self._over = False
        self._inflow = Inflow(self, runtime, spool, self.abort)

    async def whole_stream(self) -> None:
        """Wait until all of the stream is in the spool, or nothing more will be written to it."""
        try:
            await self.ended
        finally:
            await self._inflow.at_rest()
        if self._failure is not None:
            raise self._failure

    def abort(self, error: FileTransferError) -> None:
        """End the connection at once, for the reason ``error``."""
        if self._failure is None and not self._over:
            self._failure = error
            self.transport.abortConnection()
        self._failure = self._failure or error

    # -- from the transport --------------------------------------------------------------

    def callLater(self, period: float, func: Any) -> Any:
        """TimeoutMixin's clock."""
        return self.runtime.clock.callLater(period, func)

    def connectionMade(self) -> None:
        """Have the platform notice a server that is gone while nothing is said."""
        if hasattr(self.transport, "setTcpKeepAlive"):
            self.transport.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        """On to the disk with it."""
        if self._failure is not None:
            return
        self.setTimeout(self._timeout)
        self._arrived += len(data)
        self._inflow.take(data)
        self._on_arrival(self._arrived)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The stream's end, where nothing went wrong."""
        self._over = True
        self.setTimeout(None)
        if self._failure is None and not reason.check(ConnectionDone):
            self._failure = ConnectionFailed(
                "the connection was lost before the file's end; run both ends again"
            )
        if self._failure is None:
            self.ended.callback(None)
        else:
            self.ended.errback(self._failure)

    def timeoutConnection(self) -> None:
        """The server has had its time."""
        self.abort(TimedOut(f"the server has sent nothing for {self._timeout} seconds"))

    # -- what an Inflow asks for ---------------------------------------------------------

    def pause(self) -> None:
        """Take nothing more off the transport; meanwhile the server's time stands still."""
        self.transport.pauseProducing()
        self.setTimeout(None)

    def resume(self) -> None:
        """The counterpart of ``pause``."""
        if not self._over and self._failure is None:
            self.transport.resumeProducing()
            self.setTimeout(self._timeout)


class _Reception:
    """One file's way from the lab's server into a folder."""

    def __init__(
        self,
        runtime: Runtime,
        folder: str,
        name: bytes | None,
        progress: Progress | None,
        timeout: float,
    ) -> None:
        self._runtime = runtime
        self._folder, self._name = folder, name
        self._progress, self._timeout = progress, timeout
        self._cancelled: Cancelled | None = None
        self._connecting: Deferred[Any] | None = None
        self._client: LabClient | None = None

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._cancelled = Cancelled("the transfer was cancelled")
        if self._connecting is not None:
            self._connecting.cancel()
        if self._client is not None:
            self._client.abort(self._cancelled)

    async def run(self, endpoint: IStreamClientEndpoint, host: str) -> Delivery:
        """Connect, receive, find out what it is, and give it its name."""
        began = self._runtime.now()
        spool = await self._runtime.in_thread(Spool, self._folder)
        try:
            self._client = await self._connect(endpoint, host, spool)
            await self._client.whole_stream()
            head = await self._runtime.in_thread(spool.read, 0, HEAD)
            if not head:
                raise ConnectionFailed("the server ended without sending a file")
            split = choose(splits(head, spool.size), self._name)
            digest = await self._publish(spool, split)
        finally:
            await self._runtime.in_thread(spool.close)
        return Delivery(
            path=os.path.join(self._folder, os.fsdecode(split.last_name)),
            size=split.size,
            sent=split.size,
            resumed_from=0,
            blake3=digest.hex(),
            seconds=self._runtime.now() - began,
            status="done",
        )

    async def _connect(self, endpoint: IStreamClientEndpoint, host: str, spool: Spool) -> LabClient:
        self._stop_if_cancelled()

        def timed_out(_result: object, _seconds: float) -> LabClient:
            raise TimedOut(f"{host}: no connection within {self._timeout} seconds")

        def client() -> LabClient:
            return LabClient(self._runtime, spool, self._timeout, self._arrived)

        connecting: Deferred[LabClient] = Deferred.fromCoroutine(connected(endpoint, client, host))
        self._connecting = connecting.addTimeout(self._timeout, self._runtime.clock, timed_out)
        try:
            return await connecting
        finally:
            self._connecting = None

    async def _publish(self, spool: Spool, split: Split) -> bytes:
        """Copy the file out of the spool, and give it its name; its digest."""
        in_thread = self._runtime.in_thread
        file = Attributes(
            path=split.last_name,
            size=split.size,
            mtime=time.time_ns(),
            mode=spool.mode,
            version=secrets.token_bytes(16),
        )
        digest = blake3()
        sink = await in_thread(LocalStore(self._folder).sink, file, True)
        try:
            for offset in range(split.begins, spool.size, _COPIED):
                self._stop_if_cancelled()
                await in_thread(_copy, spool, offset, sink, digest)
            self._stop_if_cancelled()
            await in_thread(sink.publish)
        finally:
            await in_thread(sink.discard)
        self._tell(TransferProgress(file, sent=split.size, blake3=digest.digest()))
        return digest.digest()

    def _arrived(self, size: int) -> None:
        self._tell(TransferProgress(Attributes(self._name or b"", size, 0, 0, b""), sent=size))

    def _tell(self, moved: TransferProgress) -> None:
        if self._progress is not None:
            self._progress(moved)

    def _stop_if_cancelled(self) -> None:
        if self._cancelled is not None:
            raise self._cancelled


def _copy(spool: Spool, offset: int, sink: Sink, digest: blake3) -> None:
    """Append a piece of the spool to the sink.  Blocks."""
    piece = spool.read(offset, _COPIED)
    digest.update(piece)
    sink.write([piece])
