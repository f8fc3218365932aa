"""One large file: there, back, over TLS, with a held reader, again, and carried on."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import peers
from bench.clients import curl, ft, rsync, scp, sftp
from bench.place import Place, same_file
from bench.processes import Failed, Server, Taken, run, start
from bench.race import Race, Row
from bench.report import Report
from bench.settings import GIB, MIB, Settings
from bench.targets import more_seconds, server_cpu, throughput

_HELD = "700000000"
"""Bytes a second."""


def _size(settings: Settings) -> int:
    return settings.size(2 * GIB, 128 * MIB)


def _about(settings: Settings, what: str) -> str:
    return f"A file of {_size(settings) // MIB} MiB in {settings.folder}, {what}."


def get(settings: Settings) -> Report:
    """Download over plain TCP."""
    size = _size(settings)
    with Place(settings, settings.folder) as place:
        place.room(2 * size)
        file, race = place.file(size), Race(place, memory=size)
        check = partial(same_file, file, place.downloads / "file")
        add = partial(race.add, check=check)
        ours = add("`ft get`", lambda: ft(settings, place.server(peers.FT), "get", "@file", "out/"))
        rival = partial(add, against=ours)
        rival(
            "curl from nginx",
            lambda: curl(place.server(peers.NGINX), "http", "file"),
            target=throughput(1.0),
        )
        rival(
            "rsync from its daemon",
            lambda: rsync(place.server(peers.RSYNCD), "--whole-file", "@file", "out/"),
            target=throughput(2.0),
        )
        rival(
            "curl from `twistd web`",
            lambda: curl(place.server(peers.TWISTD_WEB), "http", "file"),
        )
        rival(
            "curl from `twistd ftp`",
            lambda: curl(place.server(peers.TWISTD_FTP), "ftp", "file"),
        )
        rival(
            "curl from pyftpdlib",
            lambda: curl(place.server(peers.PYFTPDLIB), "ftp", "file"),
        )
        rival(
            "curl from copyparty",
            lambda: curl(place.server(peers.COPYPARTY), "http", "file"),
        )
        race.run(settings.turns)
        return Report(_about(settings, "downloaded"), race, size / 1e9)


def put(settings: Settings) -> Report:
    """Upload over plain TCP."""
    size = _size(settings)
    with Place(settings, settings.folder) as place:
        place.room(2 * size)
        file, race = place.file(size), Race(place, memory=size)
        source, check = str(file), partial(same_file, file, place.uploads / "file")
        add = partial(race.add, check=check)
        ours = add("`ft put`", lambda: ft(settings, place.server(peers.FT), "put", source, "@in/"))
        rival = partial(add, against=ours)
        rival(
            "curl to pyftpdlib",
            lambda: curl(place.server(peers.PYFTPDLIB), "ftp", "in/", "-T", source),
            target=throughput(1.0),
        )
        rival(
            "rsync to its daemon",
            lambda: rsync(place.server(peers.RSYNCD), "--whole-file", source, "@in/"),
            target=throughput(2.0),
        )
        rival(
            "curl to copyparty",
            lambda: curl(place.server(peers.COPYPARTY), "http", "in/", "-T", source),
        )
        race.run(settings.turns)
        return Report(_about(settings, "uploaded"), race, size / 1e9)


def tls(settings: Settings) -> Report:
    """Both directions, encrypted."""
    size = _size(settings)
    with Place(settings, settings.folder) as place:
        place.room(2 * size)
        file, race = place.file(size), Race(place, memory=size)
        down = partial(race.add, check=partial(same_file, file, place.downloads / "file"))
        up = partial(race.add, check=partial(same_file, file, place.uploads / "file"))
        got = down(
            "`ft get`, TLS",
            lambda: ft(settings, place.server(peers.FTS), "get", "@file", "out/"),
        )
        down(
            "curl from nginx, https",
            lambda: curl(place.server(peers.NGINX_TLS), "https", "file"),
            against=got,
            target=throughput(0.8),
        )
        down(
            "sftp get",
            lambda: sftp(place.server(peers.SSHD), f"get {file} out/file"),
            against=got,
            target=throughput(2.0),
        )
        down(
            "scp, download",
            lambda: scp(place.server(peers.SSHD), f"@{file}", "out/"),
            against=got,
        )
        sent = up(
            "`ft put`, TLS",
            lambda: ft(settings, place.server(peers.FTS), "put", str(file), "@in/"),
        )
        up(
            "sftp put",
            lambda: sftp(place.server(peers.SSHD), f"put {file} {place.uploads}/file"),
            against=sent,
            target=throughput(2.0),
        )
        up(
            "scp, upload",
            lambda: scp(place.server(peers.SSHD), str(file), f"@{place.uploads}/"),
            against=sent,
        )
        race.run(settings.turns)
        return Report(_about(settings, "over TLS or ssh"), race, size / 1e9)


def held(settings: Settings) -> Report:
    """A server's CPU, where the reader is the limit."""
    size = _size(settings)
    with Place(settings, settings.folder) as place:
        place.room(2 * size)
        file, race = place.file(size), Race(place, memory=size)
        add = partial(race.add, check=partial(same_file, file, place.downloads / "file"))
        limit = ("--limit-rate", _HELD)
        ours = add(
            "`ft get`, held",
            lambda: ft(settings, place.server(peers.FT), "get", *limit, "@file", "out/"),
        )
        add(
            "curl from nginx, held",
            lambda: curl(place.server(peers.NGINX), "http", "file", *limit),
            against=ours,
            target=server_cpu(1.5),
        )
        race.run(settings.turns)
        what = (
            "downloaded by clients that `--limit-rate` holds to 0.7 GB/s. Only the servers' CPU is "
            "compared; that of `ft` knows the file's digest from the warm-up"
        )
        return Report(_about(settings, what), race, size / 1e9, "server_cpu", "s/GB")


