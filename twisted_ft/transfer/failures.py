"""Failures of Twisted's, and unforeseen ones, as ours: with a code, and a sentence for a person."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_ft.errors import (
    Cancelled,
    ConnectionFailed,
    FileTransferError,
    StorageFailed,
    Untrusted,
)
from twisted_ft.wire.conversation import Conversation, Side

_log = Logger()
_TLS_MODULES = ("OpenSSL", "service_identity")
_TLS_REASONS = {
    "wrong version number": "the server doesn't speak TLS on this port; use ft:// for it",
    "packet length too long": "the server doesn't speak TLS on this port; use ft:// for it",
    "record layer failure": "the server doesn't speak TLS on this port; use ft:// for it",
    "http request": "the other side speaks plain HTTP on a TLS port",
}


def why_lost(reason: Failure, conversation: Conversation) -> ConnectionFailed:
    """The failure to tell whoever still waits for something on the connection."""
    if isinstance(reason.value, ConnectionFailed):  # its certificate isn't to be trusted
        return reason.value
    if type(reason.value).__module__.partition(".")[0] in _TLS_MODULES:
        if conversation.is_open:
            return ConnectionFailed("the TLS data was damaged; run again to resume")
        return _tls_failure(reason)
    if not conversation.is_open and reason.check(ConnectionDone, ConnectionLost):
        if conversation.side is Side.CLIENT:
            return ConnectionFailed(
                "the server closed the connection before greeting; does it speak FT/1, "
                "and TLS if it was asked for?"
            )
        return ConnectionFailed("the client closed the connection before greeting")
    closed = reason.check(ConnectionDone)
    what = "the other side closed the connection" if closed else "the connection was lost"
    return ConnectionFailed(f"{what}; run again to resume")


def _tls_failure(reason: Failure) -> Untrusted:
    text = str(reason.value)
    for known, sentence in _TLS_REASONS.items():
        if known in text:
            return Untrusted(sentence)
    return Untrusted(f"TLS failed: {text}")


def as_error(reason: Failure) -> FileTransferError:
    """The failure that a peer or a person is told; what isn't one of ours is logged in full."""
    if isinstance(reason.value, FileTransferError):
        return reason.value
    if reason.check(CancelledError):
        return Cancelled("the transfer was cancelled")
    _log.failure("a transfer failed in an unforeseen way", failure=reason)
    return StorageFailed(f"an internal error: {reason.value!r}; the log has the details")
