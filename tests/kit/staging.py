"""What the tests of this folder share: a store that can fail, contents, and TLS in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from threading import get_ident
from typing import Any

import trustme
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft import (
    Attributes,
    Client,
    Entry,
    FileTransferFactory,
    ISink,
    ISource,
    IStore,
    Sink,
    Source,
    Store,
)
from twisted_ft.stores.interfaces import Buffer
from twisted_ft.testing import MemoryNetwork

FILE = Attributes(b"a", 5, 0, 0o644, b"v1")
"""What a scripted sender offers: five bytes."""


@cache
def content_of(size: int) -> bytes:
    """``size`` bytes, in which each stretch of eight says where it belongs."""
    return b"".join(b"%07x\n" % number for number in range(size // 8 + 1))[:size]


def failure_of(awaitable: Deferred[Any]) -> list[Any]:
    """A list in which the result will be, or the exception."""
    outcome: list[Any] = []
    awaitable.addCallbacks(outcome.append, lambda reason: outcome.append(reason.value))
    return outcome


def watched(store: WatchedStore, **options: Any) -> tuple[MemoryNetwork, Client]:
    """A server of ``store``, which is writable, and a client of it."""
    network = MemoryNetwork()
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime, **options)
    return network, network.client(factory)


@implementer(IStore)
class WatchedStore:
    """A store around another that notes each call, and fails where it is told to.

    ``faults["read"]`` is raised by each ``read``, once ``after`` calls of it were good.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.faults: dict[str, Exception] = {}
        self.after = 0
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.read = self.written = 0
        """bytes"""

    def step(self, name: str) -> None:
        """Note a call, and fail where it is to."""
        self.calls.append(name)
        self.threads.add(get_ident())
        if name in self.faults and self.calls.count(name) > self.after:
            raise self.faults[name]

    def source(self, path: bytes) -> Source:
        self.step("source")
        return WatchedSource(self, self.inner.source(path))

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True) -> Sink:
        self.step("sink")
        return WatchedSink(self, self.inner.sink(file, overwrite, durable))

    def entries(self, path: bytes) -> Iterator[Entry]:
        self.step("entries")
        for entry in self.inner.entries(path):
            self.step("entry")
            yield entry

    def make_folder(self, path: bytes) -> None:
        self.step("make_folder")
        self.inner.make_folder(path)

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        self.step("rename")
        self.inner.rename(path, new, overwrite)

    def remove(self, path: bytes, deep: bool) -> int:
        self.step("remove")
        count: int = self.inner.remove(path, deep)
        return count


@implementer(ISource)
class WatchedSource:
    """A source of a WatchedStore."""

    def __init__(self, store: WatchedStore, inner: Source) -> None:
        self._store, self._inner = store, inner
        self.attributes = inner.attributes

    def read(self, offset: int, size: int) -> bytes:
        self._store.step("read")
        piece: bytes = self._inner.read(offset, size)
        self._store.read += len(piece)
        return piece

    def digest(self) -> bytes | None:
        known: bytes | None = self._inner.digest()
        return known

    def remember(self, digest: bytes | None) -> None:
        self._inner.remember(digest)

    def check(self) -> int:
        self._store.step("check")
        size: int = self._inner.check()
        return size

    def close(self) -> None:
        self._store.step("close")
        self._inner.close()


@implementer(ISink)
class WatchedSink:
    """A sink of a WatchedStore."""

    def __init__(self, store: WatchedStore, inner: Sink) -> None:
        self._store, self._inner = store, inner
        self.offset = inner.offset

    def kept(self) -> Iterator[bytes]:
        self._store.step("kept")
        return iter(self._inner.kept())

    def write(self, pieces: Sequence[Buffer]) -> None:
        self._store.step("write")
        self._inner.write(pieces)
        self._store.written += sum(map(len, pieces))

    def publish(self) -> None:
        try:
            self._store.step("publish")
        except BaseException:
            self._inner.keep()
            raise
        self._inner.publish()

    def keep(self) -> None:
        self._store.step("keep")
        self._inner.keep()

    def discard(self) -> None:
        self._store.step("discard")
        self._inner.discard()


class Certificates:
    """A certificate for server.example, and what a client has to trust for it.

    :param newest: the newest version of TLS that the client speaks
    """

    def __init__(self, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("server.example")
        pem = issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes()
        self.server = ssl.PrivateCertificate.loadPEM(pem).options()
        trusted = ssl.Certificate.loadPEM(authority.cert_pem.bytes())
        self.client = ssl.optionsForClientTLS(
            "server.example",
            trustRoot=ssl.trustRootFromCertificates([trusted]),
            extraCertificateOptions={"lowerMaximumSecurityTo": newest},
        )


@implementer(IStreamClientEndpoint)
class TLSEndpoint:
    """Connects to a server's factory in memory, through TLS on both ends."""

    def __init__(
        self, network: MemoryNetwork, factory: IProtocolFactory, certificates: Certificates
    ) -> None:
        self._network, self._certificates = network, certificates
        self._inner = network.endpoint(
            TLSMemoryBIOFactory(certificates.server, False, factory, network.clock)
        )

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        wrapped = TLSMemoryBIOFactory(
            self._certificates.client, True, protocolFactory, self._network.clock
        )
        return self._inner.connect(wrapped).addCallback(_inside)


def _inside(tls: IProtocol) -> IProtocol:
    assert isinstance(tls, TLSMemoryBIOProtocol)
    inside: IProtocol = tls.wrappedProtocol
    return inside


def code_of(result: object) -> str:
    """The code of what a call has come to: that of a failure, or ``done``."""
    if isinstance(result, Failure):
        result = result.value
    return str(getattr(result, "code", type(result).__name__))
