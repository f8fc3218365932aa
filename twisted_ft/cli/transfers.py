"""get, put and lab: one file after another, each with its own outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from twisted_ft.cli.patterns import found
from twisted_ft.cli.run import Command
from twisted_ft.client import Client
from twisted_ft.delivery import Delivery
from twisted_ft.errors import (
    AlreadyExists,
    ConnectionFailed,
    FileTransferError,
    NotADirectory,
)
from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies.tracker import Progress
from twisted_ft.urls import Location

Transfer = Callable[[Client, Progress], Deferred[Delivery]]


async def get_all(command: Command, places: Sequence[Location], dest: str, **how: bool) -> int:
    """Download each place, or all that matches it, into, or as, ``dest``; the exit status.

    :param how: see Client.get
    """
    failures = 0

    def fail(place: Location, error: FileTransferError) -> None:
        nonlocal failures
        failures += 1
        command.report.failed(place.pattern or "", error, place)

    into_folder = dest.endswith("/") or await command.runtime.in_thread(os.path.isdir, dest)
    every = await found(command, places, fail)
    if len(every) > 1 and not into_folder:
        text = "to download several files, DEST must be a folder; end it with /"
        command.report.failed(dest, NotADirectory(text).at("here", dest), places[0])
        return 1
    ways = [(str(place), os.path.join(dest, _name(place))) for place, _ in every]
    if are_one(command, places[0], ways):
        return 1
    for place, _ in every:
        name = _name(place)

        def transfer(
            client: Client, progress: Progress, path: bytes = place.path
        ) -> Deferred[Delivery]:
            return client.get(path, dest, progress, **how)

        local = os.path.join(dest, name) if into_folder else dest
        failures += not await _one(command, place, name, local, transfer)
    return 1 if failures else 0


async def put_all(command: Command, paths: Sequence[str], url: Location, **how: bool) -> int:
    """Upload each path into, or as, what ``url`` names; the exit status.

    :param how: see Client.put
    """
    named = [(path, os.path.basename(os.path.abspath(path))) for path in paths]
    if are_one(command, url, [(path, os.fsdecode(url.path) + name) for path, name in named]):
        return 1
    failures = 0
    for path, name in named:

        def transfer(client: Client, progress: Progress, path: str = path) -> Deferred[Delivery]:
            return client.put(path, url.path, progress, **how)

        remote = os.fsdecode(url.path) + (name if url.names_folder else "")
        failures += not await _one(command, url, name, remote, transfer)
    return 1 if failures else 0


def are_one(command: Command, place: Location, ways: Sequence[tuple[str, str]]) -> bool:
    """Whether two sources would go to one place, and one of them be lost; that is told.

    :param place: on the server that they come from, or go to
    :param ways: each source, and where it goes
    """
    sources: dict[str, str] = {}
    clash = False
    for source, target in ways:
        first = sources.setdefault(target, source)
        if first is not source:
            text = f"{escaped(first)} and {escaped(source)} would both be {escaped(target)}"
            error = AlreadyExists(f"{text}; nothing was moved").at("here")
            command.report.failed(target, error, place)
            clash = True
    return clash


def _name(place: Location) -> str:
    return os.fsdecode(place.name)


async def _one(
    command: Command, place: Location, name: str, target: str, transfer: Transfer
) -> bool:
    """One file; whether it is where it was to go.

    :param target: where that is, for the report
    """
    if place.server in command.lost:
        command.report.failed(target, command.lost[place.server], place)
        return False
    tracked = command.report.begin(name)
    try:
        delivery = await command.retrying(place).deliver(transfer, tracked.progress)
    except FileTransferError as error:
        if isinstance(error, ConnectionFailed):
            command.lost[place.server] = error
        command.report.failed(target, error, place, tracked)
        return False
    command.report.delivered(delivery, place)
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
        command.report.failed(folder, error, place, tracked)
        return 1
    command.report.delivered(delivery, place, verified=False)
    return 0
