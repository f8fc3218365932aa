"""ls: what is in a folder."""

from __future__ import annotations

import os
import stat
import sys
import time

from twisted_ft.cli.run import Command
from twisted_ft.cli.streams import leave_off
from twisted_ft.errors import FileTransferError, Forbidden
from twisted_ft.terminal import escaped
from twisted_ft.urls import Location
from twisted_ft.wire.messages import Entry

_TYPES = {
    "file": stat.S_IFREG,
    "partial": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "link": stat.S_IFLNK,
}


async def show(
    command: Command, place: Location, long: bool, deep: bool, partial: bool = False
) -> int:
    """Print the entries of ``place``, as they come; the exit status.

    A folder of which the server can't list all is named, and what else there is goes on.

    :param deep: those of all folders below, too
    :param partial: what the server keeps of transfers that were cut off, and nothing else
    """
    status = 0
    root = place.path.rstrip(b"/")
    try:
        client = await command.client(place)
        async for entry in client.walk(place.path, deep, partial):
            if entry.kind == "unreadable":
                _complain_of(command, entry)
                status = 1
            else:
                name = _below(root, entry.path) if deep else entry.path.rpartition(b"/")[2]
                _print(command, entry, name, long)
            if leave_off():
                return 1
    except FileTransferError as error:
        command.report.failed(os.fsdecode(place.path), error)
        return 1
    sys.stdout.flush()
    return 1 if leave_off() else status


def _complain_of(command: Command, entry: Entry) -> None:
    """Name a folder of which not all is listed."""
    name = escaped(entry.path) or "the root"
    text = f"{name}: the server can't list all of this folder"
    command.report.failed(os.fsdecode(entry.path), Forbidden(text))


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
    elif entry.kind in ("file", "directory", "partial"):
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
