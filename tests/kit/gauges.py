"""What a server's process needs while it is attacked, and how its other clients fare.

Linux only: all of it is read from /proc (proc(5)).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.kit import raw_peer
from tests.kit.programs import Server, outcome, start_ft

_TICKS = os.sysconf("SC_CLK_TCK")
_forking = get_context("forkserver")
_EVERY = 0.05
"""Seconds between two looks at the process."""


def _status(pid: int, field: str) -> int:
    """A number of bytes in /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise LookupError(field)


def resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    return _status(pid, "VmRSS")


def most_resident(pid: int) -> int:
    """Bytes of memory that a process has had at most, since ``forget_most``."""
    return _status(pid, "VmHWM")


def forget_most(pid: int) -> None:
    """Have ``most_resident`` begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def seconds_of_cpu(pid: int) -> float:
    """How long a process has been running on processors, in all."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def connected_ports(port: int) -> set[int]:
    """The clients' ports of the connections to ``port`` that a server still holds.

    A connection that a server has closed belongs to the kernel, and has no inode any more.
    """
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {_port(row[2]) for row in rows if _port(row[1]) == port and row[9] != "0"}


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


class Vitals(NamedTuple):
    """How a process is."""

    resident: int
    """bytes of memory"""
    descriptors: int
    processors: float
    """that it has kept busy"""

    @classmethod
    def over(cls, pid: int, seconds: float) -> Vitals:
        """What a process has at the end of so many seconds, and what it did in them."""
        began, cpu = time.monotonic(), seconds_of_cpu(pid)
        time.sleep(seconds)
        busy = (seconds_of_cpu(pid) - cpu) / (time.monotonic() - began)
        return cls(resident(pid), descriptors(pid), busy)


class _Watch(threading.Thread):
    """Something that is done over and over, until it is told to stop."""

    def __init__(self, pause: float) -> None:
        super().__init__(daemon=True)
        self._pause = pause
        self._stop_asked = threading.Event()

    def run(self) -> None:
        self.once()
        while not self._stop_asked.wait(self._pause):
            self.once()

    def once(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *exc: object) -> None:
        self._stop_asked.set()
        self.join()


class Growth(_Watch):
    """How many descriptors a server opens, and how fast its log grows."""

    def __init__(self, server: Server) -> None:
        super().__init__(_EVERY)
        self._server = server
        self.most_descriptors = 0
        self._logged: list[tuple[float, int]] = []

    def once(self) -> None:
        now = descriptors(self._server.process.pid)
        self.most_descriptors = max(self.most_descriptors, now)
        self._logged.append((time.monotonic(), self._server.logged))

    @property
    def most_logged(self) -> int:
        """Bytes that the log has grown by in any one second, at most."""
        most, first = 0, 0
        for moment, size in self._logged:
            while self._logged[first][0] < moment - 1:
                first += 1
            most = max(most, size - self._logged[first][1])
        return most


class Visits:
    """Clients that come one after another for a small file, and how long each is there.

    :param visit: one client's visit; raises Gone or OSError where it isn't served
    """

    def __init__(self, visit: Callable[[], object]) -> None:
        self._visit = visit
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def once(self) -> None:
        """One more."""
        began = time.monotonic()
        try:
            self._visit()
        except (raw_peer.Gone, OSError) as error:
            self.failures.append(str(error) or type(error).__name__)
        self.seconds.append(time.monotonic() - began)


class Honest(AbstractContextManager[None], Protocol):
    """Visits that are made meanwhile."""

    seconds: list[float]
    failures: list[str]


class RawGets:
    """Visits without a program's start, from a process of their own, as attacks keep ours busy.

    They are twenty a second, where they aren't kept waiting.

    :param patience: seconds after which one gives up
    """

    def __init__(self, port: int, path: bytes, patience: float) -> None:
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._ours, theirs = _forking.Pipe()
        args = (theirs, port, path, patience)
        self._process = _forking.Process(target=_visit_until_told, args=args, daemon=True)

    def __enter__(self) -> None:
        self._process.start()
        self._ours.recv()

    def __exit__(self, *exc: object) -> None:
        self._ours.send(None)
        self.seconds, self.failures = self._ours.recv()
        self._process.join()


def _visit_until_told(pipe: Any, port: int, path: bytes, patience: float) -> None:
    visits = Visits(lambda: raw_peer.get(port, path, patience))
    pipe.send(None)
    while not pipe.poll(0.05) or not visits.seconds:
        visits.once()
    pipe.send((visits.seconds, visits.failures))


class FtGets(_Watch):
    """Visits of the command: one a second, as each is half a second of a processor."""

    def __init__(self, server: Server, path: str, into: Path) -> None:
        super().__init__(1.0)
        self._url, self._into, self._numbers = server.url(path), into, count()
        self._visits = Visits(self._visit)
        self.seconds, self.failures = self._visits.seconds, self._visits.failures

    def once(self) -> None:
        """See _Watch."""
        self._visits.once()

    def _visit(self) -> None:
        got = outcome(start_ft("get", self._url, self._into / str(next(self._numbers))))
        if got.status:
            raise raw_peer.Gone(got.err.strip())
