"""ls: what is in a folder."""

from __future__ import annotations

import os
import stat
import time

from twisted_ft.cli.run import Command
from twisted_ft.errors import FileTransferError, Forbidden
from twisted_ft.terminal import escaped
from twisted_ft.urls import Location
from twisted_ft.wire.messages import Entry

_TYPES = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "link": stat.S_IFLNK}


async def show(command: Command, place: Location, long: bool) -> int:
    """Print the entries of ``place``; the exit status."""
    try:
        client = await command.client(place)
        async for entry in client.walk(place.path, deep=False):
            _print(command, entry, entry.path.rpartition(b"/")[2], long)
    except FileTransferError as error:
        command.report.failed(os.fsdecode(place.path), error)
        return 1
    return 0


async def show_tree(command: Command, place: Location, long: bool) -> int:
    """Print the entries of ``place`` and of all folders below, as they come; the exit status.

    A folder that the server can't list is named, and the others go on.
    """
    status = 0
    root = place.path.rstrip(b"/")
    try:
        client = await command.client(place)
        async for entry in client.walk(place.path):
            if entry.kind == "unreadable":
                text = f"{escaped(entry.path)}: the server can't list this folder"
                command.report.failed(os.fsdecode(entry.path), Forbidden(text))
                status = 1
            else:
                _print(command, entry, _below(root, entry.path), long)
    except FileTransferError as error:
        command.report.failed(os.fsdecode(place.path), error)
        return 1
    return status


def _below(root: bytes, path: bytes) -> bytes:
    """``path`` as seen from ``root``; the last name, where it is the root itself."""
    if path == root:
        return path.rpartition(b"/")[2]
    return path.removeprefix(root + b"/") if root else path


def _print(command: Command, entry: Entry, name: bytes, long: bool) -> None:
    """A line for an entry, which is called ``name`` in it."""
    if not command.options.json:
        line = _short(entry, name)
        print(f"{_attributes(entry)} {line}" if long else line)
    elif entry.kind in ("file", "directory"):
        command.report.line(
            path=os.fsdecode(entry.path), kind=entry.kind, size=entry.size, mtime=entry.mtime
        )


def _short(entry: Entry, name: bytes) -> str:
    """The name, escaped, with the mark that ``ls -p`` gives a folder."""
    return escaped(name) + ("/" if entry.kind == "directory" else "")


def _attributes(entry: Entry) -> str:
    mode = stat.filemode(_TYPES.get(entry.kind, 0) | entry.mode)
    return f"{mode} {entry.size:>15,} {_time(entry.mtime)}"


def _time(mtime: int) -> str:
    """Local time; a file's may be beyond what the calendar holds."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(mtime // 10**9))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??"
