"""Trying again: what is worth it, how often, and after which pauses."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from twisted_ft.client import Client
from twisted_ft.delivery import Delivery
from twisted_ft.errors import Busy, ConnectionFailed, FileTransferError
from twisted_ft.transfer.bodies.tracker import Progress, TransferProgress
from twisted_ft.transfer.runtime import Runtime

TRIES = 5
"""Tries in a row that may bring nothing."""
_LONGEST = 30.0
"""Seconds between two tries, at most."""

OnRetry = Callable[[FileTransferError, float, int], None]
"""Hears that something is tried again: why, after how many seconds, and for the how-manieth time in
a row."""


def growing(times: int) -> float:
    """Seconds before a try: 1, 2, 4, 8, 16, 30, 30 ..., as a ``retryPolicy`` of ClientService."""
    return float(min(2 ** min(times - 1, 10), _LONGEST))


class Retrying:
    """How calls to one server are tried again, until they are done.

    A call is given up when so many tries in a row have brought nothing; one that moved bytes, or
    finished files, has the count begin anew.

    :param connected: gives a client that is connected, whatever became of the last one
    :param tries: how many; 0: nothing is tried again
    :param retry_policy: seconds before each, by its number in a row
    :param on_retry: hears of each
    :param waits_at_first: whether a server that was never reached is waited for, too; else a
        mistyped host or port is told at once
    """

    def __init__(
        self,
        connected: Callable[[], Deferred[Client]],
        runtime: Runtime,
        *,
        tries: int = TRIES,
        retry_policy: Callable[[int], float] = growing,
        on_retry: OnRetry | None = None,
        waits_at_first: bool = False,
    ) -> None:
        self.connected, self.runtime = connected, runtime
        self.reached = waits_at_first
        """whether there was a connection, so that it is worth it to wait for the next"""
        self._tries, self._retry_policy, self._on_retry = tries, retry_policy, on_retry

    def pause(self, error: FileTransferError, times: int) -> float | None:
        """The seconds to wait after a failure, where as many tries before brought nothing.

        None: it is given up.  It is what ``connect`` takes as ``when_busy``.
        """
        if times >= self._tries:
            return None
        seconds = self._retry_policy(times + 1)
        if self._on_retry is not None:
            self._on_retry(error, seconds, times + 1)
        return seconds

    async def deliver(
        self, begin: Callable[[Client, Progress], Deferred[Delivery]], progress: Progress | None
    ) -> Delivery:
        """One file, over as many connections as it takes; what it was told of counts them all.

        :param begin: gets or puts it
        """
        tries, began, sent = Tries(self), self.runtime.now(), 0
        first: TransferProgress | None = None
        while True:
            moved: TransferProgress | None = None

            def moves(now: TransferProgress) -> None:
                nonlocal moved
                moved = now
                if progress is not None:
                    progress(now)

            client = await tries.client()
            try:
                delivery = await begin(client, moves)
            except FileTransferError as error:
                if moved is not None:
                    first = first or moved
                    sent += moved.sent
                    tries.brought(moved.sent)
                await tries.again(error)
                continue
            if first is None:
                return delivery
            return replace(
                delivery,
                sent=delivery.sent + sent,
                resumed_from=first.resumed_from,
                seconds=self.runtime.now() - began,
                status="done" if sent else delivery.status,
            )


class Tries:
    """Those of one call."""

    def __init__(self, retrying: Retrying) -> None:
        self._retrying = retrying
        self._in_vain = 0
        """tries in a row that brought nothing"""
        self._client: Client | None = None

    async def client(self) -> Client:
        """A client that is connected, for the next try.

        :raises FileTransferError: there is none, and trying again isn't worth it, or was in vain
        """
        while True:
            self._client = None
            try:
                self._client = await self._retrying.connected()
            except FileTransferError as error:
                await self.again(error)
            else:
                self._retrying.reached = True
                return self._client

    def brought(self, amount: int) -> None:
        """The try has brought so many bytes, or files."""
        if amount:
            self._in_vain = 0

    async def again(self, error: FileTransferError) -> None:
        """Wait until it is tried again.

        :raises FileTransferError: it isn't: ``error`` itself
        """
        pause = self._retrying.pause(error, self._in_vain) if self._is_worth_it(error) else None
        if pause is None:
            raise error
        self._in_vain += 1
        await self._retrying.runtime.sleep(pause)

    def _is_worth_it(self, error: FileTransferError) -> bool:
        if isinstance(error, ConnectionFailed) and not self._retrying.reached:
            return False
        if isinstance(error, Busy) and self._client is not None and not self._client.closed:
            return False  # the connection has waited, see ``when_busy``
        return error.retryable
