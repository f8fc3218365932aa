"""Transfers that are killed again and again, and transfers of what is far larger than memory.

``test_killed.py`` does some of this in small.  By hand, with figures, in full::

    python -m tests.processes.endurance killed FOLDER     # 1 GiB, 20 kills, each way, each victim
    python -m tests.processes.endurance trees FOLDER      # 20,000 files, 50 kills, in the same ways
    python -m tests.processes.endurance memory FOLDER     # 10 GiB, each way

FOLDER is made, and removed at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from tests.kit.programs import Server, kept_in, outcome, start_ft, wait_until

SLACK = 4 << 20
"""Bytes that a run may send beyond what was missing."""
DIRECTIONS = ("get", "put")
VICTIMS = ("client", "server")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = blake3()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Watch(threading.Thread):
    """Looks at a file all the time: whatever is under that name must be one of ``allowed``.

    :param allowed: digests
    """

    def __init__(self, path: Path, allowed: set[str]) -> None:
        super().__init__(daemon=True)
        self._path, self._allowed = path, allowed
        self._stop_asked = threading.Event()
        self._known: set[tuple[int, ...]] = set()
        self.looks = 0
        self.wrong: list[str] = []
        """what was there and shouldn't have been"""

    def run(self) -> None:
        """Look until it is enough."""
        while not self._stop_asked.wait(0.001):
            self.look()

    def look(self) -> None:
        """Once."""
        self.looks += 1
        try:
            status = self._path.stat()
            state = (status.st_ino, status.st_size, status.st_mtime_ns)
            if state not in self._known and _digest(self._path) not in self._allowed:
                self.wrong.append(f"{status.st_size} bytes that are neither the old nor the new")
            self._known.add(state)
        except FileNotFoundError:
            pass

    def enough(self) -> None:
        """Stop looking."""
        self._stop_asked.set()
        self.join()


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    missing: int
    """bytes that the receiver lacked when it began"""
    line: dict[str, Any] | None
    """what it said at its end, if it came to that"""


class Trial:
    """One command that is run until it comes through, and what happens to it.

    :param folder: an empty folder
    :param direction: ``get`` or ``put``
    :param victim: who is killed, ``client`` or ``server``
    :param rate: bytes a second, as ``--limit-rate`` takes it, or ``none``
    """

    def __init__(self, folder: Path, direction: str, victim: str, size: int, rate: str) -> None:
        self._direction, self._victim, self._rate = direction, victim, rate
        self._served, self._local = folder / "served", folder / "local"
        self._served.mkdir()
        self._local.mkdir()
        upward = direction == "put"
        self._source = (self._local if upward else self._served) / "file"
        self._into = self._served if upward else self._local
        self._size = size
        _write_noise(self._source, size)
        (self._into / "file").write_bytes(b"the old file")
        allowed = {_digest(self._source), blake3(b"the old file").hexdigest()}
        self._watch = Watch(self._into / "file", allowed)
        self._server = Server(self._served, "--writable")

    def run(self, points: list[float]) -> list[Run]:
        """Run, and kill when so much (0 to 1) of the file is there; at last without a kill."""
        self._watch.start()
        try:
            runs = [self._once(point) for point in [*points, None]]
        finally:
            self._server.kill()
            self._watch.enough()
        self._watch.look()
        return runs

    def check(self, runs: list[Run]) -> None:
        """What must hold."""
        assert not self._watch.wrong, self._watch.wrong
        assert _digest(self._into / "file") == _digest(self._source)
        assert [each.name for each in self._into.iterdir()] == ["file"]
        for run in runs:
            if run.line is not None:
                assert run.line["sent"] <= run.missing + SLACK, runs
        last = runs[-1]
        assert last.line is not None
        assert last.line["status"] in ("done", "skipped"), runs
        if last.line["status"] == "done":
            assert last.line["resumed_from"] == self._size - last.missing, runs

    @property
    def looks(self) -> int:
        """How many times the file was looked at."""
        return self._watch.looks

    def _once(self, point: float | None) -> Run:
        missing = self._size - kept_in(self._into)
        ends: list[str | Path] = [self._source, self._server.url("file")]
        if self._direction == "get":
            ends = [self._server.url("file"), self._local]
        process = start_ft(self._direction, "--json", "--retry", "0", *_limit(self._rate), *ends)
        if point is None:
            return Run(missing, outcome(process).line)
        goal = point * self._size
        wait_until(lambda: kept_in(self._into) >= goal or process.poll() is not None, 600)
        if self._victim == "client":
            process.kill()
            ended = outcome(process)
            return Run(missing, ended.lines[0] if ended.lines else None)
        self._server.kill()
        ended = outcome(process)
        self._server = Server(self._served, "--writable")
        return Run(missing, ended.lines[0] if ended.lines else None)


