"""The real reactor, real sockets, a thread pool and a disk: few tests, as they cost more."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.application.internet import StreamServerEndpointService
from twisted.internet import reactor as installed
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.task import deferLater
from zope.interface import implementer

from tests.kit.insides import connection_of
from twisted_ft import (
    Attributes,
    Client,
    Entry,
    FileTransferFactory,
    ISink,
    ISource,
    IStore,
    LocalStore,
    Runtime,
    Sink,
    Source,
    Store,
    connect,
)
from twisted_ft.errors import FileTransferError, Unreachable, Untrusted
from twisted_ft.stores.conformance.samples import content_of

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL .* objects")  # Twisted does
CONTENT = content_of(3_000_000)
reactor: Any = installed
Reach = Callable[[], Awaitable[Client]]


@implementer(IStore)
class ThreadsNoted:
    """A store around another that notes the threads in which it is called."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.threads: set[int] = set()

    def note(self) -> None:
        self.threads.add(get_ident())

    def source(self, path: bytes) -> Source:
        self.note()
        return SourceNoted(self, self._inner.source(path))

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True) -> Sink:
        self.note()
        return SinkNoted(self, self._inner.sink(file, overwrite, durable))

    def entries(self, path: bytes) -> Iterator[Entry]:
        self.note()
        for entry in self._inner.entries(path):
            self.note()
            yield entry

    def make_folder(self, path: bytes) -> None:
        self.note()
        self._inner.make_folder(path)

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        self.note()
        self._inner.rename(path, new, overwrite)

    def remove(self, path: bytes, deep: bool) -> int:
        self.note()
        count: int = self._inner.remove(path, deep)
        return count


@implementer(ISource)
class SourceNoted:
    def __init__(self, store: ThreadsNoted, inner: Source) -> None:
        self._store, self._inner = store, inner
        self.attributes = inner.attributes

    def read(self, offset: int, size: int) -> bytes:
        self._store.note()
        piece: bytes = self._inner.read(offset, size)
        return piece

    def digest(self) -> bytes | None:
        known: bytes | None = self._inner.digest()
        return known

    def remember(self, digest: bytes | None) -> None:
        self._inner.remember(digest)

    def check(self) -> int:
        self._store.note()
        size: int = self._inner.check()
        return size

    def close(self) -> None:
        self._store.note()
        self._inner.close()


@implementer(ISink)
class SinkNoted:
    def __init__(self, store: ThreadsNoted, inner: Sink) -> None:
        self._store, self._inner = store, inner
        self.offset = inner.offset

    def kept(self) -> Iterator[bytes]:
        for piece in self._inner.kept():
            self._store.note()
            yield piece

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._store.note()
        self._inner.write(pieces)

    def publish(self) -> None:
        self._store.note()
        self._inner.publish()

    def keep(self) -> None:
        self._store.note()
        self._inner.keep()

    def discard(self) -> None:
        self._store.note()
        self._inner.discard()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder that is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a").write_bytes(CONTENT)
    return folder


@pytest.fixture
def factory(served: Path) -> FileTransferFactory:
    return FileTransferFactory(LocalStore(served), writable=True)


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A short path, as that of a UNIX socket has little room."""
    folder = tempfile.mkdtemp()
    yield Path(folder)
    shutil.rmtree(folder)


@pytest_twisted.async_yield_fixture(params=["tcp", "unix", "tls"])
async def reach(
    request: pytest.FixtureRequest,
    factory: FileTransferFactory,
    tmp_path: Path,
    socket_folder: Path,
) -> AsyncIterator[Reach]:
    """Connects to a service of the factory, over TCP, a UNIX socket, or TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    endpoint: IStreamServerEndpoint
    if request.param == "unix":
        endpoint = UNIXServerEndpoint(reactor, str(socket_folder / "socket"))
    elif request.param == "tcp":
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    else:
        issued = authority.issue_cert("localhost")
        pem = issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes()
        options = ssl.PrivateCertificate.loadPEM(pem).options()
        endpoint = SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")
    service = StreamServerEndpointService(endpoint, factory)
    service.privilegedStartService()
    service.startService()
    waiting = service._waitingForPort
    assert waiting is not None
    address = (await waiting).getHost()
    clients: list[Client] = []

    async def connected() -> Client:
        if request.param == "tls":
            client = await connect(
                f"fts://localhost:{address.port}/", tls_ca=str(tmp_path / "ca.pem")
            )
        else:
            where: IStreamClientEndpoint = (
                UNIXClientEndpoint(reactor, str(socket_folder / "socket"))
                if request.param == "unix"
                else TCP4ClientEndpoint(reactor, "127.0.0.1", address.port)
            )
            client = await connect(where)
        clients.append(client)
        return client

    yield connected
    for client in clients:
        await client.close()
    await service.stopService()
    while factory.connections:
        await deferLater(reactor, 0)


