"""mkdir, mv and rm: one change after another, each with its own outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from twisted_ft.cli.patterns import found
from twisted_ft.cli.run import Command
from twisted_ft.client import Client
from twisted_ft.errors import FileTransferError, IsADirectory
from twisted_ft.terminal import escaped
from twisted_ft.urls import Location


async def make_all(command: Command, places: Sequence[Location], parents: bool = False) -> int:
    """Make each folder, with those above it where ``parents`` are wanted; the exit status."""
    failures = 0
    for place in places:

        def change(client: Client, path: bytes = place.path) -> Deferred[int]:
            return client.mkdir(path, parents).addCallback(_one)

        failures += not await _change(command, place, change, lambda _count: "folder made")
    return 1 if failures else 0


async def rename(command: Command, place: Location, new: bytes) -> int:
    """Give ``place`` a new name, or put it into a folder; the exit status."""
    if not new or new.endswith(b"/"):
        new += place.name

    def change(client: Client) -> Deferred[int]:
        return client.rename(place.path, new).addCallback(_one)

    done = await _change(command, place, change, lambda _count: f"now {escaped(new)}")
    return 0 if done else 1


async def remove_all(command: Command, places: Sequence[Location], deep: bool) -> int:
    """Remove each place, and all that matches each pattern; the exit status."""
    failures = 0

    def fail(place: Location, error: FileTransferError) -> None:
        nonlocal failures
        failures += 1
        command.report.unchanged(place.pattern or "", error, place)

    matched = removed = 0
    for place, entry in await found(command, places, fail):

        def change(client: Client, path: bytes = place.path) -> Deferred[int]:
            return client.remove(path, deep)

        done = await _change(command, place, change, _removed, removing=True)
        failures += not done
        matched += entry is not None
        removed += entry is not None and done
    if matched > 1:
        command.report.note(f"{removed:,} of {matched:,} that match removed")
    return 1 if failures else 0


def _one(_nothing: None) -> int:
    return 1


def _removed(count: int) -> str:
    return "removed" if count == 1 else f"removed, {count:,} files and folders in all"


async def _change(
    command: Command,
    place: Location,
    change: Callable[[Client], Deferred[int]],
    said: Callable[[int], str],
    removing: bool = False,
) -> bool:
    """One change; whether it was made.

    :param said: what it has come to, by how many files and folders it concerned
    """
    path = place.path.rstrip(b"/")
    try:
        client = await command.client(place)
        count = await change(client)
    except FileTransferError as error:
        is_folder = removing and isinstance(error, IsADirectory)
        hint = "remove it with -r" if is_folder else ""
        command.report.unchanged(os.fsdecode(path), error, place, hint)
        return False
    command.report.changed(os.fsdecode(path), count, said(count))
    return True
