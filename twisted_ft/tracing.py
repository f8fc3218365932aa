"""Tells, step by step, what a connection waits for while it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from twisted_ft.terminal import escaped, printable
from twisted_ft.transfer.connection.protocol import FileTransferProtocol

Trace = Callable[[str], None]
"""Is told of each step, in words for a person, as it begins or has been made."""


class TracedReactor:
    """A reactor that tells of the names that are looked up by it, and of the connections.

    :param reactor: IReactorTCP and IReactorPluggableNameResolver; all else is asked of it, too
    """

    def __init__(self, reactor: Any, trace: Trace) -> None:
        self._reactor, self._trace = reactor, trace
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    @property
    def nameResolver(self) -> TracedReactor:
        """See IReactorPluggableNameResolver."""
        return self

    def resolveHostName(
        self, receiver: IResolutionReceiver, hostName: str, *rest: Any, **options: Any
    ) -> IHostResolution:
        """See IHostnameResolver."""
        self._trace(f"looking up {escaped(hostName)}")
        told = _TracedResolution(receiver, escaped(hostName), self._trace)
        resolver = self._reactor.nameResolver
        resolution: IHostResolution = resolver.resolveHostName(told, hostName, *rest, **options)
        return resolution

    def connectTCP(self, host: str, port: int, factory: Any, *rest: Any, **options: Any) -> Any:
        """See IReactorTCP."""
        where = f"{escaped(host)}, port {port}"
        self._trace(f"connecting to {where}")
        told = _TracedConnecting(factory, where, self._trace)
        return self._reactor.connectTCP(host, port, told, *rest, **options)


@implementer(IResolutionReceiver)
class _TracedResolution:
    """Tells which addresses a name has."""

    def __init__(self, receiver: IResolutionReceiver, name: str, trace: Trace) -> None:
        self._receiver, self._name, self._trace = receiver, name, trace
        self._addresses: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """See IResolutionReceiver."""
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: Any) -> None:
        """See IResolutionReceiver."""
        self._addresses.append(address.host)
        self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        """See IResolutionReceiver."""
        self._trace(f"{self._name} is {', '.join(self._addresses) or 'not known'}")
        self._receiver.resolutionComplete()


class _TracedConnecting(ClientFactory):
    """Tells what becomes of one try to connect."""

    def __init__(self, factory: Any, where: str, trace: Trace) -> None:
        self._factory, self._where, self._trace = factory, where, trace
        directlyProvides(self, providedBy(factory))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def doStart(self) -> None:
        """See IProtocolFactory."""
        self._factory.doStart()

    def doStop(self) -> None:
        """See IProtocolFactory."""
        self._factory.doStop()

    def startedConnecting(self, connector: Any) -> None:
        """See ClientFactory."""
        self._factory.startedConnecting(connector)

    def buildProtocol(self, addr: Any) -> Any:
        """See IProtocolFactory."""
        self._trace(f"connected to {self._where}")
        return self._factory.buildProtocol(addr)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """See ClientFactory."""
        self._trace(f"no connection to {self._where}: {printable(reason.getErrorMessage())}")
        self._factory.clientConnectionFailed(connector, reason)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """See ClientFactory."""
        self._factory.clientConnectionLost(connector, reason)


def greeting_of(protocol: FileTransferProtocol, over_tls: bool) -> Iterator[str]:
    """What is known of a connection once both sides have greeted."""
    if over_tls:
        transport: Any = protocol.transport
        handle = transport.getHandle()
        subject = transport.getPeerCertificate().get_subject().commonName
        version, cipher = handle.get_protocol_version_name(), handle.get_cipher_name()
        yield f"{version}, {cipher}" + (f"; a certificate of {escaped(subject)}" if subject else "")
    yield f"the server is {escaped(protocol.conversation.peer_agent)}"
