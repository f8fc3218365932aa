"""A command that lists what a scripted server says."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed

from twisted_ft import Client, FileTransferFactory, connect
from twisted_ft.cli.options import CommandOptions
from twisted_ft.cli.report import Report
from twisted_ft.errors import FileTransferError
from twisted_ft.retrying import Retrying
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.messages import Message, Welcome


class Listing:
    """``ft ls`` in memory: a command with one connection, to a scripted server.

    :param features: what the server announces
    """

    def __init__(self, *features: str, **options: Any) -> None:
        self.network = MemoryNetwork()
        endpoint, self.peer = self.network.scripted_server()
        connected = connect(endpoint, runtime=self.network.runtime)
        self.network.settle()
        self.peer.greet()
        self.peer.say(Welcome(1, "scripted", features, DEFAULT_LIMITS))
        self._client = self.network.run(connected)
        self.options = CommandOptions(**options)
        self.report = Report(self.options, self.network.clock)

    def client(self, _place: object) -> Deferred[Client]:
        """See Command."""
        return succeed(self._client)

    def retrying(self, place: object) -> Retrying:
        """See Command."""
        return Retrying(lambda: self.client(place), self.network.runtime, tries=0)

    def status(self, work: Any, *said: Message) -> int:
        """The exit status of ``work``, to which the server says all this."""
        status: Deferred[int] = ensureDeferred(work)
        self.network.settle()
        self.peer.say(*said)
        return self.network.run(status)


class Commanded:
    """A command in memory, with one connection to a server of ``store``."""

    def __init__(self, store: Any, **options: Any) -> None:
        self.network = MemoryNetwork()
        self.runtime = self.network.runtime
        factory = FileTransferFactory(store, runtime=self.runtime, writable=True)
        self._client = self.network.client(factory)
        self.options = CommandOptions(**options)
        self.report = Report(self.options, self.network.clock)
        self.lost: dict[object, FileTransferError] = {}

    def client(self, _place: object) -> Deferred[Client]:
        """See Command."""
        return succeed(self._client)

    def retrying(self, place: object) -> Retrying:
        """See Command."""
        return Retrying(lambda: self.client(place), self.runtime, tries=0)

    def run(self, work: Any) -> Any:
        """The outcome of ``work``."""
        outcome: Deferred[Any] = ensureDeferred(work)
        return self.network.run(outcome)