@pytest_twisted.ensureDeferred
async def test_there_and_back(reach: Reach, served: Path, tmp_path: Path) -> None:
    client = await reach()
    down = await client.get("a", tmp_path / "b")
    assert (down.status, down.sent, down.path) == ("done", len(CONTENT), str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == CONTENT
    assert (tmp_path / "b").stat().st_mtime_ns == (served / "a").stat().st_mtime_ns
    up = await client.put(tmp_path / "b", "c")
    assert up.status == "done"
    assert (served / "c").read_bytes() == CONTENT
    assert [entry.path for entry in await client.list()] == [b"a", b"c"]
    assert sorted(path.name for path in served.iterdir()) == ["a", "c"]


@pytest_twisted.ensureDeferred
async def test_many_at_once(reach: Reach, served: Path, tmp_path: Path) -> None:
    names = [f"file {number}" for number in range(100)]
    for number, name in enumerate(names):
        (served / name).write_bytes(content_of(1000 * number))
    client = await reach()
    await gatherResults([client.get(name, tmp_path / name) for name in names])
    assert all((tmp_path / name).read_bytes() == (served / name).read_bytes() for name in names)


@pytest_twisted.ensureDeferred
async def test_cancelled_and_carried_on(reach: Reach, tmp_path: Path) -> None:
    client = await reach()
    call = client.get("a", tmp_path / "b", lambda now: call.cancel() if now.sent else None)
    with pytest.raises(CancelledError):
        await call
    assert not (tmp_path / "b").exists()
    while not connection_of(
        client
    ).protocol.conversation.idle:  # the cancelled one lets go in a moment
        await deferLater(reactor, 0)
    again = await client.get("a", tmp_path / "b")
    assert again.sent == len(CONTENT) - again.resumed_from
    assert (tmp_path / "b").read_bytes() == CONTENT


@pytest_twisted.ensureDeferred
async def test_the_reactors_thread_never_touches_a_store(
    factory: FileTransferFactory, reach: Reach, tmp_path: Path
) -> None:
    assert factory.store is not None
    there = factory.store = ThreadsNoted(factory.store)
    here = ThreadsNoted(LocalStore(tmp_path))
    client = await reach()
    await client.fetch("a", here, "b")
    await client.send(here, "b", "c")
    await client.list()
    for path in ("nothing", ".."):
        with pytest.raises(FileTransferError):
            await client.fetch(path, here, "d")
    assert there.threads
    assert here.threads
    assert get_ident() not in there.threads | here.threads


@pytest_twisted.ensureDeferred
async def test_nobody_listens(socket_folder: Path) -> None:
    port = reactor.listenTCP(0, FileTransferFactory(LocalStore(".")), interface="127.0.0.1")
    number = port.getHost().port
    await port.stopListening()
    with pytest.raises(Unreachable, match="refused"):
        await connect(f"ft://127.0.0.1:{number}/")
    with pytest.raises(Unreachable):
        await connect(UNIXClientEndpoint(reactor, str(socket_folder / "nobody")))


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_nobody_trusts(
    factory: FileTransferFactory, tmp_path: Path
) -> None:
    issued = trustme.CA().issue_cert("localhost")
    other = trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "ca.pem")
    pem = issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes()
    options = ssl.PrivateCertificate.loadPEM(pem).options()
    port = reactor.listenSSL(0, factory, options, interface="127.0.0.1")
    try:
        with pytest.raises(Untrusted):
            await connect(
                f"fts://localhost:{port.getHost().port}/", tls_ca=str(tmp_path / "ca.pem")
            )
        while factory.connections:
            await deferLater(reactor, 0)
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_runtime_of_the_reactor() -> None:
    runtime = Runtime.of(reactor)
    assert runtime.clock is reactor
    before = runtime.now()
    assert runtime.now() >= before
    assert await runtime.in_thread(os.getpid) == os.getpid()
    assert await runtime.in_thread(get_ident) != get_ident()
