"""What a server logs: one event for each exchange, when its end is known."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from itertools import compress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_ft.errors import Unchanged
from twisted_ft.stores.packing import below
from twisted_ft.stores.walking import End
from twisted_ft.terminal import printable, shown
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.outcome import Moved
from twisted_ft.transfer.protocol import FileTransferProtocol
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.wire.messages import Failing, Item, Outcome, Part, Whole


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
        exchange: Coroutine[Deferred[Any], Any, Moved | int],
        told: str = "{count} entries",
        **fields: str,
    ) -> None:
        """Run an exchange, and log what became of it.

        :param told: what is said of one that has counted something
        :param fields: what else belongs to the event
        """
        began = self._runtime.now()
        names: dict[str, Any] = {"peer": protocol.peer, "done": done, "path": shown(path) or "/"}
        names.update(fields)

        def ended(result: Moved | int) -> None:
            names["seconds"] = self._runtime.now() - began
            if isinstance(result, Moved):
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

    def parcel(
        self,
        protocol: FileTransferProtocol,
        done: str,
        root: bytes,
        parts: Sequence[Part],
        outcomes: bytes,
        failures: Sequence[Failing],
    ) -> None:
        """Log a parcel of small files, and each that failed.

        :param root: the folder from which those in the parts are named
        """
        items = [(part.folder, item) for part in parts for item in part.items]
        arrived = [
            (folder, item)
            for (folder, item), outcome in zip(items, outcomes, strict=True)
            if outcome == Outcome.DONE and type(item) is Whole
        ]
        if arrived:
            first, last = (_path(root, *each) for each in (arrived[0], arrived[-1]))
            self._log.info(
                "{peer} {done} {count} small files, {size} bytes, verified: {first} to {last}",
                peer=protocol.peer,
                done=done,
                count=len(arrived),
                size=sum(len(item.content) for _, item in arrived),
                first=first,
                last=last,
            )
        failed = compress(items, (outcome == Outcome.FAILED for outcome in outcomes))
        for (folder, item), reason in zip(failed, failures, strict=True):
            self._log.warn(
                "{peer} not {done} {path}: {error} ({code})",
                peer=protocol.peer,
                done=done,
                path=_path(root, folder, item),
                error=printable(reason.text),
                code=reason.code,
            )


class SentTree:
    """Logs a tree as it is sent: see TreeWatcher."""

    def __init__(self, journal: Journal, protocol: FileTransferProtocol, root: bytes) -> None:
        self._journal, self._protocol, self._root = journal, protocol, root

    def said(self, parts: Sequence[Part]) -> None:
        """Nothing is known yet."""

    def listed(self, ends: Sequence[End]) -> None:
        """The receiver knows."""

    async def receipted(
        self, parts: Sequence[Part], outcomes: bytes, failures: Sequence[Failing]
    ) -> None:
        """Some of it has arrived."""
        self._journal.parcel(self._protocol, "sent", self._root, parts, outcomes, failures)


def _path(root: bytes, folder: bytes, item: Item) -> str:
    return shown(below(root, below(folder, item.name)))
