"""Every failure: the code it has on the wire, and the sentence a person reads.

A code is a short lower-case word that peers and scripts can rely on (``docs/protocol.md``
lists them); the text is for people and says what happened and, where there is something
to do, what to do.  ``error_for`` is the one way from a code that a peer sent to an exception.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeVar

from twisted_ft.terminal import escaped

E = TypeVar("E", bound="FileTransferError")
Side = Literal["here", "there"]
"""Where something failed: ``here``, in this program or on its disk; or ``there``, at the other end
of the connection."""


class FileTransferError(Exception):
    """Something failed, and the text says what."""

    code: str = "failed"
    """a word for programs, the same as on the wire"""
    retryable: bool = False
    """whether the same call may succeed after a while, with nothing done about it"""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.reason = text
        """what happened, and what to do about it; without the path, where that is known"""
        self.path: str | None = None
        """of which file or folder, as who made the call would write it: a local path where ``side``
        is ``here``, and a path on the server where it is ``there``"""
        self.side: Side | None = None
        """where it failed; None for what is between the two, as a connection that was lost"""

    @property
    def text(self) -> str:
        """A sentence for a person: the path, once, and what happened."""
        return self.reason if self.path is None else f"{escaped(self.path)}: {self.reason}"

    def __str__(self) -> str:
        return self.text

    def at(self: E, side: Side, path: str | None = None, reason: str | None = None) -> E:
        """The same failure, of which is known where it is.

        :param reason: what happened, where ``path`` is no longer to be named in it
        """
        same = type(self).__new__(type(self), *self.args)
        same.__dict__.update(self.__dict__)
        same.__cause__, same.__traceback__ = self.__cause__, self.__traceback__
        same.side, same.path = side, path
        if reason is not None:
            same.reason = reason
        return same


# -- one exchange fails, the connection goes on ------------------------------------------


class NotFound(FileTransferError):
    """Nothing has this name."""

    code = "not-found"


class BadName(FileTransferError):
    """The name can't be used: it leads out of the root, is absolute, too long or reserved."""

    code = "bad-name"


class IsADirectory(FileTransferError):
    """This is a folder, not a file (EISDIR)."""

    code = "is-a-directory"


class NotADirectory(FileTransferError):
    """This is a file, not a folder (ENOTDIR)."""

    code = "not-a-directory"


class NotAFile(FileTransferError):
    """This is a FIFO, a device, a socket or a symbolic link; only files are transferred."""

    code = "not-a-file"


class Forbidden(FileTransferError):
    """The operating system doesn't permit it (EACCES, EPERM)."""

    code = "forbidden"


class ReadOnly(FileTransferError):
    """The server, or its file system, is read-only (EROFS)."""

    code = "read-only"


class AlreadyExists(FileTransferError):
    """There is a file of this name, and it may not be replaced (EEXIST)."""

    code = "exists"


class Busy(FileTransferError):
    """Another transfer to this name is under way, or the server has no room for more."""

    code = "busy"
    retryable = True


class NoSpace(FileTransferError):
    """The receiver's disk or quota is full (ENOSPC, EDQUOT), or too small (EFBIG)."""

    code = "no-space"


class SourceChanged(FileTransferError):
    """The file changed while it was being sent."""

    code = "changed"
    retryable = True


class Corrupt(FileTransferError):
    """The received data isn't what was sent: the digests differ."""

    code = "corrupt"


class StorageFailed(FileTransferError):
    """Reading or writing failed in the storage itself (EIO and the like)."""

    code = "storage"


class Unchanged(FileTransferError):
    """The receiver already has this file, with the same digest: nothing needs to be sent."""

    code = "unchanged"


class Differs(FileTransferError):
    """The receiver's file has other content: this one must be sent."""

    code = "differs"


class Cancelled(FileTransferError):
    """The transfer was cancelled by the side that asked for it."""

    code = "cancelled"


class Unsupported(FileTransferError):
    """The other side doesn't know, or doesn't offer, what it was asked for."""

    code = "unsupported"


# -- the connection fails ----------------------------------------------------------------


class ConnectionFailed(FileTransferError):
    """The connection ended before the work was done."""

    code = "connection"
    retryable = True


class Unreachable(ConnectionFailed):
    """No connection could be made: no such host, nobody listening, or no route."""

    code = "unreachable"


class Untrusted(ConnectionFailed):
    """The other side's TLS certificate couldn't be verified, or TLS itself failed."""

    code = "untrusted"
    retryable = False
    unknown_issuer = False
    """whether it would be trusted, if who has signed it were"""


class TimedOut(ConnectionFailed):
    """It was the other side's turn, and it said nothing for too long."""

    code = "timeout"


class ProtocolError(ConnectionFailed):
    """The other side broke the protocol."""

    code = "protocol"
    retryable = False


class WrongProtocol(ProtocolError):
    """The other side doesn't speak FT/1 at all; ``answer`` is a last word it may understand."""

    code = "wrong-protocol"

    def __init__(self, text: str, answer: bytes = b"") -> None:
        super().__init__(text)
        self.answer = answer


class UnknownVersion(ProtocolError):
    """The two sides have no version of the protocol in common."""

    code = "version"


class OverLimit(ProtocolError):
    """A message, or a number of exchanges, is over the announced limit."""

    code = "over-limit"


class PeerError(FileTransferError):
    """A failure whose code this version doesn't know, in the other side's words."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


def _subclasses(root: type[FileTransferError]) -> list[type[FileTransferError]]:
    direct = root.__subclasses__()
    return direct + [below for each in direct for below in _subclasses(each)]


class _Codes:
    """The one table between wire codes and exceptions, read off the classes above."""

    by_code: ClassVar[dict[str, type[FileTransferError]]] = {
        each.code: each for each in _subclasses(FileTransferError) if each is not PeerError
    }


def error_for(code: str, text: str, side: Side = "there") -> FileTransferError:
    """The exception for a ``code`` and ``text`` that a peer sent.

    :param side: ``here``, where they were made here, as for what would be sent
    """
    known = _Codes.by_code.get(code)
    return (known(text) if known is not None else PeerError(text, code)).at(side)


def known_codes() -> dict[str, str]:
    """Each wire code with its meaning, as ``docs/protocol.md`` lists them."""
    return {code: (each.__doc__ or "").strip() for code, each in _Codes.by_code.items()}
