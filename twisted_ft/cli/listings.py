"""ls: what is in a folder."""

from __future__ import annotations

import os
import stat
import time

from twisted_ft.cli.run import Session
from twisted_ft.errors import FileTransferError
from twisted_ft.terminal import shown
from twisted_ft.urls import Location
from twisted_ft.wire.messages import Entry

_TYPES = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "link": stat.S_IFLNK}


async def show(session: Session, place: Location, long: bool) -> int:
    """Print the entries of ``place``; the exit status."""
    try:
        client = await session.client(place)
        entries = await client.list(place.path)
    except FileTransferError as error:
        session.report.failed(os.fsdecode(place.path), error)
        return 1
    for entry in entries:
        if not session.options.json:
            print(_long(entry) if long else _short(entry))
        elif entry.kind in ("file", "directory"):
            session.report.line(
                path=os.fsdecode(entry.path), kind=entry.kind, size=entry.size, mtime=entry.mtime
            )
    return 0


def _short(entry: Entry) -> str:
    """The name, escaped, with the mark that ``ls -p`` gives a folder."""
    name = entry.path.rpartition(b"/")[2]
    return shown(name) + ("/" if entry.kind == "directory" else "")


def _long(entry: Entry) -> str:
    mode = stat.filemode(_TYPES.get(entry.kind, 0) | entry.mode)
    return f"{mode} {entry.size:>15,} {_time(entry.mtime)} {_short(entry)}"


def _time(mtime: int) -> str:
    """Local time; a file's may be beyond what the calendar holds."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(mtime // 10**9))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??"
