"""What the tests of this folder share: ends of sockets, and a server and a client on real ones."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from blake3 import blake3
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, serverFromString
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThreadPool
from twisted.python.threadpool import ThreadPool

from tests.kit.planting import gathered
from twisted_ft import Client, Delivery, FileTransferFactory, LocalStore, Runtime, connect
from twisted_ft.testing import ScriptedPeer
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.trees.deliveries import Deliveries
from twisted_ft.trees.options import TreeOptions
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.frames import encode
from twisted_ft.wire.messages import Limits, Message, Parcel, Part, Welcome, Whole

M = TypeVar("M", bound=Message)

reactor: Any = installed
Ends = tuple[socket.socket, socket.socket]
CONTENT = os.urandom(1 << 20) * 40
"""What is in the large file that is served."""
_PATIENCE = 60
"""Seconds after which nothing comes of what is waited for."""


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
        return await connect(url_of(self.port), reactor=reactor, **wanted)

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

    async def moves(self, direction: str, here: Path, **options: Any) -> dict[str, Delivery]:
        """A tree is got, or put, to the last file."""
        return await gathered(self.begin(direction, here, **options))

    def begin(self, direction: str, here: Path, **options: Any) -> Deliveries:
        """A tree on its way, of which nothing is taken yet."""
        wanted = TreeOptions(**options)
        if direction == "get":
            return self.client.get_tree("t", here, wanted)
        return self.client.put_tree(here, "t", wanted)

    def ends(self, direction: str, here: Path) -> tuple[Path, Path]:
        """Where a tree comes from, and where it goes."""
        return (self.root / "t", here) if direction == "get" else (here, self.root / "t")


async def until(condition: Callable[[], object]) -> None:
    """Let the reactor go on until ``condition`` holds."""
    begun = reactor.seconds()
    while not condition():
        assert reactor.seconds() < begun + _PATIENCE, "nothing comes of it"
        await deferLater(reactor, 0)


def wait_in_thread(condition: Callable[[], object]) -> None:
    """The same, for a thread."""

    def wait() -> Any:
        return ensureDeferred(until(condition))

    blockingCallFromThread(reactor, wait)


class Stranger(ScriptedPeer):
    """A peer on a real socket that says what a test has it say, and keeps what it hears."""

    def send(self, data: bytes) -> None:
        """See ScriptedPeer."""
        assert self.transport is not None
        self.transport.write(data)

    def say_at_once(self, *messages: Message) -> None:
        """Send messages in one piece, as they are."""
        self.send(b"".join(map(encode, messages)))

    def answers(self, kind: type[M]) -> list[M]:
        """The messages of one kind that came."""
        return [each for each in self.messages if isinstance(each, kind)]


def url_of(port: int) -> str:
    return f"ft://127.0.0.1:{port}"


@asynccontextmanager
async def listening(what: IProtocolFactory | IProtocol) -> AsyncIterator[int]:
    """A port on which a factory listens, or a protocol for the one that comes."""

    def one() -> Any:
        return what

    factory = what if isinstance(what, Factory) else Factory.forProtocol(one)
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(factory)
    yield port.getHost().port
    await port.stopListening()


@asynccontextmanager
async def met(port: int, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Stranger]:
    """A stranger that is connected, and has been greeted, as a client."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    peer = await connectProtocol(endpoint, Stranger())
    peer.hello(limits)
    await until(lambda: peer.answers(Welcome))
    yield peer
    peer.transport.abortConnection()
    await until(lambda: peer.lost)


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[Served]:
    """A server of ``root`` whose one thread serves everybody, and a client."""
    pool = ThreadPool(1, 1)
    pool.start()

    def in_thread(function: Callable[..., Any], /, *args: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, pool, function, *args)

    runtime = Runtime(reactor, in_thread)
    factory = FileTransferFactory(LocalStore(root), writable=True, runtime=runtime)
    async with listening(factory) as port:
        client = await connect(url_of(port), reactor=reactor)
        yield Served(root, client, factory, port)
        await client.close()
        factory.disconnect()
    pool.stop()


async def fails(work: Awaitable[Any], kind: type[Exception]) -> None:
    """Wait until ``work`` fails as it is to."""
    with pytest.raises(kind):
        await work


def no_descriptor(*_: object) -> None:
    """In place of what needs one."""
    raise OSError(errno.EMFILE, "too many open files")


def parcel_of(number: int, size: int, name: bytes = b"", fetch: int = 0) -> Parcel:
    """A parcel with one file."""
    content = os.urandom(size)
    item = Whole(name or b"%d" % number, 0, 0o644, content, blake3(content).digest())
    return Parcel(number, fetch, b"", (Part(b"", (item,)),))
