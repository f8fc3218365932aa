"""Many clients: at work at once, and idle."""

from __future__ import annotations

import os
import resource
import select
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import peers
from bench.clients import Client, curl, ft, ft_command
from bench.place import Place, same_file
from bench.processes import Failed, Server, Taken, resident, run
from bench.race import NUMBER, Race, Row, say
from bench.report import Fact, Report
from bench.settings import KIB, MIB, Settings
from bench.targets import throughput

_CONNECTING = 300.0
"""Seconds in which all idle connections are to be there."""


def crowd(settings: Settings) -> Report:
    """Clients that all download the same file at once."""
    count, size = settings.size(32, 8), settings.size(64 * MIB, 8 * MIB)
    with Place(settings, settings.folder) as place:
        place.room((count + 1) * size)
        file, race = place.file(size), Race(place, memory=count * size)
        check = partial(_all_same, file, place.downloads, count)

        client = ft(settings, place.server(peers.FT), "get", "@file", f"out/{NUMBER}")
        add = partial(race.add, count=count, check=check)
        row = add(f"`ft get`, {count} at once", lambda: client)
        other = add(
            f"curl from nginx, {count} at once",
            lambda: curl(place.server(peers.NGINX), "http", "file", "-o", f"out/{NUMBER}"),
            against=row,
            target=throughput(0.9),
        )
        act = partial(_at_once, place, client, count)
        started = Row(f"`ft get`, {count} started before", act, check)
        race.rows.append(started)
        race.run(settings.turns)
        about = (
            f"{count} clients, each downloading the same {size // MIB} MiB in {settings.folder}; "
            "seconds until the last is done. Where they are started before, they have imported "
            "what they are made of, and wait, when the time begins."
        )
        facts = [_slowest(row, 2.0), _slowest(started, None), _slowest(other, None)]
        return Report(about, race, count * size / 1e9, facts=[fact for fact in facts if fact])


def _all_same(file: Path, downloads: Path, count: int) -> None:
    for number in range(count):
        same_file(file, downloads / str(number))


def _slowest(row: Row, most: float | None) -> Fact | None:
    """The slowest client's time to the median client's; the median of all turns."""
    figures = [max(turn.each) / statistics.median(turn.each) for turn in row.turns]
    if not figures:
        return None
    what = f"{row.name}: the slowest to the median"
    return Fact.at_most(what, statistics.median(figures), most, "")


def _at_once(place: Place, client: Client, count: int) -> Taken:
    """Run ``count`` of a client, an ``ft``, which are all let go when all are ready."""
    gate, ready = place.folder / "gate", place.folder / "ready"
    gate.unlink(missing_ok=True)
    os.mkfifo(gate)
    ready.write_bytes(b"")
    python = [place.settings.ft_python, str(peers.PROGRAMS / "waiting.py"), str(gate), str(ready)]
    words = client.command[len(ft_command(place.settings)) :]
    commands = [
        [*python, *(word.replace(NUMBER, str(at)) for word in words)] for at in range(count)
    ]
    opened: list[int] = []

    def begin() -> None:
        deadline = time.monotonic() + 120
        while ready.stat().st_size < count:
            if time.monotonic() > deadline:
                raise Failed("not all clients were ready within two minutes")
            time.sleep(0.01)
        opened.append(os.open(gate, os.O_RDWR))

    try:
        return run(commands, place.work, place.log, client.server, begin=begin)
    finally:
        for fd in opened:
            os.close(fd)


def idle(settings: Settings) -> Report:
    """A server with many connections that do nothing, beside one that has none."""
    count, size = settings.size(10_000, 500), settings.size(512 * MIB, 64 * MIB)
    most = ("--max-connections", str(2 * count))
    with (
        _many_files(count + 200),
        Place(settings, settings.folder) as place,
        place.running(peers.FT, *most) as alone,
        place.running(peers.FT, *most) as crowded,
    ):
        place.room(2 * size)
        file, race = place.file(size), Race(place, memory=size)

        def get(server: Server) -> Client:
            return ft(settings, server, "get", "@file", "out/")

        place.file(KIB, "first")
        place.empty()
        first = ft(settings, crowded, "get", "@first", "out/")
        run([first.command], place.work, place.log, crowded)
        before = resident(crowded.pid)
        with _connections(settings, crowded, count):
            each = (resident(crowded.pid) - before) / count / KIB
            say(f"  {each:.2f} KiB for each of {count:,} connections")
            add = partial(race.add, check=partial(same_file, file, place.downloads / "file"))
            beside = add(f"`ft get` beside {count:,} idle connections", lambda: get(crowded))
            add(
                "`ft get` alone",
                lambda: get(alone),
                against=beside,
            )
            race.run(settings.turns)
        about = (
            f"A file of {size // MIB} MiB in {settings.folder}, downloaded from a server that has "
            f"{count:,} idle connections, which have greeted, and from one that has none."
        )
        what = f"resident memory of the server for each of {count:,} idle connections"
        return Report(about, race, size / 1e9, facts=[Fact.at_most(what, each, 8, "KiB")])


@contextmanager
def _connections(settings: Settings, server: Server, count: int) -> Iterator[None]:
    """Idle connections to a server, all of which have greeted."""
    command = [settings.ft_python, str(peers.PROGRAMS / "idle.py"), str(server.port), str(count)]
    say(f"  opening {count:,} connections")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/")
    assert process.stdout is not None
    try:
        spoke, _, _ = select.select([process.stdout], [], [], _CONNECTING)
        if not spoke or not process.stdout.readline():
            raise Failed(f"{count:,} connections could not be opened")
        yield
        if process.poll() is not None:
            raise Failed("idle connections were lost")
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _many_files(needed: int) -> Iterator[None]:
    """Let this process, and those that it starts, have so many files open."""
    kind = resource.RLIMIT_NOFILE
    soft, hard = resource.getrlimit(kind)
    highest = hard if hard == resource.RLIM_INFINITY else max(hard, needed)
    try:
        resource.setrlimit(kind, (max(soft, needed), highest))
    except (ValueError, OSError):  # only root can raise the hard limit
        raise Failed(f"{needed:,} open files are needed: raise the limit, {hard:,}") from None
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, highest))
