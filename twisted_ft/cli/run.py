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
from twisted_ft.errors import ConnectionFailed, FileTransferError
from twisted_ft.retrying import Retrying
from twisted_ft.transfer.runtime import Runtime
from twisted_ft.urls import Location

Work = Coroutine[Deferred[Any], Any, int]


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
        self.lost: dict[tuple[str, str, int], ConnectionFailed] = {}
        """servers that were tried again in vain: why; nothing more is asked of them"""
        self._retrying: dict[tuple[str, str, int], Retrying] = {}

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
                when_busy=self.retrying(place).pause,
                trace=self.report.say if self.options.verbose else None,
            )
        return client

    def retrying(self, place: Location) -> Retrying:
        """How what is asked of the server of ``place`` is tried again."""
        retrying = self._retrying.get(place.server)
        if retrying is None:

            def connected() -> Deferred[Client]:
                return Deferred.fromCoroutine(self.client(place))

            def said(error: FileTransferError, seconds: float, times: int) -> None:
                self.report.tries_again(error, place, seconds, times)

            retrying = self._retrying[place.server] = Retrying(
                connected, self.runtime, tries=self.options.retries, on_retry=said
            )
        return retrying

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
            command.report.complain_of_rest()
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
