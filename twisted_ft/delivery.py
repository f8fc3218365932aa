"""What became of one file that was asked for."""

from __future__ import annotations

import msgspec

from twisted_ft.errors import FileTransferError


class Delivery(msgspec.Struct, frozen=True):
    """What became of one file that was asked for."""

    path: str
    """where it is now: the local path after get, the remote path after put"""
    size: int
    """bytes"""
    sent: int
    """file bytes that crossed the wire in this run"""
    resumed_from: int
    """bytes that the receiver had kept from an earlier run"""
    blake3: str | None
    """the digest of the whole file in hex, verified by the receiver; None where it isn't done"""
    seconds: float
    """how long it took; a small file of a tree: how long what it came together with"""
    status: str
    """``done``, or ``skipped`` where the receiver already had it (by its digest; of what is in a
    tree, by size and mtime); of what is in a tree also ``failed``, and ``left out``, as a link; of
    what only the destination has ``removed``, or ``kept``, where no more may be removed"""
    error: FileTransferError | None = None
    """why, where it failed or was left out"""
    grown: bool = False
    """whether it has grown at its source since; what was there when it was begun has arrived"""
    files: int = 1
    """how many files, and what else isn't a folder, it stands for: of a folder that was removed,
    all that were in it"""
    folders: int = 0
    """how many folders it stands for, itself included"""
