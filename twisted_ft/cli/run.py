"""One command on the reactor, from its start to its exit status."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import react

from twisted_ft.allocation import keep_freed_buffers
from twisted_ft.cli.options import INTERRUPTED, CommandOptions
from twisted_ft.cli.report import Report
from twisted_ft.client import Client
from twisted_ft.connecting import connect
from twisted_ft.errors import Busy
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.urls import Location

Work = Coroutine[Deferred[Any], Any, int]


_PAUSES = (0.2, 0.4, 0.8, 1.6, 3.0, 4.0)
"""Seconds to wait, one after another, for a transfer of the same file that is under way: ten in
all, in which a server lets go of what a killed command was sending."""


class Command:
    """What the parts of one command share: options, the report, and its connections."""

    def __init__(self, reactor: Any, options: CommandOptions) -> None:
        self.reactor = reactor
        self.runtime = Runtime.of(reactor)
        self.options = options
        self.report = Report(options, reactor)
        self.carries_on = True
        """whether the same command, run again, goes on with what has arrived"""
        self._clients: dict[tuple[str, str, int], Client] = {}

    async def client(self, place: Location) -> Client:
        """The connection to the server of ``place``; made, or made again, where there is none."""
        client = self._clients.get(place.server)
        if client is None or client.closed:
            client = self._clients[place.server] = await connect(
                place,
                reactor=self.reactor,
                runtime=self.runtime,
                timeout=self.options.timeout,
                tls_ca=self.options.tls_ca,
                limit_rate=self.options.limit_rate,
                durable=self.options.durable,
                when_busy=self.when_busy,
                trace=self.report.say if self.options.verbose else None,
            )
        return client

    def when_busy(self, error: Busy, times: int) -> float | None:
        """See WhenBusy."""
        if times == 0:
            self.report.waits(error)
        return _PAUSES[times] if times < len(_PAUSES) else None

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.close()


def run(options: CommandOptions, begin: Callable[[Command], Work]) -> int:
    """Run what ``begin`` gives to its end on the reactor; its exit status.

    Ctrl-C, and SIGTERM, end it in good order: what has arrived is kept.
    """
    keep_freed_buffers()

    async def main(reactor: Any) -> None:
        command = Command(reactor, options)
        work = Deferred.fromCoroutine(_work(command, begin))
        reactor.addSystemEventTrigger("before", "shutdown", work.cancel)
        try:
            status = await work
        except CancelledError:
            command.report.interrupted(command.carries_on)
            status = INTERRUPTED
        finally:
            command.report.end_bar()
        raise SystemExit(status)

    try:
        react(main)
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("react ends by SystemExit")


async def _work(command: Command, begin: Callable[[Command], Work]) -> int:
    status = await begin(command)
    await command.close()
    return status