def _write_noise(path: Path, size: int) -> None:
    noise = random.Random(size)
    with path.open("wb") as file:
        while size:
            size -= file.write(noise.randbytes(min(size, 1 << 20)))


def _limit(rate: str) -> list[str]:
    """What says so to ``ft``."""
    return [] if rate == "none" else ["--limit-rate", rate]


def random_points(kills: int, seed: int) -> list[float]:
    """When to kill: at random, rising, and once when all is there but not yet published."""
    chance = random.Random(seed)
    return [*sorted(chance.random() for _ in range(kills - 1)), 1.0]


class Meter(threading.Thread):
    """Stands before a server, and counts what crosses in either direction."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.server = 0
        """the port of the server"""
        self.counts = {"get": 0, "put": 0}
        """bytes that went to the client, and to the server"""

    def run(self) -> None:
        """Take connections, until ``close``."""
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.server))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._join, args=(near, far), daemon=True).start()

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        """Pass on what comes, both ways, until either end is gone."""
        with near, far:
            back = threading.Thread(target=self._pass_on, args=(far, near, "get"), daemon=True)
            back.start()
            self._pass_on(near, far, "put")
            back.join()

    def _pass_on(self, here: socket.socket, there: socket.socket, way: str) -> None:
        with suppress(OSError):
            while piece := here.recv(1 << 16):
                there.sendall(piece)
                self.counts[way] += len(piece)
        for each in (here, there):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.join()


class TreeTrial:
    """A tree of small files that is moved until it is there, and what happens to it.

    :param folder: an empty folder
    :param direction: ``get`` or ``put``
    :param victim: who is killed, ``client`` or ``server``
    :param files: how many, each of up to 60 kB; and some larger ones beside them
    :param rate: bytes a second, as ``--limit-rate`` takes it, or ``none``
    """

    def __init__(self, folder: Path, direction: str, victim: str, files: int, rate: str) -> None:
        self._direction, self._victim, self._rate = direction, victim, rate
        self._served, self._local = folder / "served", folder / "local"
        ends = (self._served, self._local) if direction == "get" else (self._local, self._served)
        self._source, self._into = (each / "tree" for each in ends)
        for each in ends:
            each.mkdir()
        self._files, self._size = files, _grow(self._source, files)
        self._server = Server(self._served, "--writable")
        self._meter = Meter()
        self._meter.server = self._server.port
        self._meter.start()
        self.kills = 0

    def run(self, points: list[float]) -> None:
        """Run, and kill when so much (0 to 1) of the files is there; at last without a kill."""
        try:
            for point in points:
                self._once(point)
            outcome(self._start()).ok()
        finally:
            self._meter.close()
            self._server.kill()

    @property
    def beyond(self) -> int:
        """Bytes that crossed beyond the tree's, what is said of each file in each run included."""
        return self._meter.counts[self._direction] - self._size

    def check(self) -> None:
        """What must hold."""
        assert _tree(self._into) == _tree(self._source)
        assert [each.name for each in self._into.parent.iterdir()] == ["tree"]
        assert self.beyond <= SLACK * max(1, self.kills), (self.beyond, self.kills)

    def _start(self) -> subprocess.Popen[str]:
        url = f"ft://127.0.0.1:{self._meter.port}/"
        ends: list[str | Path] = [self._source, url]
        if self._direction == "get":
            ends = [url + "tree", self._into.parent]
        return start_ft(self._direction, "-rq", "--retry", "0", *_limit(self._rate), *ends)

    def _once(self, point: float) -> None:
        goal = point * self._files
        process = self._start()
        wait_until(lambda: process.poll() is not None or _count(self._into) >= goal, 600)
        self.kills += process.poll() is None
        if self._victim == "client":
            process.kill()
            outcome(process)
        else:
            self._server.kill()
            outcome(process)
            self._server = Server(self._served, "--writable")
            self._meter.server = self._server.port


def _grow(root: Path, files: int) -> int:
    """Make a tree; its bytes."""
    noise = random.Random(files)
    total = 0
    for number in range(files):
        folder = root / f"{number % 7}" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        size = noise.choice((0, 300, 3_000, 60_000)) if number % 500 else 700_000
        (folder / f"{number}").write_bytes(noise.randbytes(size))
        total += size
    return total


