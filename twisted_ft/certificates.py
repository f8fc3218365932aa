"""Whether a server's certificate is to be trusted; loaded only where TLS is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from weakref import ref

from OpenSSL.crypto import X509
from OpenSSL.SSL import VERIFY_FAIL_IF_NO_PEER_CERT, VERIFY_PEER, Connection
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet import ssl
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.errors import FileTransferError, Untrusted
from twisted_ft.stores.refusals import failure_of

_NOT_YET, _EXPIRED, _SELF_SIGNED, _REVOKED = 9, 10, 18, 23
"""Of the codes of X509_STORE_CTX_get_error(3)."""


@implementer(IOpenSSLClientConnectionCreator)
class ServerCertificate:
    """Has a connection's certificate verified, and says what is wrong with it.

    A certificate without any name is refused, too: Twisted (26.10) logs that, and takes it.

    :param host: whose it has to be: a name, or an address without a zone
    :param trust: certificates to trust, as ``trust_in`` reads them; the system's, where it is None
    """

    def __init__(self, host: str, trust: Any = None) -> None:
        is_address = isIPAddress(host) or isIPv6Address(host)
        self._whose: ServiceID = IPAddress_ID(host) if is_address else DNS_ID(host)
        self._options = ssl.optionsForClientTLS(host, trustRoot=trust)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Connection:
        """See IOpenSSLClientConnectionCreator."""
        connection: Connection = self._options.clientConnectionForTLS(tlsProtocol)
        wanted = VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT
        connection.set_verify(wanted, self._verifying(ref(tlsProtocol)))
        return connection

    def _verifying(
        self, protocol: Callable[[], Any]
    ) -> Callable[[Connection, X509, int, int, int], bool]:
        def verify(_: Connection, certificate: X509, code: int, depth: int, ok: int) -> bool:
            error = None
            if not ok:
                error = Untrusted(_why_not(certificate, code))
                error.unknown_issuer = code not in (_EXPIRED, _NOT_YET, _REVOKED)
            elif depth == 0 and not self._is_theirs(certificate):
                text = "the server's certificate is for another name than the URL's host"
                error = Untrusted(text)
            if error is not None:
                protocol().failVerification(Failure(error))
            return error is None

        return verify

    def _is_theirs(self, certificate: X509) -> bool:
        try:
            verify_service_identity(extract_patterns(certificate), [self._whose], [])
        except Exception:  # whatever it is, nobody has shown whose the certificate is
            return False
        return True


def _why_not(certificate: X509, code: int) -> str:
    if code == _EXPIRED:
        return (
            f"the server's certificate has expired on {_date(certificate.get_notAfter())}; "
            "whoever runs the server has to renew it"
        )
    if code == _NOT_YET:
        return (
            f"the server's certificate isn't valid before {_date(certificate.get_notBefore())}; "
            "are the clocks right, here and there?"
        )
    if code == _SELF_SIGNED:
        return "the server's certificate is self-signed, and isn't trusted here"
    if code == _REVOKED:
        return "the server's certificate was revoked"
    return "the server's certificate isn't signed by anyone trusted here"


def _date(time: bytes | None) -> str:
    """The day of a time in ASN.1's form."""
    day = datetime.strptime((time or b"").decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
    return day.date().isoformat()


def trust_in(path: str) -> Any:
    """The certificates in a PEM file, as roots to trust.  Blocks.

    :raises FileTransferError: it can't be read, or there are none in it
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise _about(path, failure_of(error, b"")) from error
    marker = b"-----END CERTIFICATE-----"
    blocks = [block + marker for block in content.split(marker)[:-1]]
    try:
        certificates = [ssl.Certificate.loadPEM(block) for block in blocks]
    except Exception as error:
        raise _about(path, Untrusted("a certificate in it can't be read")) from error
    if not certificates:
        raise _about(path, Untrusted("there is no certificate in PEM form in it"))
    return ssl.trustRootFromCertificates(certificates)


def _about(path: str, error: FileTransferError) -> FileTransferError:
    return error.at("here", path, error.reason.removeprefix("the root: "))
