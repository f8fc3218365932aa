"""get URL -, cat, and put -: standard output and input in the place of files."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from twisted_ft.cli.patterns import found
from twisted_ft.cli.pipes import OutputClosed, StandardInput, StandardOutput
from twisted_ft.cli.run import Command
from twisted_ft.errors import FileTransferError
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
        command.report.failed(_NAME, error)
        return 1
    status = 0

    def fail(pattern: str, error: FileTransferError) -> None:
        nonlocal status
        status = 1
        command.report.failed(pattern, error)

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
        client = await command.client(place)
        await client.read(place.path, output, tracked.progress)
    except OutputClosed:
        command.report.end_bar()
        raise
    except FileTransferError as error:
        command.report.failed(_NAME, error, tracked)
        return 1
    command.report.end_bar()
    return 0


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
        command.report.failed(os.fsdecode(place.path), error, tracked)
        return 1
    command.report.delivered(delivery)
    return 0