def _count(root: Path) -> int:
    """Files that have their names."""
    try:
        return sum(not each.startswith(".") for _, _, names in os.walk(root) for each in names)
    except FileNotFoundError:
        return 0


def _tree(root: Path) -> dict[str, tuple[int, int, bytes | None]]:
    """What is below a folder, whatever its name: its time and permissions, and its content."""
    return {
        str(each.relative_to(root)): (
            each.stat().st_mtime_ns,
            each.stat().st_mode,
            each.read_bytes() if each.is_file() else None,
        )
        for each in root.rglob("*")
    }


def try_killing_trees(folder: Path, files: int, kills: int, rate: str, seed: int) -> None:
    """Each direction and victim, with figures."""
    for direction in DIRECTIONS:
        for victim in VICTIMS:
            began = time.monotonic()
            here = folder / f"{direction}-{victim}"
            here.mkdir()
            _say(
                f"{direction} -r of {files} files, the {victim} killed {kills} times, seed {seed}:"
            )
            trial = TreeTrial(here, direction, victim, files, rate)
            trial.run(random_points(kills, seed)[:-1])
            _say(f"  {trial.kills} of them in time; {trial.beyond} bytes beyond the tree")
            trial.check()
            _say(f"  right; {time.monotonic() - began:.0f} s")
            shutil.rmtree(here)


def _peak(pid: int) -> int:
    """The most memory, in KiB, that a process has had resident (VmHWM in proc(5))."""
    match = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) if match else 0  # it is ending


def _peak_at_end(process: subprocess.Popen[str]) -> int:
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.05)
    return peak


def _say(*texts: object) -> None:
    sys.stdout.write(" ".join(map(str, texts)) + "\n")
    sys.stdout.flush()


def try_killing(folder: Path, size: int, kills: int, rate: str, seed: int) -> None:
    """Each direction and victim, with figures."""
    for direction in DIRECTIONS:
        for victim in VICTIMS:
            began = time.monotonic()
            here = folder / f"{direction}-{victim}"
            here.mkdir()
            _say(f"{direction}, the {victim} killed {kills} times, seed {seed}:")
            trial = Trial(here, direction, victim, size, rate)
            runs = trial.run(random_points(kills, seed))
            trial.check(runs)
            told = [run for run in runs if run.line is not None]
            most = max(run.line["sent"] - run.missing for run in told if run.line is not None)
            _say(f"  right; {len(runs)} runs, of which {len(told)} said what they had sent:")
            _say(f"  at most {most} bytes beyond what was missing; last: {runs[-1]}")
            _say(f"  {trial.looks} looks at the real name; {time.monotonic() - began:.0f} s")
            shutil.rmtree(here)


def try_memory(folder: Path, size: int) -> None:
    """Get and put of a sparse file, and the most memory that both ends had."""
    served, local = folder / "served", folder / "local"
    served.mkdir()
    local.mkdir()
    for direction, source in (("get", served / "file"), ("put", local / "file")):
        with source.open("wb") as file:
            file.truncate(size)
        with Server(served, "--writable") as server:
            ends: list[str | Path] = [source, server.url("file")]
            if direction == "get":
                ends = [server.url("file"), local]
            process = start_ft(direction, "--json", *ends)
            client = _peak_at_end(process)
            line = outcome(process).ok().line
            _say(f"{direction} of {size} bytes: {line['seconds']:.0f} s, peak resident set:")
            _say(f"  client {client / 1024:.1f} MiB")
            _say(f"  server {_peak(server.process.pid) / 1024:.1f} MiB")
        (served / "file").unlink()
        (local / "file").unlink()


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=["killed", "trees", "memory"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mebibytes", type=int, help="size of the file")
    parser.add_argument("--files", type=int, default=20_000, help="files in the tree")
    parser.add_argument("--kills", type=int, help="20; of a tree 50")
    parser.add_argument("--rate", default="400M", help="of transfers; none, for no limit")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    if given.what == "killed":
        size = (given.mebibytes or 1024) << 20
        try_killing(given.folder, size, given.kills or 20, given.rate, given.seed)
    elif given.what == "trees":
        kills = (given.kills or 50) + 1
        try_killing_trees(given.folder, given.files, kills, given.rate, given.seed)
    else:
        try_memory(given.folder, (given.mebibytes or 10240) << 20)
    shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
