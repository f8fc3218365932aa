"""Whose error it is, and of which path as who made the call would write it.

Stores, at both ends, begin their sentences with the path of what they are about, from their own
root; so that is what peers say to each other, too, and nobody learns more of the other's disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from twisted_ft.errors import (
    AlreadyExists,
    ConnectionFailed,
    FileTransferError,
    Forbidden,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotFound,
    ReadOnly,
    StorageFailed,
)
from twisted_ft.stores.names import join
from twisted_ft.terminal import escaped

E = TypeVar("E", bound=FileTransferError)
_OF_A_PLACE = (
    AlreadyExists,
    Forbidden,
    IsADirectory,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotFound,
    ReadOnly,
    StorageFailed,
)
"""Failures of which the sentence says how it is somewhere."""
_CUT = 40
"""Bytes that are named of a path that is too long."""


class Sides:
    """The paths of one call, at both ends of the connection.

    :param there: on the server, what the call is about
    :param here: in the local store, what the call is about; and of these paths, and of folders that
        they are in, how who made the call would write them.  None: nothing local has part in it
    """

    def __init__(self, *there: bytes, here: Mapping[bytes, str] | None = None) -> None:
        self.there = there
        self.here = here

    def located(self, error: E) -> E:
        """The failure, with its side and its path; one that has them already stays as it is."""
        if error.path is not None or isinstance(error, ConnectionFailed):
            return error
        side = error.side or ("there" if self.here is None else "here")
        if side == "there" or self.here is None:
            path, reason = _parted(error.reason, self.there)
            if isinstance(error, _OF_A_PLACE):
                reason = _on_the_server(reason)
            return error.at(side, os.fsdecode(path) or "/", reason)
        if not self.here:  # nothing there has a name
            return error.at(side)
        path, reason = _parted(error.reason, [*self.here])
        return error.at(side, _written(path, self.here), reason)


class TreeSides:
    """The paths of a tree, at both ends of the connection.

    :param place: the local folder, as who made the call has written it
    :param root: the folder on the server
    """

    def __init__(self, place: str, root: bytes) -> None:
        self._place, self._root = place, root

    def of(self, path: bytes) -> Sides:
        """Those of something in it, by its path from the tree's root."""
        local = os.path.join(self._place, os.fsdecode(path)) if path else self._place
        return Sides(join(self._root, path), here={path: local, b"": self._place})


def _parted(text: str, paths: Sequence[bytes]) -> tuple[bytes, str]:
    """The path that a sentence begins with, and the rest of it.

    :param paths: what was asked for: it names one of these, a folder above, or something below;
        where it names none, the first of these is meant
    """
    for path in sorted({above for each in paths for above in _and_above(each)}, reverse=True):
        for named in (escaped(path) or "the root", f"{escaped(path[:_CUT])}..."):
            if text.startswith(f"{named}: "):
                return path, text.removeprefix(f"{named}: ")
    named, colon, rest = text.partition(": ")
    for path in paths:
        if path and colon and named.startswith(escaped(path) + "/") and "\\" not in named:
            return os.fsencode(named), rest
    return paths[0] if paths else b"", text


def _and_above(path: bytes) -> Iterator[bytes]:
    """A path, and those of the folders that it is in, to the root."""
    yield path
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def _written(path: bytes, here: Mapping[bytes, str]) -> str:
    """A path of the local store, as who made the call would write it."""
    for above in _and_above(path):
        if above in here:
            rest = path.removeprefix(above).lstrip(b"/")
            return os.path.join(here[above], os.fsdecode(rest)) if rest else here[above]
    return os.fsdecode(path)


def _on_the_server(reason: str) -> str:
    """The same with where that is, unless it says so."""
    what, semicolon, advice = reason.partition(";")
    return reason if "server" in what else f"{what} on the server{semicolon}{advice}"
