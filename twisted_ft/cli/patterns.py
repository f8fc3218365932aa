"""Remote names that match a pattern, as in a shell: ``docs/*.md``, ``**/*.pdf``.

``*``, ``?`` and ``[...]`` are those of ``fnmatch``, within one name; a ``**`` stands for any number
of folders.  What begins with a dot is matched only by what begins with one, too.  What matches
nothing stands for itself, where there is something of that name.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from twisted_ft.cli.held import Held
from twisted_ft.cli.run import Command
from twisted_ft.client import Client
from twisted_ft.errors import FileTransferError, Forbidden, NotADirectory, NotFound
from twisted_ft.urls import Location, is_pattern
from twisted_ft.wire.messages import Entry

_ANY_FOLDERS = "**"


class Found(NamedTuple):
    """A place, and what is there, where a pattern has found it."""

    place: Location
    entry: Entry | None

    @property
    def is_file(self) -> bool:
        """Whether it is known not to be a folder."""
        return self.entry is not None and self.entry.kind != "directory"


async def found(
    command: Command,
    places: Sequence[Location],
    fail: Callable[[Location, FileTransferError], None],
) -> list[Found]:
    """The places, with what matches each pattern among them in place of it, sorted by path.

    :param fail: is told of a place whose pattern nothing matches, or can't be looked for
    """
    every: list[Found] = []
    for place in places:
        if place.pattern is None:
            every.append(Found(place, None))
            continue
        try:
            client = await command.client(place)
            entries = await matching(client, place.pattern)
        except FileTransferError as error:
            fail(place, error)
            continue
        every += (Found(replace(place, path=each.path, pattern=None), each) for each in entries)
    return every


async def matching(client: Client, pattern: str) -> list[Entry]:
    """What is there that matches, sorted by path.

    :param pattern: below the root; with a ``/`` at its end, it matches folders only
    :raises FileTransferError: NotFound, where nothing does; or as ``client.walk``
    """
    parts = [part for part in pattern.split("/") if part]
    search = _Search(client, only_folders=pattern.endswith("/"))
    await search.below(b"", parts)
    if not search.matches:
        text = "nothing on the server matches this"
        raise NotFound(text).at("there", pattern, text)
    return [search.matches[path] for path in sorted(search.matches)]


class _Search:
    """What has been found so far."""

    def __init__(self, client: Client, only_folders: bool) -> None:
        self._client, self._only_folders = client, only_folders
        self._held = Held("too many names match; give a pattern that matches fewer")
        self.matches: dict[bytes, Entry] = {}

    async def below(self, folder: bytes, parts: Sequence[str]) -> None:
        """Look for what matches ``parts`` below a folder."""
        part, *rest = parts
        if part == _ANY_FOLDERS:
            await self._in_all_folders(folder, [each for each in rest if each != _ANY_FOLDERS])
        elif rest and not is_pattern(part):
            await self.below(_joined(folder, os.fsencode(part)), rest)
        else:
            await self._go_on(await self._entries(folder, part), rest)

    async def _in_all_folders(self, folder: bytes, rest: Sequence[str]) -> None:
        """``**``: what matches ``rest`` in the folder, and in all below that have no dot."""
        start = len(folder) + 1 if folder else 0
        folders = [folder]
        async for entry in self._client.walk(folder, deep=True):
            if b"/." in b"/" + entry.path[start:]:
                continue
            if not rest:
                self._take(entry)
            elif entry.kind == "directory":
                folders.append(entry.path)
                self._held.add(entry)
        if rest:
            await self._each(folders, rest)

    async def _entries(self, folder: bytes, part: str) -> list[Entry]:
        """What is in a folder and matches ``part``; else what is called so."""
        matches = re.compile(fnmatch.translate(part.replace("[^", "[!"))).match
        entries, exact = [], []
        async for entry in self._client.walk(folder, deep=False):
            name = os.fsdecode(entry.path.rpartition(b"/")[2])
            if entry.kind == "unreadable" or entry.path == folder:
                continue
            if matches(name) and not (name.startswith(".") and not part.startswith(".")):
                entries.append(entry)
                self._held.add(entry)
            elif name == part:
                exact = [entry]
        return entries or exact

    async def _go_on(self, entries: Iterable[Entry], rest: Sequence[str]) -> None:
        if rest:
            folders = [entry.path for entry in entries if entry.kind == "directory"]
            await self._each(folders, rest)
            return
        for entry in entries:
            self._take(entry)

    async def _each(self, folders: Iterable[bytes], rest: Sequence[str]) -> None:
        """Look in each folder, as far as that can be done: nobody has named it."""
        for folder in folders:
            try:
                await self.below(folder, rest)
            except (NotFound, NotADirectory, Forbidden):
                continue

    def _take(self, entry: Entry) -> None:
        if entry.kind == "unreadable" or (self._only_folders and entry.kind != "directory"):
            return
        self.matches[entry.path] = entry
        self._held.add(entry)


def _joined(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name
