"""Processes, and what they take: time, CPU and memory, read from the kernel."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_TICK: int = os.sysconf("SC_CLK_TCK")
_STARTING = 30.0
"""Seconds that a server may take until it listens."""
_STOPPING = 10.0
"""Seconds that a server may take to stop, before it is killed."""


_PATIENCE = 1800.0
"""Seconds that a client may take."""


class Failed(Exception):
    """A client or a server didn't do its work; says which, and what it wrote last."""


@dataclass
class Taken:
    """What one turn took: seconds, CPU seconds and bytes.

    Peaks are None where they were not looked for, or over too soon to be seen.
    """

    wall: float = 0.0
    client_cpu: float = 0.0
    client_peak: int | None = None
    server_cpu: float | None = None
    server_peak: int | None = None
    each: list[float] = field(default_factory=list)
    """the seconds of each client, where there were several"""


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{task}/children").read_text()
                found += map(int, children.split())
    return found


def cpu(pid: int) -> float:
    """CPU seconds that a process and all that are or were below it have taken (proc(5))."""
    ticks = 0
    for each in tree(pid):
        with suppress(OSError):
            text = Path(f"/proc/{each}/stat").read_text()
            ticks += sum(map(int, text.rpartition(")")[2].split()[11:15]))
    return ticks / _TICK


def _memory(pid: int, key: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) << 10
    return 0


def resident(pid: int) -> int:
    """Bytes that a process has in memory now."""
    return _memory(pid, "VmRSS:")


def forget_peaks(pid: int) -> None:
    """Let the peaks of a tree begin anew (``clear_refs`` in proc(5))."""
    for each in tree(pid):
        with suppress(OSError):
            Path(f"/proc/{each}/clear_refs").write_text("5")


class Watch:
    """The largest peak of resident memory in a tree, looked at until it is told to stop.

    The kernel's own figure for a client that has ended (``ru_maxrss``) is no use: it begins with
    the memory of the process that started it.  The peak (VmHWM) is read ten times a second, so
    only what a process gains in its last tenth may be missed.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._peaks = dict.fromkeys(pids, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        pause = 0.005
        while not self._over.wait(pause):
            self._read()
            pause = min(2 * pause, 0.1)

    def _read(self) -> None:
        for pid in self._pids:
            now = [_memory(each, "VmHWM:") for each in tree(pid)]
            self._peaks[pid] = max(self._peaks[pid], *now)

    def stop(self) -> list[int | None]:
        """The peak of each tree, in bytes."""
        self._over.set()
        self._thread.join()
        return [self._peaks[pid] or None for pid in self._pids]


@dataclass(frozen=True)
class Server:
    """A server that listens on 127.0.0.1.

    :param folder: its own folder, with its configuration and its log
    """

    name: str
    pid: int
    port: int
    folder: Path


@contextmanager
def serving(name: str, command: Sequence[str], folder: Path, port: int) -> Iterator[Server]:
    """Start a server, wait until ``port`` takes connections, and stop all of it at the end.

    :raises Failed: it ended, or doesn't listen
    """
    log = folder / "log"
    own = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _STARTING
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{name} did not start: {_last_words(log)}")
            time.sleep(0.02)
        yield Server(name, process.pid, port, folder)
    finally:
        _stop(process)


def _listens(port: int) -> bool:
    """Whether a socket listens there, without disturbing its server by a connection."""
    local = f"{int.from_bytes(bytes((127, 0, 0, 1)), sys.byteorder):08X}:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == local and fields[3] == "0A":
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    everyone = tree(process.pid) if process.poll() is None else []
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOPPING)
    for pid in everyone:
        with suppress(ProcessLookupError):
            if pid != process.pid or process.returncode is None:
                os.kill(pid, signal.SIGKILL)
    process.wait()


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip(" ^~")]
    return " / ".join(said[-2:]) or "it said nothing"


def start(command: Sequence[str], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """A client, with what it says on standard error in ``log``."""
    with open(log, "ab") as errors:
        return subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )


def run(
    commands: Sequence[Sequence[str]],
    cwd: Path,
    log: Path,
    server: Server | None,
    watched: bool = True,
    begin: Callable[[], None] | None = None,
) -> Taken:
    """Run clients, all at once, to their ends.

    :param cwd: where they work
    :param log: takes what they say
    :param watched: whether to look for the peaks of memory; those of clients only if it is one
    :param begin: is called when all are started; the time begins after it
    :raises Failed: one of them failed, with what it said last
    """
    log.write_bytes(b"")
    before, idle = 0.0, {0}
    if server is not None:
        forget_peaks(server.pid)
        before, idle = cpu(server.pid), set(tree(server.pid))
    taken, clients, watch = Taken(), list[subprocess.Popen[bytes]](), None
    began = time.perf_counter()
    try:
        for command in commands:
            clients.append(start(command, cwd, log))
        if begin is not None:
            begin()
            began = time.perf_counter()
        trees = [server.pid] if server is not None else []
        trees += [clients[0].pid] if len(clients) == 1 else []
        watch = Watch(*trees) if watched else None
        for ended in _ends(clients):
            taken.each.append(time.perf_counter() - began)
            taken.client_cpu += ended
        taken.wall = taken.each[-1]
    finally:
        for client in clients:
            if client.returncode is None:
                client.kill()
                client.wait()
        peaks = watch.stop() if watch is not None else []
    if server is not None:
        _wait_for_children(server, idle)
        taken.server_cpu = cpu(server.pid) - before
    if peaks and len(clients) == 1:
        taken.client_peak = peaks.pop()
    if peaks:
        taken.server_peak = peaks.pop()
    if bad := [client.returncode for client in clients if client.returncode]:
        raise Failed(f"{_last_words(log)} (exit status {bad[0]})")
    return taken


def _ends(clients: Sequence[subprocess.Popen[bytes]]) -> Iterator[float]:
    """The CPU seconds of each client, at the moment of its end."""
    by_fd = {os.pidfd_open(client.pid): client for client in clients}
    poll = select.poll()
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    try:
        while by_fd:
            ended = poll.poll(_PATIENCE * 1000)
            if not ended:
                raise Failed(f"nothing ended within {_PATIENCE / 60:.0f} minutes")
            for fd, _event in ended:
                client = by_fd.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                _pid, status, usage = os.wait4(client.pid, 0)
                client.returncode = os.waitstatus_to_exitcode(status)
                yield usage.ru_utime + usage.ru_stime
    finally:
        for fd in by_fd:
            os.close(fd)


def _wait_for_children(server: Server, idle: set[int]) -> None:
    """Until what a server started for a client has ended, and counts: 2 seconds at most."""
    deadline = time.monotonic() + 2
    while set(tree(server.pid)) - idle and time.monotonic() < deadline:
        time.sleep(0.01)
