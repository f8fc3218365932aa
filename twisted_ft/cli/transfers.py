"""get, put and lab: one file after another, each with its own outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from twisted_ft.cli.patterns import found
from twisted_ft.cli.run import Command
from twisted_ft.client import Client
from twisted_ft.delivery import Delivery
from twisted_ft.errors import FileTransferError, NotADirectory
from twisted_ft.transfer.bodies.tracker import Progress
from twisted_ft.urls import Location

Transfer = Callable[[Client, Progress], Deferred[Delivery]]


async def get_all(command: Command, places: Sequence[Location], dest: str) -> int:
    """Download each place, or all that matches it, into, or as, ``dest``; the exit status."""
    failures = 0

    def fail(pattern: str, error: FileTransferError) -> None:
        nonlocal failures
        failures += 1
        command.report.failed(pattern, error)

    into_folder = dest.endswith("/") or await command.runtime.in_thread(os.path.isdir, dest)
    every = await found(command, places, fail)
    if len(every) > 1 and not into_folder:
        error = NotADirectory("to download several files, DEST must be a folder; end it with /")
        command.report.failed(dest, error)
        return 1
    for place, _ in every:
        name = os.fsdecode(place.name)

        def transfer(
            client: Client, progress: Progress, path: bytes = place.path
        ) -> Deferred[Delivery]:
            return client.get(path, dest, progress)

        local = os.path.join(dest, name) if into_folder else dest
        failures += not await _one(command, place, name, local, transfer)
    return 1 if failures else 0


async def put_all(command: Command, paths: Sequence[str], url: Location) -> int:
    """Upload each path into, or as, what ``url`` names; the exit status."""
    failures = 0
    for path in paths:
        name = os.path.basename(os.path.abspath(path))

        def transfer(client: Client, progress: Progress, path: str = path) -> Deferred[Delivery]:
            return client.put(path, url.path, progress)

        remote = os.fsdecode(url.path) + (name if url.names_folder else "")
        failures += not await _one(command, url, name, remote, transfer)
    return 1 if failures else 0


async def _one(
    command: Command, place: Location, name: str, target: str, transfer: Transfer
) -> bool:
    """One file; whether it is where it was to go.

    :param target: where that is, for the report
    """
    tracked = command.report.begin(name)
    try:
        client = await command.client(place)
        delivery = await transfer(client, tracked.progress)
    except FileTransferError as error:
        command.report.failed(target, error, tracked)
        return False
    command.report.delivered(delivery)
    return True


async def get_from_lab(command: Command, place: Location, folder: str, name: str | None) -> int:
    """Receive the file that a lab server offers into ``folder``; the exit status."""
    from twisted_ft.lab import receive_from_lab

    reactor = command.reactor
    if command.options.verbose:
        from twisted_ft.tracing import TracedReactor

        reactor = TracedReactor(reactor, command.report.say)
    tracked = command.report.begin(name or place.host, sized=False)
    try:
        delivery = await receive_from_lab(
            place,
            folder,
            name=name,
            reactor=reactor,
            runtime=command.runtime,
            progress=tracked.progress,
            timeout=command.options.timeout,
        )
    except FileTransferError as error:
        command.report.failed(folder, error, tracked)
        return 1
    command.report.delivered(delivery, verified=False)
    return 0
