"""One large file, downloaded: ``ft get`` from ``twistd filetransfer``, and its rivals.

    python bench/download.py [--size MIB] [--turns N] [--folder DIR]

Both servers run at once; the clients take turns, each writing into an empty folder.  Prints
the median seconds of each whole client process, and the ratios to ours, with the CPU seconds
that each server and each client took.  Wants curl, and Linux's /proc.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
SETTLING = 3.0
"""Seconds between the end of a turn and the next."""
FT = [sys.executable, "-m", "twisted_ft"]


@dataclass
class Figures:
    """What was measured of one pair, a value for each turn, in seconds."""

    wall: list[float] = field(default_factory=list)
    client_cpu: list[float] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)

    def row(self, name: str, ours: float) -> str:
        """A line of the table; ``ours`` is the median to compare with."""
        wall, client, server = map(statistics.median, (self.wall, self.client_cpu, self.server_cpu))
        spread = f"{min(self.wall):.2f}-{max(self.wall):.2f}"
        return (
            f"| {name} | {wall:.2f} | {spread} | {wall / ours:.2f} | {client:.2f} | {server:.2f} |"
        )


@contextmanager
def server(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A ``twistd`` that serves, and its port."""
    command = [*TWISTD, *options, "--listen", "tcp:0:interface=127.0.0.1"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"starting on (\d+)", line):
                yield process, int(found[1])
                return
        raise SystemExit(f"{options[0]} did not start")
    finally:
        process.terminate()
        process.wait()


def cpu(pid: int) -> float:
    """CPU seconds that a process has taken so far (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(figures: Figures, serving: int, client: list[str], target: Path) -> None:
    """Run one client once, on memory in the same state for each.

    A virtual machine's host takes free memory back within a second or two, and the first touch
    of a page that it has taken costs several times what copying into it does.  A client that
    starts at once would find what the one before has just freed, and one that starts later not.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    time.sleep(SETTLING)
    before, used = cpu(serving), resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(client, check=True, cwd=target)
    figures.wall.append(time.perf_counter() - began)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures.client_cpu.append(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime)
    figures.server_cpu.append(cpu(serving) - before)


def main() -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=2048, metavar="MIB")
    options.add_argument("--turns", type=int, default=7)
    options.add_argument("--folder", default="/dev/shm")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        root, target = folder / "root", folder / "target"
        root.mkdir()
        with open(root / "file", "wb") as file:
            for _ in range(given.size):
                file.write(os.urandom(1 << 20))
        with (
            server(folder, "filetransfer", "--root", str(root)) as (ours, port),
            server(folder, "web", "--path", str(root)) as (web, web_port),
        ):
            get = [*FT, "get", "-q", f"ft://127.0.0.1:{port}/file", "."]
            curl = ["curl", "-s", "-o", "file", f"http://127.0.0.1:{web_port}/file"]
            figures = Figures(), Figures()
            for _ in range(given.turns + 1):  # the first warms up
                turn(figures[0], ours.pid, get, target)
                turn(figures[1], web.pid, curl, target)
    for each in figures:
        del each.wall[0], each.client_cpu[0], each.server_cpu[0]
    median = statistics.median(figures[0].wall)
    print(f"{given.size} MiB, {given.turns} turns each, in turn, in {given.folder}\n")
    print("| | s, median | s, all | to ours | client CPU s | server CPU s |")
    print("|---|---|---|---|---|---|")
    print(figures[0].row("`ft get`, verified", median))
    print(figures[1].row("curl from `twistd web`", median))


if __name__ == "__main__":
    main()
