"""What a local path on a command line means: the folder, and the name in it.  Both block."""

from __future__ import annotations

import os

from twisted_ft.errors import BadName, IsADirectory, NotFound
from twisted_ft.stores.names import file_components
from twisted_ft.stores.refusals import os_errors_named
from twisted_ft.terminal import escaped


def destination(dest: str, remote: bytes, parents: bool = False) -> tuple[str, str]:
    """Where a download of ``remote`` goes: a folder that exists, and a name.

    ``dest`` is a file, or a folder if it exists as one or ends in ``/``; such a folder is
    made.  The name is taken from ``remote``, the path that the user asked for, never from
    what a server says.

    :param parents: whether the folders above it are made, too
    """
    if not dest:
        raise BadName("the destination is empty; write . for the current folder")
    _check_nul(dest)
    with os_errors_named(os.fsencode(dest)):
        if dest.endswith(("/", os.sep)):
            _make(dest.rstrip("/" + os.sep) or dest, parents)
        if os.path.isdir(dest):
            return dest, os.fsdecode(file_components(remote)[-1])
    folder, name = os.path.split(dest)
    if parents and folder:
        with os_errors_named(os.fsencode(folder)):
            os.makedirs(folder, exist_ok=True)
    if not os.path.isdir(folder or "."):
        raise missing_folder(dest, folder)
    return folder or ".", name


def origin(path: str) -> tuple[str, str]:
    """Where an upload comes from: a folder and a name; the user's own links are followed."""
    if not path:
        raise BadName("no file is named")
    _check_nul(path)
    with os_errors_named(os.fsencode(path)):
        real = os.path.realpath(path, strict=True)
    folder, name = os.path.split(real)
    if not name:
        raise IsADirectory(f"{escaped(path)}: this is a folder")
    return folder, name


def _make(folder: str, parents: bool) -> None:
    """Have a folder, in one that is there."""
    if parents:
        os.makedirs(folder, exist_ok=True)
        return
    try:
        os.mkdir(folder)
    except FileExistsError:  # if it is a file, what goes into it fails
        return
    except FileNotFoundError:
        raise missing_folder(folder, os.path.dirname(folder)) from None


def missing_folder(dest: str, folder: str) -> NotFound:
    """The failure of what was to go into a folder that isn't there."""
    return NotFound(f"{escaped(dest)}: there is no folder {escaped(folder)}; make it first")


def _check_nul(path: str) -> None:
    if "\0" in path:
        raise BadName(f"{escaped(path)}: a name can't contain a NUL byte")
