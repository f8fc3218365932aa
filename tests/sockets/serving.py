"""What the tests of this folder share: ends of sockets, and a server and a client on real ones."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from twisted_ft import Client, Delivery, FileTransferFactory, LocalStore, Runtime, connect
from twisted_ft.transfer.protocol import FileTransferProtocol

reactor: Any = installed
Ends = tuple[socket.socket, socket.socket]
CONTENT = os.urandom(1 << 20) * 40
"""What is in the large file that is served."""


class Plain:
    """A transport, as far as a thread that has its socket looks at it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def getHandle(self) -> socket.socket:
        return self._end


@dataclass(frozen=True)
class Served:
    """A server of a folder, and a client that is connected to it."""

    root: Path
    client: Client
    factory: FileTransferFactory
    port: int

    @property
    def connection(self) -> FileTransferProtocol:
        """The server's end of the client's connection."""
        (connection,) = self.factory.connections
        return connection

    async def connect(self, **wanted: Any) -> Client:
        """One more client."""
        return await connect(f"ft://127.0.0.1:{self.port}", reactor=reactor, **wanted)

    async def is_got(self, place: Path, **wanted: Any) -> Delivery:
        """The large file is got, on a connection of its own, and is right."""
        client = await self.connect(**wanted)
        delivery = await client.get("file", place)
        await client.close()
        assert place.read_bytes() == CONTENT
        return delivery

    async def asked_meanwhile(self, transfers: Iterable[Deferred[Any]]) -> None:
        """Wait for the transfers, and for listings that are asked for beside them."""
        listings = [self.client.list() for _ in range(40)]
        await gatherResults([*transfers, *listings], consumeErrors=True)


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[Served]:
    """A server of ``root`` whose one thread serves everybody, and a client."""
    pool = ThreadPool(1, 1)
    pool.start()

    def in_thread(function: Callable[..., Any], /, *args: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, pool, function, *args)

    runtime = Runtime(reactor, in_thread)
    factory = FileTransferFactory(LocalStore(root), writable=True, runtime=runtime)
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    number = port.getHost().port
    client = await connect(f"ft://127.0.0.1:{number}", reactor=reactor)
    yield Served(root, client, factory, number)
    await client.close()
    factory.disconnect()
    await port.stopListening()
    pool.stop()


async def fails(work: Awaitable[Any], kind: type[Exception]) -> None:
    """Wait until ``work`` fails as it is to."""
    with pytest.raises(kind):
        await work


def no_descriptor(*_: object) -> None:
    """In place of what needs one."""
    raise OSError(errno.EMFILE, "too many open files")
