"""Which names are names: the rules that every store keeps, on what is only a peer's word."""

from __future__ import annotations

import re

from twisted_ft.errors import BadName
from twisted_ft.terminal import escaped

NAME_MAX = 255
"""Bytes in one name (POSIX NAME_MAX on the usual file systems)."""
PATH_MAX = 4096
"""Bytes in a whole path (PATH_MAX on Linux)."""

PARTIAL = re.compile(rb"\.ft-[0-9a-f]{32}\.(part|from)", re.IGNORECASE)
"""The names of files that are still on their way in; reserved, in any case of letters, as there
are file systems that don't tell them apart."""

_NOTEWORTHY = re.compile(rb"(?:\A|/)(?:[./]|\Z|[^/]{%d})" % (NAME_MAX + 1))
"""What a path has, if any name in it isn't one: a name that is empty, begins with a dot, or is too
long.  A path can have thousands of names."""
_NOT_ON_WINDOWS = re.compile(
    rb'[\x01-\x1f<>:"|?*\\]'
    rb"|[. ]\Z"
    rb"|\A(con|prn|aux|nul|conin\$|conout\$|(com|lpt)([0-9]|\xc2[\xb9\xb2\xb3])) *(\.|\Z)",
    re.IGNORECASE,
)


def join(folder: bytes, name: bytes) -> bytes:
    """The path of ``name`` in a folder, which is empty for the root."""
    return folder + b"/" + name if folder and name else folder or name


def above(path: bytes) -> bytes:
    """The path of the folder that this is in; empty for the root."""
    return path.rpartition(b"/")[0]


def components(path: bytes) -> list[bytes]:
    """The names in ``path``, outermost first; none for the root itself.

    :raises BadName: the path is absolute, climbs out, is too long, isn't plain, or reserved
    """
    if not path:
        return []
    if len(path) > PATH_MAX:
        raise BadName(f"{escaped(path[:40])}...: a path has at most {PATH_MAX} bytes")
    if b"\0" in path:
        raise BadName(f"{escaped(path)}: a name can't contain a NUL byte")
    if path.startswith(b"/"):
        raise BadName(
            f"{escaped(path)}: names are relative to the served folder; leave the first / out"
        )
    names = path.split(b"/")
    if _NOTEWORTHY.search(path):
        for name in names:
            _check(name, path)
    return names


def file_components(path: bytes) -> list[bytes]:
    """The names in ``path``, which is to name a file: at least one.

    :raises BadName: as for ``components``, or nothing is named
    """
    names = components(path)
    if not names:
        raise BadName("no file is named")
    return names


def changeable_components(path: bytes) -> list[bytes]:
    """The names in ``path``, which is to name what may be made, renamed or removed.

    :raises BadName: as for ``components``, or it is the root
    """
    names = components(path)
    if not names:
        raise BadName("the root can't be made, renamed or removed; name something in it")
    return names


def check_link_target(path: bytes, target: bytes) -> None:
    """Whether a symbolic link at ``path`` stays below the root, whatever else is there.

    It may go up only at its beginning, from folders that are none but folders; from there on down,
    and the links that it may meet there have been through this, too.

    :raises BadName: it leads out, or may
    """
    if _leads_out(path, target):
        raise BadName(
            f"{escaped(path)}: this link to {escaped(target)} leads, or may lead, "
            "out of the folder, so it wasn't created"
        )
    if target.startswith(b"/"):
        raise BadName(
            f"{escaped(path)}: this link to {escaped(target)} is absolute, so it wasn't created"
        )


def check_link_move(path: bytes, new: bytes, target: bytes) -> None:
    """Whether a symbolic link that stays below the root at ``path`` does so at ``new``, too.

    One that leads out already was put there by the owner of the folder, and may go anywhere.

    :raises BadName: it wouldn't
    """
    if _leads_out(new, target) and not _leads_out(path, target):
        raise BadName(
            f"{escaped(path)}: this link to {escaped(target)} would lead out of the folder from "
            f"{escaped(new)}; nothing was moved"
        )


def _leads_out(path: bytes, target: bytes) -> bool:
    names = target.split(b"/")
    rising = next((place for place, name in enumerate(names) if name != b".."), len(names))
    return rising > path.count(b"/") or b".." in names[rising:] or not target or b"\0" in target


def check_for_windows(names: list[bytes]) -> None:
    """Refuse what Windows takes for something else than one name.

    That is other separators, drives and streams, devices, and ends that it strips off ("Naming
    Files, Paths, and Namespaces", learn.microsoft.com), and what isn't UTF-8 (PEP 529).

    :raises BadName: one of ``names`` is such
    """
    for name in names:
        if _NOT_ON_WINDOWS.search(name):
            raise BadName(f"{escaped(name)}: Windows doesn't allow a file with this name")
        try:
            name.decode()
        except UnicodeDecodeError:
            raise BadName(
                f"{escaped(name)}: Windows doesn't allow a name that isn't UTF-8"
            ) from None


def _check(name: bytes, path: bytes) -> None:
    if not name:
        raise BadName(f"{escaped(path)}: there is an empty name in this path")
    if name in (b".", b".."):
        raise BadName(f"{escaped(path)}: a path can't contain '.' or '..'")
    if len(name) > NAME_MAX:
        raise BadName(
            f"{escaped(name[:40])}...: a name has at most {NAME_MAX} bytes, not {len(name)}"
        )
    if PARTIAL.fullmatch(name):
        raise BadName(
            f"{escaped(path)}: this name is reserved for files that are still on their way"
        )
