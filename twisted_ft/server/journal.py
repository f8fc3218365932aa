"""What a server logs: one event for each exchange, when its end is known."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from itertools import compress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_ft.errors import Unchanged
from twisted_ft.stores.names import join
from twisted_ft.stores.states import States
from twisted_ft.terminal import escaped, printable
from twisted_ft.transfer.bodies.tracker import TransferProgress
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.tree_plan import FolderEnd
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.wire.messages import Failing, Outcome, Part, Whole

_INTERVAL = 1.0
"""Seconds between two lines about the small files of a tree, at least."""


class Journal:
    """The log of a server's exchanges.

    :param log: where it goes
    :param runtime: whose clock tells how long they took
    """

    def __init__(self, log: Logger, runtime: Runtime) -> None:
        self._log, self._runtime = log, runtime

    def follow(
        self,
        protocol: FileTransferProtocol,
        done: str,
        path: bytes,
        exchange: Coroutine[Deferred[Any], Any, TransferProgress | int],
        told: str = "{count} entries",
        **fields: str,
    ) -> None:
        """Run an exchange, and log what became of it.

        :param told: what is said of one that has counted something
        :param fields: what else belongs to the event
        """
        began = self._runtime.now()
        names: dict[str, Any] = {"peer": protocol.peer, "done": done, "path": escaped(path) or "/"}
        names.update(fields)

        def ended(result: TransferProgress | int) -> None:
            names["seconds"] = self._runtime.now() - began
            if isinstance(result, TransferProgress):
                names.update(
                    size=result.file.size,
                    sent=result.sent,
                    resumed_from=result.resumed_from,
                    blake3=result.blake3.hex(),
                )
                self._log.info(
                    "{peer} {done} {path}: {size} bytes, verified, {sent} over the wire "
                    "in {seconds:.3f} s",
                    **names,
                )
            else:
                self._log.info(f"{{peer}} {{done}} {{path}}: {told}", count=result, **names)

        def failed(reason: Failure) -> None:
            error = as_error(reason)
            names.update(code=error.code, error=printable(error.text))
            if isinstance(error, Unchanged):
                self._log.info("{peer} {done} {path}: nothing to do, it is there already", **names)
            else:
                self._log.warn("{peer} not {done} {path}: {error} ({code})", **names)

        Deferred.fromCoroutine(exchange).addCallbacks(ended, failed)

    def small_files(self, protocol: FileTransferProtocol, done: str) -> SmallFiles:
        """A record of the small files that come, or go, over a connection."""
        return SmallFiles(self._log, self._runtime, protocol.peer, done)


class SmallFiles:
    """Logs the small files of trees: once a second those that have arrived, each failure at once.

    :param done: what has been done with those that have arrived
    """

    def __init__(self, log: Logger, runtime: Runtime, peer: str, done: str) -> None:
        self._log, self._clock = log, runtime.clock
        self._peer, self._done = peer, done
        self._count = self._size = 0
        self._first = self._last = b""
        self._telling: IDelayedCall | None = None

    def take(
        self,
        root: bytes,
        parts: Sequence[Part],
        outcomes: bytes,
        failures: Sequence[Failing],
    ) -> None:
        """Note what became of a parcel.

        :param root: the folder from which those in the parts are named
        """
        arrived = self._count
        position = 0
        for part in parts:
            own = outcomes[position : position + len(part.items)]
            position += len(part.items)
            for item, outcome in zip(part.items, own, strict=True):
                if outcome == Outcome.DONE and type(item) is Whole:
                    self._last = item.name
                    self._size += len(item.content)
                    if not self._count:
                        self._first = join(root, join(part.folder, item.name))
                    self._count += 1
            if self._count > arrived:
                arrived, self._last = self._count, join(root, join(part.folder, self._last))
        if self._count and self._telling is None:
            self._telling = self._clock.callLater(_INTERVAL, self.tell)
        if failures:
            self._tell_failures(root, parts, outcomes, failures)

    def tell(self) -> None:
        """Log what hasn't been yet."""
        telling, self._telling = self._telling, None
        if telling is not None and telling.active():
            telling.cancel()
        if self._count:
            self._log.info(
                "{peer} {done} {count} small files, {size} bytes, verified: {first} to {last}",
                peer=self._peer,
                done=self._done,
                count=self._count,
                size=self._size,
                first=escaped(self._first),
                last=escaped(self._last),
            )
        self._count = self._size = 0

    def _tell_failures(
        self, root: bytes, parts: Sequence[Part], outcomes: bytes, failures: Sequence[Failing]
    ) -> None:
        items = ((part.folder, item) for part in parts for item in part.items)
        failed = compress(items, (outcome == Outcome.FAILED for outcome in outcomes))
        for (folder, item), reason in zip(failed, failures, strict=True):
            self._log.warn(
                "{peer} not {done} {path}: {error} ({code})",
                peer=self._peer,
                done=self._done,
                path=escaped(join(root, join(folder, item.name))),
                error=printable(reason.text),
                code=reason.code,
            )


class SentTree:
    """Logs a tree as it is sent: see TreeWatcher."""

    def __init__(self, journal: Journal, protocol: FileTransferProtocol, root: bytes) -> None:
        self._small, self._root = journal.small_files(protocol, "sent"), root

    def said(self, parts: Sequence[Part]) -> None:
        """Nothing is known yet."""

    def listed(self, ends: Sequence[FolderEnd]) -> None:
        """The receiver knows."""

    def alike(self, folder: bytes, states: States) -> None:
        """Nothing was sent of it."""

    async def receipted(
        self, parts: Sequence[Part], outcomes: bytes, failures: Sequence[Failing]
    ) -> None:
        """Some of it has arrived."""
        self._small.take(self._root, parts, outcomes, failures)

    def ended(self) -> None:
        """Nothing more of it goes."""
        self._small.tell()
