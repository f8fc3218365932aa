"""What became of one file, and how it is going."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace
from twisted.logger import Logger

from twisted_ft.errors import Cancelled, FileTransferError
from twisted_ft.transfer.rate import RateLimit
from twisted_ft.wire.messages import Attributes


class TransferProgress(msgspec.Struct):
    """One file's way from one end to the other, in one run."""

    file: Attributes
    sent: int = 0
    """file bytes that crossed the wire"""
    resumed_from: int = 0
    """bytes that the receiver had kept from an earlier run"""
    blake3: bytes = b""
    """the digest of the whole file, 32 bytes, once both ends know it"""
    grown: bool = False
    """whether the sender's file has grown since; what was there when it was offered is here"""

    @property
    def size(self) -> int:
        """Bytes of the file; where nobody knows yet how many, those that have come."""
        return self.position if self.file.size is None else self.file.size

    @property
    def position(self) -> int:
        """How much of the file the receiver has, or is being sent, in bytes."""
        came = self.resumed_from + self.sent
        return came if self.file.size is None else min(came, self.file.size)


Progress = Callable[[TransferProgress], None]
"""Is told how a transfer goes, once its size is known and with each piece."""


class TransferTracker:
    """Follows one transfer: counts its bytes, tells whoever watches, knows its rate limit.

    A transfer that has to begin again keeps its course: ``sent`` goes on counting.
    """

    log = Logger()

    def __init__(self, progress: Progress | None = None, limit: RateLimit | None = None) -> None:
        self.limit = limit
        self.stop: Callable[[FileTransferError], None] | None = None
        """ends what is under way, at the next occasion"""
        self._moved: TransferProgress | None = None
        self._progress = progress
        self._cancelled = False

    @property
    def known(self) -> TransferProgress:
        """How it stands, once the file's name and size are known."""
        assert self._moved is not None, "a transfer begins with its name and size"
        return self._moved

    @property
    def resumed(self) -> bool:
        """Whether it went on from what an earlier run had left."""
        return self._moved is not None and self._moved.resumed_from > 0

    def begins(self, file: Attributes) -> TransferProgress:
        """Name and size are known."""
        sent = self._moved.sent if self._moved is not None else 0
        self._moved = TransferProgress(file, sent)
        return self._moved

    def goes_on_from(self, offset: int) -> None:
        """The receiver has ``offset`` bytes already."""
        self.known.resumed_from = offset
        self._tell()

    def moves(self, size: int) -> None:
        """``size`` more bytes have crossed the wire."""
        self.known.sent += size
        self._tell()

    def ends(self, blake3: bytes, size: int | None = None) -> TransferProgress:
        """The file is verified, and in its place.

        :param size: bytes that its sender has by now, as Done says
        """
        known = self.known
        known.blake3 = blake3
        if known.file.size is None:
            known.file = replace(known.file, size=size)
        else:
            known.grown = size is not None and size > known.file.size
        return known

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._cancelled = True
        if self.stop is not None:
            self.stop(Cancelled("the transfer was cancelled"))

    def check(self) -> None:
        """Raise Cancelled, where nobody wants it any more."""
        if self._cancelled:
            raise Cancelled("the transfer was cancelled")

    def _tell(self) -> None:
        """Whoever watches isn't part of the transfer: where that fails, it isn't told again."""
        if self._progress is None:
            return
        try:
            self._progress(self.known)
        except Exception:
            self._progress = None
            self.log.failure("the progress of a transfer can't be told")
