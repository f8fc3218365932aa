"""TLS in larger steps than Twisted's transport takes by itself.

Twisted hands OpenSSL what is to be sent in slices of 16 KiB, one record each, and gives what has
come to the protocol record by record; each costs as much Python as OpenSSL takes for four.  Here
a whole piece is encrypted by one call, and all records that have come become one piece
(docs/experiments.md).  The connection, its verification and its end remain Twisted's.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import ISSLTransport

from twisted_ft.transfer.transports import RECEIVE_SIZE, take_large_pieces

_PARTIAL_WRITE = 1
"""SSL_MODE_ENABLE_PARTIAL_WRITE (SSL_CTX_set_mode(3)), for which pyOpenSSL has no name."""
_RECORD = 1 << 14
"""Bytes of plaintext in a record, at most (RFC 8446 5.1)."""
_CIPHERTEXT = 1 << 18
"""Bytes taken off OpenSSL at once, on their way to the socket."""


class TLSStream:
    """Writes to, and reads from, a TLS transport of Twisted's, once it has been greeted on.

    From then on nothing else may write to the transport, which may hold a small write back.

    :param transport: a ``TLSMemoryBIOProtocol`` at its work
    :param at_once: bytes that are taken off the socket at once, and make one piece, at most
    """

    def __init__(self, transport: Any, at_once: int = RECEIVE_SIZE) -> None:
        from OpenSSL import SSL

        self._transport, self._at_once = transport, at_once
        self._error, self._want_read = SSL.Error, SSL.WantReadError
        self._buffer = memoryview(b"")
        take_large_pieces(transport.transport)

    def write(self, data: bytes) -> None:
        """Encrypt ``data``, and send it."""
        tls = self._transport.getHandle()
        if tls is None or self._transport.disconnecting:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[tls.send(rest) :]
                self._flush(tls)
        except self._error:
            self._transport.abortConnection()

    def writeSequence(self, pieces: tuple[bytes, ...]) -> None:
        """The same for several; a short one goes first in a record of its own."""
        for each in pieces:
            self.write(each)

    def _flush(self, tls: Any) -> None:
        try:
            while True:
                self._transport.transport.write(tls.bio_read(_CIPHERTEXT))
        except self._want_read:
            pass

    def read_on(self, first: bytes) -> bytes | memoryview:
        """``first``, which has come, and what else has, as one piece.

        The end of the stream, or what is wrong with it, is left to the transport to find.
        """
        if len(first) < _RECORD:
            return first
        tls = self._transport.getHandle()
        buffer = self._buffer or memoryview(bytearray(self._at_once + _RECORD))
        filled = len(first)
        buffer[:filled] = first
        try:
            while filled < self._at_once:
                filled += tls.recv_into(buffer[filled:], _RECORD)
        except self._error:
            pass
        if filled > self._at_once // 2:
            self._buffer = memoryview(b"")
            return buffer[:filled]
        self._buffer = buffer  # who keeps a small piece doesn't keep it all
        return bytes(buffer[:filled])


def tls_stream(transport: Any) -> TLSStream | None:
    """Larger steps on ``transport``, where it is Twisted's TLS, and version 1.3.

    Of earlier versions a renegotiation may come between a write and its repetition.
    """
    if not ISSLTransport.providedBy(transport):
        return None
    tls: Any = getattr(transport, "getHandle", lambda: None)()
    if tls is None or tls.get_protocol_version_name() != "TLSv1.3":
        return None
    _allow_whole_pieces(tls)
    return TLSStream(transport)


def _allow_whole_pieces(tls: Any) -> None:
    """Let one call of ``send`` encrypt any number of records, where that can be had.

    A mode of the context can't be changed once it has made a connection, and pyOpenSSL lets no
    one ask for another of a connection but by its innards (SSL_clear_mode(3)); without them
    ``send`` takes one record at a time, and all goes on as ever, at a third of the speed.
    """
    from cryptography.hazmat.bindings.openssl.binding import Binding

    clear_mode = getattr(Binding.lib, "SSL_clear_mode", None)
    ssl = getattr(tls, "_ssl", None)
    if clear_mode is not None and ssl is not None:
        clear_mode(ssl, _PARTIAL_WRITE)
