"""What a peer may do: rights, and which of them each message needs.

Whatever begins an exchange is asked about here, reads included, for every door.  A message that
has no line in NEEDS can't be served at all.
"""

from __future__ import annotations

from enum import Flag, auto

from twisted_ft.errors import FileTransferError, Forbidden, ReadOnly
from twisted_ft.terminal import escaped
from twisted_ft.wire.messages import (
    Fetch,
    Get,
    List,
    MakeFolder,
    Offer,
    Opening,
    Parcel,
    Remove,
    Rename,
)


class Right(Flag):
    """One thing that a peer may do, or several."""

    LIST = auto()
    """see what is in a folder"""
    READ = auto()
    """read files"""
    UPLOAD = auto()
    """put new files and folders"""
    REPLACE = auto()
    """put a file in the place of another one"""
    RENAME = auto()
    """give files and folders other names"""
    REMOVE = auto()
    """remove files and folders"""


NOTHING = Right(0)
READING = Right.LIST | Right.READ
CHANGING = Right.UPLOAD | Right.REPLACE | Right.RENAME | Right.REMOVE
EVERYTHING = READING | CHANGING

NEEDS: dict[type[Opening], Right] = {
    Get: Right.READ,
    Offer: Right.UPLOAD,
    List: Right.LIST,
    Fetch: READING,
    Parcel: Right.UPLOAD,
    MakeFolder: Right.UPLOAD,
    Rename: Right.RENAME,
    Remove: Right.REMOVE,
}
"""The right without which a message isn't served."""

_WORDS = {
    Right.LIST: "listed",
    Right.READ: "read",
    Right.UPLOAD: "uploaded",
    Right.REPLACE: "replaced",
    Right.RENAME: "renamed",
    Right.REMOVE: "removed",
}


def refusal(lacking: Right, held: Right, path: bytes) -> FileTransferError:
    """The failure of who lacks a right.

    :param held: the rights that there are: whoever can change nothing is told so
    :param path: what it was about
    """
    if not held & CHANGING and lacking & CHANGING:
        return ReadOnly("nothing can be changed: this server is read-only")
    word = next(word for right, word in _WORDS.items() if right & lacking)
    kind = ReadOnly if lacking & CHANGING else Forbidden
    return kind(f"{escaped(path) or '/'}: nothing may be {word} here")
