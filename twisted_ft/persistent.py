"""A client that goes on until it is done, whatever becomes of its connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.client import Client, LocalPath, RemotePath
from twisted_ft.connecting import connect
from twisted_ft.delivery import Delivery
from twisted_ft.errors import FileTransferError
from twisted_ft.retrying import TRIES, OnRetry, Retrying, Tries, growing
from twisted_ft.transfer.bodies.tracker import Progress
from twisted_ft.transfer.runtime import Runtime, installed_reactor
from twisted_ft.urls import Location, parse_url

if TYPE_CHECKING:  # loaded where a tree is moved, and by nobody else
    from twisted_ft.trees.options import TreeOptions
    from twisted_ft.trees.persisting import PersistentDeliveries

T = TypeVar("T")


class PersistentClient(ClientService):
    """A service that keeps a connection to a server, and gets and puts until it is done.

    What fails for a reason that is worth it, see ``FileTransferError.retryable``, is tried again
    after a pause, and carried on.  It is given up, with the last failure, when ``tries`` in a row
    have brought nothing.  Calls may be made before the service is started, and then wait.

    :param where: an endpoint of Twisted's, or an ``ft://`` or ``fts://`` URL (of which only
        scheme, host and port matter here)
    :param reactor: see ``connect``, and so for the other options that aren't named here
    :param tries: how many tries in a row may bring nothing
    :param retry_policy: seconds before a try, by its number in a row: ClientService's retryPolicy
    :param on_retry: hears of each: why, after how many seconds, and its number in a row
    """

    def __init__(
        self,
        where: IStreamClientEndpoint | str | Location,
        *,
        reactor: Any = None,
        runtime: Runtime | None = None,
        tries: int = TRIES,
        retry_policy: Callable[[int], float] = growing,
        on_retry: OnRetry | None = None,
        **options: Any,
    ) -> None:
        where = parse_url(where) if isinstance(where, str) else where
        if reactor is None and (runtime is None or isinstance(where, Location)):
            reactor = installed_reactor()
        self._runtime = runtime or Runtime.of(reactor)
        self._retrying = Retrying(
            self._connected,
            self._runtime,
            tries=tries,
            retry_policy=retry_policy,
            on_retry=on_retry,
            waits_at_first=True,
        )

        def connect_anew() -> Deferred[Client]:
            pause = self._retrying.pause
            return connect(
                where, reactor=reactor, runtime=self._runtime, when_busy=pause, **options
            )

        greeted = Factory.forProtocol(_Greeted)
        super().__init__(_Greeting(connect_anew), greeted, retry_policy, self._runtime.clock)

    def get(
        self,
        path: RemotePath,
        dest: LocalPath = ".",
        progress: Progress | None = None,
        **how: bool,
    ) -> Deferred[Delivery]:
        """See ``Client.get``, and for ``how``: ``checksum``, ``force`` and ``parents``."""
        return self._deliver(lambda client, moves: client.get(path, dest, moves, **how), progress)

    def put(
        self,
        path: LocalPath,
        remote: RemotePath = "",
        progress: Progress | None = None,
        **how: bool,
    ) -> Deferred[Delivery]:
        """See ``Client.put``, and for ``how``: ``checksum``, ``force`` and ``parents``."""
        return self._deliver(lambda client, moves: client.put(path, remote, moves, **how), progress)

    def call(self, work: Callable[[Client], Deferred[T]]) -> Deferred[T]:
        """What anything else that a client is asked comes to, as ``lambda client: client.list()``.

        :param work: may be called more than once
        """

        async def until_done() -> T:
            tries = Tries(self._retrying)
            while True:
                client = await tries.client()
                try:
                    return await work(client)
                except FileTransferError as error:
                    await tries.again(error)

        return Deferred.fromCoroutine(until_done())

    def get_tree(
        self, path: RemotePath, folder: LocalPath, options: TreeOptions | None = None
    ) -> PersistentDeliveries:
        """See ``Client.get_tree``; each file is told of once."""
        from twisted_ft.trees.persisting import PersistentDeliveries

        return PersistentDeliveries(
            self._retrying, lambda client: client.get_tree(path, folder, options)
        )

    def put_tree(
        self, folder: LocalPath, path: RemotePath = "", options: TreeOptions | None = None
    ) -> PersistentDeliveries:
        """See ``Client.put_tree``; each file is told of once."""
        from twisted_ft.trees.persisting import PersistentDeliveries

        return PersistentDeliveries(
            self._retrying, lambda client: client.put_tree(folder, path, options)
        )

    async def __aenter__(self) -> PersistentClient:
        self.startService()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stopService()

    def _connected(self) -> Deferred[Client]:
        return self.whenConnected(failAfterFailures=1).addCallback(_client_of)

    def _deliver(
        self, begin: Callable[[Client, Progress], Deferred[Delivery]], progress: Progress | None
    ) -> Deferred[Delivery]:
        return Deferred.fromCoroutine(self._retrying.deliver(begin, progress))


class _Greeted(Protocol):
    """Stands, for ClientService, for a connection that has greeted."""

    transport: Any
    """a _Link"""


class _Link:
    """What ClientService wants of a transport.

    :ivar client: what is on the real one
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def loseConnection(self) -> None:
        """Close it."""
        self.client.close()


def _client_of(greeted: Any) -> Client:
    client: Client = greeted.transport.client
    return client


@implementer(IStreamClientEndpoint)
class _Greeting:
    """An endpoint that is connected when both sides have greeted."""

    def __init__(self, connect_anew: Callable[[], Deferred[Client]]) -> None:
        self._connect_anew = connect_anew

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint."""

        def greeted(client: Client) -> IProtocol:
            protocol: Any = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
            protocol.makeConnection(_Link(client))

            def over(_: None) -> None:
                protocol.connectionLost(Failure(ConnectionDone()))

            client.when_closed().addCallback(over)
            whole: IProtocol = protocol
            return whole

        return self._connect_anew().addCallback(greeted)
