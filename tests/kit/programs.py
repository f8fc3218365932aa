"""The programs themselves: ``twistd filetransfer`` and ``ft``, each a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit import forked

PATIENCE = 60.0
"""Seconds after which what a test waits for will never come."""
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
FT = (sys.executable, "-m", "twisted_ft")
ANY_PORT = "tcp:0:interface=127.0.0.1"


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Look again and again until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what is waited for doesn't come"
        time.sleep(0.002)


def environment(**changes: str) -> dict[str, str]:
    """This process's, with nothing in it that changes what programs show."""
    left_out = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "PYTHONUTF8": "1", **changes}


class Server:
    """``twistd -n filetransfer``, from its start to its end, and its log.

    :param options: what stands behind ``filetransfer``
    :param prefix: a command that starts the command behind it
    """

    def __init__(
        self,
        root: Path,
        *options: str | Path,
        listen: str = ANY_PORT,
        prefix: Sequence[str] = (),
    ) -> None:
        self.root = root
        self._lines: list[str] = []
        self.logged = 0
        """characters in its log until now"""
        self._ended = False
        self._news = threading.Condition()
        command = [*prefix, *TWISTD, "-n", "--pidfile=", "filetransfer"]
        command += [f"--root={root}", f"--listen={listen}", *map(str, options)]
        self.process = subprocess.Popen(
            command,
            cwd=root,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="surrogateescape",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for(r"serving .*")
            self.port = int(self.wait_for(r"starting on (\d+)")[1])
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it has logged until now."""
        with self._news:
            return "".join(self._lines)

    def url(self, path: str = "", host: str = "127.0.0.1", scheme: str = "ft") -> str:
        """The URL of something that is served."""
        return f"{scheme}://{host}:{self.port}/{path}"

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """The first place in the log where ``pattern`` matches; waits for it to come."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not (match := re.search(pattern, "".join(self._lines))):
                left = deadline - time.monotonic()
                waiting = not self._ended and left > 0
                assert waiting, f"{pattern!r} is not in the log:\n{''.join(self._lines)}"
                self._news.wait(left)
        return match

    def kill(self) -> None:
        """SIGKILL: it can do nothing more."""
        self.process.kill()
        self._end()

    def stop(self) -> str:
        """SIGTERM; the whole log, in which no traceback may be."""
        self.process.terminate()
        self._end()
        assert "Traceback" not in self.log, self.log
        assert "Unhandled" not in self.log, self.log
        return self.log

    def _end(self) -> None:
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line)
                self.logged += len(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


@dataclass(frozen=True)
class Outcome:
    """What a program has left: its exit status, and what it said."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON objects on standard output; anything else there is an error."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        """The only JSON object on standard output."""
        (line,) = self.lines
        return line

    @property
    def sentence(self) -> str:
        """The one line that a failed command says, where that is all that it says."""
        assert self.status == 1, self
        (line,) = self.err.splitlines()
        assert line.startswith("ft: "), self
        return line.removeprefix("ft: ")

    def ok(self) -> Outcome:
        """This outcome, where all was done and nothing complained of."""
        assert (self.status, self.err) == (0, ""), self
        return self


def start_ft(
    *args: str | Path, cwd: Path | None = None, stderr: int = subprocess.PIPE, **changes: str
) -> subprocess.Popen[str]:
    """``ft`` with ``args``, started anew: see ``forked`` for the difference.

    :param changes: to the environment
    """
    return subprocess.Popen(
        [*FT, *map(str, args)],
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        errors="surrogateescape",
    )


def outcome(process: subprocess.Popen[str]) -> Outcome:
    """What becomes of a program that was started."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Outcome(process.returncode, out, err)


def ft(
    *args: str | Path, cwd: Path | None = None, states: Mapping[int, forked.State] | None = None
) -> Outcome:
    """``ft`` with ``args``, from its start to its end.

    :param states: what is the matter with a standard stream, by its descriptor
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        typed = [str(each) for each in args]
        status = forked.run(typed, cwd or Path(folder), out, err, PATIENCE, states)
        return Outcome(status, _text(out), _text(err))


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""


def partial_of(folder: Path) -> list[Path]:
    """The partial files in a folder."""
    return sorted(folder.glob(".ft-*.part"))


def kept_in(folder: Path) -> int:
    """Bytes in the only partial file of a folder, 0 where there is none."""
    return sum(_size(each) for each in partial_of(folder))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)
