"""``python -m bench.profiles [NAME...]``: where the time goes, by thread, as pictures.

perf(1) takes samples of all processes while one client runs; what each sample was at is told from
the name of the function.  The pictures go into ``docs/pictures/``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import page, peers
from bench.clients import Client, ft
from bench.peers import program
from bench.picture import stacks
from bench.place import Place
from bench.processes import Failed, Server
from bench.race import say
from bench.settings import MIB, Settings

_HERTZ = 1999
_KINDS = (
    ("BLAKE3", re.compile(r"blake3")),
    ("TLS", re.compile(r"aes_|gcm|ossl|SSL|EVP|_rust\.abi3")),
    ("copying bytes", re.compile(r"copy_(to|from)_iter|copy_folio|mem(move|cpy|set)|copy_page")),
    ("pages of files", re.compile(r"shmem|folio|filemap|alloc_pages|lru_|clear_page|page_fault")),
    ("Python", re.compile(r"libpython|python3|\.cpython-|_cffi_backend|msgspec")),
    ("TCP and system calls", re.compile(r"kernel")),
)
_OTHER = "other"
KINDS = (*(name for name, _ in _KINDS), _OTHER)
_SAMPLE = re.compile(r"\s*(.*?)\s+(\d+)/(\d+)\s+[0-9a-f]+\s+(.*)")


@dataclass(frozen=True)
class Sample:
    """What one processor was at, in a moment.

    :param name: of the process, or the thread
    :param where: a function, and the file that it is in
    """

    name: str
    process: int
    thread: int
    where: str


@dataclass(frozen=True)
class Profile:
    """Something to look into.

    :param data: makes what is to be moved
    """

    title: str
    peer: peers.Peer
    words: tuple[str, ...]
    data: Callable[[Place], Path]


def _file(place: Place) -> Path:
    return place.file(place.settings.size(2048 * MIB, 128 * MIB))


def _tree(place: Place) -> Path:
    return place.tree(place.settings.tree_files)


_UPLOAD = "{served}/file"
PROFILES = {
    "get": Profile("ft get, 2 GiB", peers.FT, ("get", "@file", "out/"), _file),
    "put": Profile("ft put, 2 GiB", peers.FT, ("put", _UPLOAD, "@in/"), _file),
    "tls": Profile("ft get over TLS, 2 GiB", peers.FTS, ("get", "@file", "out/"), _file),
    "tree": Profile("ft get -r, 100,000 files", peers.FT, ("get", "-r", "@tree", "out/"), _tree),
}


def profile(name: str, settings: Settings) -> str:
    """Run one, and draw it.

    :raises Failed: it couldn't be run, or watched
    """
    wanted = PROFILES[name]
    with Place(settings, settings.folder) as place:
        data = wanted.data(place)
        server = place.server(wanted.peer)
        client = ft(settings, server, *(_placed(word, place) for word in wanted.words))
        place.empty()
        subprocess.run(client.command, cwd=place.work, check=True)
        place.empty()
        place.touch_memory(sum(each.stat().st_size for each in _files(data)))
        samples = list(_recorded(place, client))
        return stacks(wanted.title, "s of CPU", KINDS, _by_thread(samples, server))


def _placed(word: str, place: Place) -> str:
    return word.replace("{served}", str(place.served))


def _files(data: Path) -> Iterable[Path]:
    return data.rglob("*") if data.is_dir() else [data]


def _recorded(place: Place, client: Client) -> Iterator[Sample]:
    """What all processors were at while the client ran."""
    perf, output = program("perf", "linux-perf"), place.folder / "perf.data"
    record = [perf, "record", "-a", "-F", str(_HERTZ), "-e", "cpu-clock", "-o", str(output)]
    done = subprocess.run(
        [*record, "--", *client.command],
        cwd=place.work,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Failed(f"perf: {done.stderr.strip()[-300:]}")
    told = subprocess.run(
        [perf, "script", "-i", str(output), "-F", "comm,pid,tid,ip,sym,dso"],
        check=True,
        capture_output=True,
        text=True,
    )
    for line in told.stdout.splitlines():
        if found := _SAMPLE.match(line):
            yield Sample(found[1], int(found[2]), int(found[3]), found[4])


def _by_thread(samples: Sequence[Sample], server: Server) -> list[tuple[str, list[float]]]:
    """CPU seconds of each kind, for each group of threads."""
    clients = {each.process for each in samples if each.name == "ft"}
    groups = (
        ("server, reactor", {server.pid}, True),
        ("server, other threads", {server.pid}, False),
        ("client, reactor", clients, True),
        ("client, other threads", clients, False),
    )
    found = []
    for name, processes, is_main in groups:
        kinds = Counter(
            _kind(each.where)
            for each in samples
            if each.process in processes and (each.process == each.thread) is is_main
        )
        found.append((name, [kinds[kind] / _HERTZ for kind in KINDS]))
    return found


def _kind(where: str) -> str:
    return next((name for name, pattern in _KINDS if pattern.search(where)), _OTHER)


def main(names: Sequence[str], settings: Settings) -> int:
    """The exit status: 1 where something couldn't be looked into."""
    status = 0
    for name in names or PROFILES:
        say(f"== {name}")
        try:
            page.write_picture(f"profile-{name}", PROFILES[name].title, profile(name, settings))
        except (Failed, peers.Missing, OSError, subprocess.SubprocessError) as error:
            say(f"{name}: {error}")
            status = 1
    return status


def _arguments() -> Sequence[str]:
    parser = argparse.ArgumentParser(prog="python -m bench.profiles", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROFILES))
    names: Sequence[str] = parser.parse_args().names
    if unknown := set(names) - set(PROFILES):
        parser.error(f"no such profile: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(
        main(
            _arguments(),
            Settings(
                turns=1,
                small=False,
                files=None,
                folder=Path("/dev/shm"),
                disk=Path("/var/tmp"),
                data=Path.home(),
                ft_python=sys.executable,
                peers_python=sys.executable,
            ),
        )
    )
