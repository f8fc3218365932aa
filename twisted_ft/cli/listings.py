"""ls: what is in folders."""

from __future__ import annotations

import math
import os
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted_ft.cli.held import Held
from twisted_ft.cli.patterns import found
from twisted_ft.cli.run import Command
from twisted_ft.cli.streams import leave_off
from twisted_ft.errors import FileTransferError, Forbidden
from twisted_ft.retrying import Tries
from twisted_ft.terminal import escaped
from twisted_ft.urls import Location
from twisted_ft.walk import Order, order_of
from twisted_ft.wire.messages import Entry

_TOO_MANY = "there are too many files in one folder to sort them; leave out -S, -t and -r"
_TYPES = {
    "file": stat.S_IFREG,
    "partial": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "link": stat.S_IFLNK,
}
_ORDERS: dict[str, Callable[[Entry], Any]] = {
    "size": lambda entry: -entry.size,
    "time": lambda entry: -entry.mtime,
}
"""As those of ls: the largest first, the newest first, and by name where they are the same."""


@dataclass(frozen=True)
class Look:
    """How a folder is listed."""

    long: bool = False
    human: bool = False
    """sizes as in 1.5K, 23M"""
    deep: bool = False
    """the folders below, too"""
    partial: bool = False
    """what the server keeps of transfers that were cut off, and nothing else"""
    order: str = "name"
    """``name``, ``size`` or ``time``"""
    reverse: bool = False


async def show_all(command: Command, places: Sequence[Location], look: Look) -> int:
    """Print what is at each place; the exit status.

    Where there may be several, files come first, by their paths, and each folder has a heading.
    """
    failures: list[Location] = []

    def fail(place: Location, error: FileTransferError) -> None:
        failures.append(place)
        command.report.failed(place.pattern or os.fsdecode(place.path), error, place)

    every = await found(command, places, fail)
    if len(places) == 1 and places[0].pattern is None:
        return await show(command, places[0], look)
    files: list[Entry] = []
    folders: list[Location] = []
    for place, known in every:
        try:
            entry = known or await (await command.client(place)).stat(place.path)
        except FileTransferError as error:
            fail(place, error)
            continue
        if entry.kind == "directory":
            folders.append(place)
        else:
            files.append(entry)
    for entry in _in_order(files, look):
        _print(command, entry, entry.path, look)
    status = 1 if failures else 0
    for place in folders:
        if not command.options.json:
            print(("\n" if files or place is not folders[0] else "") + f"{escaped(str(place))}:")
        status |= await show(command, place, look)
        if leave_off():
            return 1
    sys.stdout.flush()
    return 1 if leave_off() else status


async def show(command: Command, place: Location, look: Look) -> int:
    """Print the entries of ``place``, as they come; the exit status.

    A folder of which the server can't list all is named, and what else there is goes on.
    """
    status = 0
    root = place.path.rstrip(b"/")
    try:
        entries = _walked(command, place, look)
        if look.reverse or look.order != "name":
            entries = _by_folder(entries, look)
        async for entry in entries:
            if entry.kind == "unreadable":
                _complain_of(command, place, entry)
                status = 1
            else:
                name = _below(root, entry.path) if look.deep else entry.path.rpartition(b"/")[2]
                _print(command, entry, name, look)
            if leave_off():
                return 1
    except FileTransferError as error:
        command.report.failed(os.fsdecode(place.path), error, place)
        return 1
    sys.stdout.flush()
    return 1 if leave_off() else status


async def _by_folder(entries: AsyncIterator[Entry], look: Look) -> AsyncIterator[Entry]:
    """The entries of each folder, which come together, in the order that is wanted."""
    folder: bytes | None = None
    together: list[Entry] = []
    held = Held(_TOO_MANY)
    failure: FileTransferError | None = None
    try:
        async for entry in entries:
            above = entry.path.rpartition(b"/")[0]
            if entry.kind == "unreadable" or above != folder:
                for each in _in_order(together, look):
                    yield each
                together, folder, held = [], above, Held(_TOO_MANY)
            if entry.kind == "unreadable":
                yield entry
                continue
            together.append(entry)
            held.add(entry)
    except FileTransferError as error:
        failure = error
    for each in _in_order(together, look):
        yield each
    if failure is not None:
        raise failure