def again(settings: Settings) -> Report:
    """A server's CPU for the first download of a file, and for the second."""
    size = _size(settings)
    with Place(settings, settings.folder) as place, ExitStack() as servers:
        place.room(2 * size)
        file, race = place.file(size), Race(place, memory=size, rotating=False)
        current: list[Server] = []

        def new_server() -> None:
            servers.close()
            current[:] = [servers.enter_context(place.running(peers.FT))]
            place.empty()

        def act() -> Taken:
            client = ft(settings, current[0], "get", "@file", "out/")
            return run([client.command], place.work, place.log, client.server)

        check = partial(same_file, file, place.downloads / "file")
        second = Row("`ft get`, the second of a server", act, check)
        first = Row("`ft get`, the first of a server", act, check, new_server)
        first.against, first.target = second, server_cpu(0.5)
        race.rows += [first, second]
        race.run(settings.turns)
        what = "downloaded twice from a server that has just been started, whose CPU is compared"
        return Report(_about(settings, what), race, size / 1e9, "server_cpu", "s/GB")


def resume(settings: Settings) -> Report:
    """What is kept is read and hashed once more: the time that it takes."""
    size = settings.size(4 * GIB, 256 * MIB)
    half = size // 2
    with Place(settings, settings.folder) as place:
        place.room(2 * size + half)
        file, rest = place.file(size), place.file(half, "rest")
        server, race = place.server(peers.FT), Race(place, memory=size)
        part, record, content = _killed_at_half(place, server, half)

        def halve() -> None:
            place.empty()
            record.write_bytes(content)
            _copy_beginning(file, part, half)

        halve()
        _resumes(settings, place, server, half)
        ours = race.add(
            "`ft get`, carried on at the half",
            lambda: ft(settings, server, "get", "@file", "out/"),
            prepare=halve,
            check=partial(same_file, file, place.downloads / "file"),
        )
        race.add(
            "`ft get` of as much as the other half",
            lambda: ft(settings, server, "get", "@rest", "out/"),
            check=partial(same_file, rest, place.downloads / "rest"),
            against=ours,
            target=more_seconds(0.3, half / GIB, "per GiB kept"),
        )
        race.run(settings.turns)
        about = (
            f"A file of {size // MIB} MiB in {settings.folder}, of which a killed `ft get` has "
            f"kept half, carried on; and a file of {half // MIB} MiB."
        )
        return Report(about, race, half / 1e9)


def _killed_at_half(place: Place, server: Server, half: int) -> tuple[Path, Path, bytes]:
    """Kill an ``ft get`` in its middle; where it kept what, and its record's content."""
    place.empty()
    limit = ["--limit-rate", str(half)]  # two seconds in all: time enough to be killed
    client = ft(place.settings, server, "get", *limit, "@file", "out/")
    process = start(client.command, place.work, place.log)
    try:
        while process.poll() is None:
            for part in place.downloads.glob(".ft-*.part"):
                if part.stat().st_size >= half:
                    process.kill()
                    process.wait()
                    record = part.with_suffix(".from")
                    return part, record, record.read_bytes()
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    raise Failed("ft get was over before it could be killed")


def _copy_beginning(source: Path, target: Path, size: int) -> None:
    with open(source, "rb") as reading, open(target, "wb") as writing:
        for _ in range(size // MIB):
            writing.write(reading.read(MIB))


def _resumes(settings: Settings, place: Place, server: Server, half: int) -> None:
    """Make sure that what was made up is carried on from, and doesn't begin anew."""
    command = ft(settings, server, "get", "--json", "@file", "out/").command
    done = subprocess.run(command, cwd=place.work, check=True, stdout=subprocess.PIPE)
    if json.loads(done.stdout)["resumed_from"] != half:
        raise Failed("ft get was not carried on from the half that was kept")
