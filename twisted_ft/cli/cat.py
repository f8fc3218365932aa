"""get URL -, cat, and put -: standard output and input in the place of files."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from twisted_ft.cli.patterns import found
from twisted_ft.cli.pipes import OutputClosed, StandardInput, StandardOutput
from twisted_ft.cli.report import Tracked
from twisted_ft.cli.run import Command
from twisted_ft.errors import FileTransferError
from twisted_ft.retrying import Tries
from twisted_ft.sides import Sides
from twisted_ft.stores.system import file_mode_mask
from twisted_ft.urls import Location

_NAME = "-"
"""What standard input and output are called."""


async def cat(command: Command, places: Sequence[Location]) -> int:
    """Write each place, or all that matches it, to standard output; the exit status."""
    command.carries_on = False
    try:
        output = StandardOutput()
    except FileTransferError as error:
        command.report.failed(_NAME, error.at("here"), places[0])
        return 1
    status = 0

    def fail(place: Location, error: FileTransferError) -> None:
        nonlocal status
        status = 1
        command.report.failed(place.pattern or "", error, place)

    try:
        for place, _ in await found(command, places, fail):
            status |= await _write(command, place, output)
        return status
    except OutputClosed:  # whoever read it has enough
        return 1
    finally:
        output.stop()


async def _write(command: Command, place: Location, output: StandardOutput) -> int:
    """Write one file; the exit status.

    :raises OutputClosed: nobody reads it any more
    """
    tracked = command.report.begin(os.fsdecode(place.name), shown=not sys.stdout.isatty())
    try:
        await _read(command, place, output, tracked)
    except OutputClosed:
        command.report.end_bar()
        raise
    except FileTransferError as error:
        command.report.failed(_NAME, error, place, tracked)
        return 1
    command.report.end_bar()
    return 0


async def _read(
    command: Command, place: Location, output: StandardOutput, tracked: Tracked
) -> None:
    """Write one file; tried again until the first of it has been written."""
    tries = Tries(command.retrying(place))
    while True:
        client = await tries.client()
        try:
            await client.read(place.path, output, tracked.progress)
            return
        except FileTransferError as error:
            if tracked.moved is not None and tracked.moved.sent:
                raise
            await tries.again(error)


async def put_input(command: Command, place: Location) -> int:
    """Send standard input, to its end, as ``place``; the exit status."""
    command.carries_on = False
    tracked = command.report.begin(os.fsdecode(place.name), sized=False)
    try:
        stream = StandardInput(command.reactor, command.runtime.in_thread)
        mode = 0o666 & ~file_mode_mask()
        client = await command.client(place)
        delivery = await client.write(place.path, stream, tracked.progress, mode=mode)
    except FileTransferError as error:
        error = error if error.side is not None else Sides(here={}).located(error)
        command.report.failed(os.fsdecode(place.path), error, place, tracked)
        return 1
    command.report.delivered(delivery, place)
    return 0
