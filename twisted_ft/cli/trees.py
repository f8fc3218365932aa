"""get -r and put -r: whole folders, with one account of all that is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from twisted_ft.cli.patterns import found
from twisted_ft.cli.run import Command
from twisted_ft.cli.transfers import are_one, get_all, put_all
from twisted_ft.cli.tree_report import TreeReport
from twisted_ft.client import Client
from twisted_ft.errors import FileTransferError, NotFound
from twisted_ft.sides import Sides
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.locations import missing_folder, origin
from twisted_ft.stores.refusals import folder_in_the_way
from twisted_ft.trees.deliveries import Deliveries
from twisted_ft.trees.options import TreeOptions
from twisted_ft.trees.persisting import PersistentDeliveries
from twisted_ft.urls import Location


def options_of(wanted: dict[str, Any]) -> TreeOptions:
    """What is asked of a tree's transfer.

    :raises click.UsageError: a pattern isn't one
    """
    try:
        return TreeOptions(**wanted)
    except ValueError as error:
        raise click.UsageError(f"a pattern can't be read: {error}") from None


async def get_trees(
    command: Command, places: Sequence[Location], dest: str, options: TreeOptions
) -> int:
    """Download the folder of each place; the exit status.

    What is in ``ft://host/name/`` goes into ``dest``, and ``ft://host/name`` becomes
    ``dest/name``, whether ``dest`` is there or not: so the same command goes on with the same
    files when it is run again.  A file that matches a pattern becomes a file in ``dest``.
    """
    status = 0
    how = how_of_files(options)

    def fail(place: Location, error: FileTransferError) -> None:
        nonlocal status
        status = 1
        command.report.failed(place.pattern or "", error, place)

    every = await found(command, places, fail)
    if are_one(
        command, places[0], [(str(each.place), _target(each.place, dest)) for each in every]
    ):
        return 1
    above = os.path.dirname(dest.rstrip("/" + os.sep))
    if not options.parents and not await command.runtime.in_thread(os.path.isdir, above or "."):
        error = Sides(here={os.fsencode(dest): dest}).located(missing_folder(dest, above))
        command.report.failed(dest, error, places[0])
        return 1
    for each in every:
        place, target = each.place, _target(each.place, dest)
        if each.is_file and options.dry_run:
            command.report.would_send(target)
            continue
        if each.is_file:
            status |= await get_all(command, [place], os.path.join(dest, ""), **how)
            continue

        def begin(client: Client, path: bytes = place.path, target: str = target) -> Deliveries:
            return client.get_tree(path, target, options)

        status |= await _tree(command, place, target, begin, options.dry_run)
    return status


async def put_trees(
    command: Command, paths: Sequence[str], url: Location, options: TreeOptions
) -> int:
    """Upload each path, a folder or a file; the exit status.

    What is in ``name/`` goes into the URL's folder.  ``name`` becomes ``name`` in it where the URL
    ends in ``/``; else the URL is its new name.
    """
    status = 0
    ways = [(path, _remote(path, url)) for path in paths]
    if are_one(command, url, [(path, os.fsdecode(remote) or "/") for path, remote in ways]):
        return 1
    how = how_of_files(options)
    for path, remote in ways:
        if not await command.runtime.in_thread(os.path.isdir, path):
            if options.dry_run:
                status |= await _tell_of_file(command, path, url, remote, options)
            else:
                status |= await put_all(command, [path], url, **how)
            continue

        def begin(client: Client, path: str = path, remote: bytes = remote) -> Deliveries:
            above = remote.rpartition(b"/")[0]
            makes_above = above == url.path.rstrip(b"/")
            return client.put_tree(path, remote, options, makes_above=makes_above)

        status |= await _tree(command, url, os.fsdecode(remote) or "/", begin, options.dry_run)
    return status


def how_of_files(options: TreeOptions) -> dict[str, bool]:
    """How a file goes that is named among folders: see Client.get."""
    return {"checksum": options.checksum, "force": options.force, "parents": options.parents}


def _target(place: Location, dest: str) -> str:
    return dest if place.names_folder else os.path.join(dest, os.fsdecode(place.name))


def _remote(path: str, url: Location) -> bytes:
    remote = url.path.rstrip(b"/")
    if not url.names_folder or path.endswith(("/", os.sep)):
        return remote
    name = os.fsencode(os.path.basename(os.path.abspath(path)))
    return remote + b"/" + name if remote else name


async def _tell_of_file(
    command: Command, path: str, url: Location, remote: bytes, options: TreeOptions
) -> int:
    """Say whether a file would be sent as ``remote``; the exit status."""
    target = os.fsdecode(remote)
    try:
        size, mtime = await command.runtime.in_thread(_state_of, path)
        client = await command.client(url)
        try:
            standing = await client.stat(remote)
        except NotFound:
            standing = None
        if standing is not None and standing.kind == "directory":
            raise Sides(remote).located(folder_in_the_way(remote))
    except FileTransferError as error:
        located = Sides(here={os.fsencode(path): path}).located(error)
        command.report.failed(target, located, url)
        return 1
    same = standing is not None and (standing.size, standing.mtime) == (size, mtime)
    if options.force or not same:
        command.report.would_send(target)
    return 0


def _state_of(path: str) -> tuple[int | None, int]:
    """The size of a file, where it has one, and its time.  Blocks."""
    folder, name = origin(path)
    source = LocalStore(folder).source(os.fsencode(name))
    source.close()
    return source.attributes.size, source.attributes.mtime


async def _tree(
    command: Command,
    place: Location,
    target: str,
    begin: Callable[[Client], Deliveries],
    dry_run: bool,
) -> int:
    """Move one tree, which goes to ``target``, and report what becomes of it; the exit status."""
    deliveries = PersistentDeliveries(command.retrying(place), begin)
    try:
        await deliveries.connected()
    except FileTransferError as error:
        command.report.failed(target, error, place)
        return 1
    report = TreeReport(command.report, target, place, deliveries.tally, dry_run)
    failure = None
    try:
        while some := await deliveries.some():
            report.take(some)
    except FileTransferError as error:
        failure = error
    finally:
        await deliveries.close()
    return report.summary(failure)