def _in_order(entries: list[Entry], look: Look) -> list[Entry]:
    order = _ORDERS.get(look.order)
    ordered = entries if order is None else sorted(entries, key=order)
    return ordered[::-1] if look.reverse else ordered


async def _walked(command: Command, place: Location, look: Look) -> AsyncIterator[Entry]:
    """The entries of ``place``, each once, over as many connections as it takes."""
    tries = Tries(command.retrying(place))
    last: Order | None = None
    while True:
        begin = last
        client = await tries.client()
        try:
            async for entry in client.walk(place.path, look.deep, look.partial):
                order = order_of(entry.path)
                if entry.kind == "unreadable":  # it stands behind what is in it
                    yield entry
                elif begin is None or begin < order:
                    last = order
                    tries.brought(1)
                    yield entry
            return
        except FileTransferError as error:
            await tries.again(error)


def _complain_of(command: Command, place: Location, entry: Entry) -> None:
    """Name a folder of which not all is listed."""
    path = os.fsdecode(entry.path)
    error = Forbidden("the server can't list all of this folder").at("there", path)
    command.report.failed(path, error, place)


def _below(root: bytes, path: bytes) -> bytes:
    """``path`` as seen from ``root``; the last name, where it is the root itself."""
    if path == root:
        return path.rpartition(b"/")[2]
    return path.removeprefix(root + b"/") if root else path


def _print(command: Command, entry: Entry, name: bytes, look: Look) -> None:
    """A line for an entry, which is called ``name`` in it."""
    if command.options.json:
        if entry.kind in ("file", "directory", "partial") or (entry.kind == "link" and look.long):
            command.report.line(**_fields(entry))
    elif look.long:
        print(_long(entry, name, look.human))
    else:
        print(_short(entry, name))


def _fields(entry: Entry) -> dict[str, object]:
    """What a line of JSON says of an entry."""
    path = os.fsdecode(entry.path)
    fields = {"path": path, "kind": entry.kind, "size": entry.size, "mtime": entry.mtime}
    if entry.kind == "link":
        fields["target"] = os.fsdecode(entry.target) or None
    return fields


def _long(entry: Entry, name: bytes, human: bool) -> str:
    """The attributes, the name, and where a link leads, if the server says so: as ``ls -l``."""
    line = f"{_attributes(entry, human)} {_short(entry, name)}"
    leads = entry.kind == "link" and entry.target
    return f"{line} -> {escaped(entry.target)}" if leads else line


def _short(entry: Entry, name: bytes) -> str:
    """The name, escaped, with the mark that ``ls -p`` gives a folder."""
    return escaped(name) + ("/" if entry.kind == "directory" else "")


def _attributes(entry: Entry, human: bool) -> str:
    mode = stat.filemode(_TYPES.get(entry.kind, 0) | entry.mode)
    size = f"{human_size(entry.size):>5}" if human else f"{entry.size:>15,}"
    return f"{mode} {size} {_time(entry.mtime)}"


def human_size(size: int) -> str:
    """Bytes in powers of 1024, rounded up, as ``ls -h`` writes them: ``1.5K``, ``23M``."""
    if size < 1024:
        return str(size)
    unit, units = 1024, iter("KMGTPE")
    letter = next(units)
    while math.ceil(size / unit) >= 1024 and letter != "E":
        unit, letter = unit * 1024, next(units)
    tenths = -(-size * 10 // unit)
    return f"{tenths / 10:.1f}{letter}" if tenths < 100 else f"{-(-size // unit)}{letter}"


def _time(mtime: int) -> str:
    """Local time; a file's may be beyond what the calendar holds."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(mtime // 10**9))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??"
