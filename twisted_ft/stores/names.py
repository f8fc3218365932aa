"""Which names are names: the rules that every store keeps, on what is only a peer's word."""

from __future__ import annotations

import re

from twisted_ft.errors import BadName
from twisted_ft.terminal import shown

NAME_MAX = 255
"""Bytes in one name (POSIX NAME_MAX on the usual file systems)."""
PATH_MAX = 4096
"""Bytes in a whole path (PATH_MAX on Linux)."""

PARTIAL = re.compile(rb"\.ft-[0-9a-f]{32}\.(part|from)")
"""The names of files that are still on their way in; reserved."""


def components(path: bytes) -> list[bytes]:
    """The names in ``path``, outermost first; none for the root itself.

    :raises BadName: the path is absolute, climbs out, is too long, or isn't plain
    """
    if not path:
        return []
    if b"\0" in path:
        raise BadName(f"{shown(path)}: a name can't hold a NUL byte")
    if path.startswith(b"/"):
        raise BadName(
            f"{shown(path)}: names are relative to the served folder; leave the first / out"
        )
    if len(path) > PATH_MAX:
        raise BadName(f"{shown(path[:40])}...: a path has at most {PATH_MAX} bytes")
    names = path.split(b"/")
    for name in names:
        _check(name, path)
    return names


def file_components(path: bytes) -> list[bytes]:
    """The names in ``path``, which is to name a file: at least one.

    :raises BadName: as for ``components``, or nothing is named, or the name is reserved
    """
    names = components(path)
    if not names:
        raise BadName("no file is named")
    if PARTIAL.fullmatch(names[-1]):
        raise BadName(f"{shown(path)}: this name is reserved for files that are still on their way")
    return names


def _check(name: bytes, path: bytes) -> None:
    if not name:
        raise BadName(f"{shown(path)}: there is an empty name in this path")
    if name in (b".", b".."):
        raise BadName(f"{shown(path)}: a path can't go through '.' or '..'")
    if len(name) > NAME_MAX:
        raise BadName(
            f"{shown(name[:40])}...: a name has at most {NAME_MAX} bytes, not {len(name)}"
        )
