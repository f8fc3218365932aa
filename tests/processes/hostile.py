"""What one peer may do to a server, and what must hold while it does: by hand, with figures.

::

    python -m tests.processes.hostile                     # all attacks, some eight minutes
    python -m tests.processes.hostile list-flat resets    # these
    python -m tests.processes.hostile --list

Each attack has a new ``twistd filetransfer`` of its own.  Beside it honest clients get a file of
5 bytes, over and over: raw ones of this process, and ``ft get``.  Compared are

- memory: the most that was resident (VmHWM), and what is resident --settling seconds after the
  attack's end or as soon as the server is calm, with what was resident before it;
- descriptors: the most that were open, and those open --settling seconds after, with those before;
- latency: how long an honest client is there, connecting and all;
- the log: the most bytes it grew by in any one second;
- where the peers are to be cut off: until the server holds none of their connections, from when
  all of them had said what they say first;
- calm: until all that is given back, and the server's processor is idle.

The exit status is 0 where all of it holds.  ``test_hostile.py`` does this in small.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

from tests.kit import gauges, raw_peer
from tests.kit.attacks import ATTACKS, Attack
from tests.kit.programs import Server
from tests.kit.raw_peer import Gone
from tests.kit.scene import (
    IDLE,
    KEPT_BY_ALLOCATOR,
    KEPT_OPEN,
    MIB,
    Bounds,
    Check,
    Scene,
    Sizes,
)


def plant(root: Path, sizes: Sizes) -> None:
    """What is served to those who may only read; what is there already is kept."""
    plant_small(root)
    for folder in ("many", "small", "large"):
        (root / folder).mkdir(exist_ok=True)
    for number in range(64):
        path = root / f"large/{number:02}"
        if not path.exists() or path.stat().st_size != sizes.large:
            path.touch()
            os.truncate(path, sizes.large)
    for number in range(64):
        (root / f"small/{number:04}").write_bytes(os.urandom(16 << 10))
    for number in range(len(os.listdir(root / "many")), sizes.names):
        os.close(os.open(root / f"many/{'n' * 24}-{number:08}", os.O_CREAT | os.O_WRONLY, 0o644))


def plant_small(root: Path) -> None:
    """What is served to those who may write."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "five").write_bytes(b"hello")
    (root / "folder").mkdir(exist_ok=True)


@dataclass(frozen=True)
class Report:
    """What was found out in one attack."""

    attack: Attack
    checks: list[Check]

    @property
    def failed(self) -> list[Check]:
        """What didn't hold."""
        return [each for each in self.checks if not each.holds]


@contextmanager
def _served(attack: Attack, planted: Path, sizes: Sizes) -> Iterator[Server]:
    """A new server, killed at the end: what it does when it is asked to stop isn't tried here."""
    options = [each.format(timeout=sizes.timeout, places=sizes.places) for each in attack.options]
    with tempfile.TemporaryDirectory() as folder:
        root = planted
        if attack.changes:
            plant_small(root := Path(folder, "root"))
        server = Server(root, *options)
        try:
            yield server
        finally:
            server.kill()


def run(attack: Attack, planted: Path, sizes: Sizes) -> Report:
    """Make one attack, and say what was seen."""
    with _served(attack, planted, sizes) as server, tempfile.TemporaryDirectory() as local:
        scene, pid = Scene(server, sizes), server.process.pid
        for _ in range(10):  # all that a server needs for the first time, it has then
            raw_peer.get(server.port, b"five")
        growth = gauges.Growth(server)
        honest = _honest(attack, server, sizes, Path(local))
        before = gauges.Vitals.over(pid, 0.1)
        gauges.forget_most(pid)
        with ExitStack() as watched:
            watches: tuple[AbstractContextManager[None], ...] = (growth, *honest.values())
            for each in watches:
                watched.enter_context(each)
            _play(attack, scene)
        most = gauges.most_resident(pid)
        scene.leave()
        after, seconds = _given_back(pid, before, sizes.settling)
        scene.check(
            "memory",
            f"{attack.bounds.memory // MIB} MiB more",
            f"{(most - before.resident) / MIB:.0f} MiB",
            most - before.resident <= attack.bounds.memory,
        )
        _check_growth(scene, attack.bounds, growth, before)
        _check_given_back(scene, before, after, seconds)
        for who, visits in honest.items():
            _check_honest(scene, who, visits)
        tracebacks = server.log.count("Traceback")
        scene.check("tracebacks in the log", "none", tracebacks, not tracebacks)
        return Report(attack, scene.checks)


def _honest(attack: Attack, server: Server, sizes: Sizes, into: Path) -> dict[str, gauges.Honest]:
    """Who is to be served beside an attack."""
    if not attack.serves:
        return {}
    raw: dict[str, gauges.Honest] = {
        "raw get": gauges.RawGets(server.port, b"five", sizes.patience)
    }
    return {**raw, "ft get": gauges.FtGets(server, "five", into)} if sizes.ft else raw


def _play(attack: Attack, scene: Scene) -> None:
    try:
        attack.play(scene)
    except (Gone, OSError) as error:  # to be cut off is no fault of the server's; to hang is one
        reason = str(error) or type(error).__name__
        scene.check("the attack", "answered, or cut off", reason, reason != "silence")


def _given_back(pid: int, before: gauges.Vitals, most: float) -> tuple[gauges.Vitals, float]:
    """How the server is when it is calm again, or after --settling; and the seconds until then."""
    began = time.monotonic()
    while True:
        now = gauges.Vitals.over(pid, 0.25)
        seconds = time.monotonic() - began
        if seconds >= most or _is_calm(now, before):
            return now, seconds


def _is_calm(now: gauges.Vitals, before: gauges.Vitals) -> bool:
    return (
        now.resident <= before.resident + KEPT_BY_ALLOCATOR
        and now.descriptors <= before.descriptors + KEPT_OPEN
        and now.processors <= IDLE
    )


def _check_growth(
    scene: Scene, bounds: Bounds, growth: gauges.Growth, before: gauges.Vitals
) -> None:
    more = growth.most_descriptors - before.descriptors
    most = bounds.descriptors
    scene.check("descriptors", f"{most} more", more, more <= most)
    log = growth.most_logged
    scene.check("log", f"{bounds.log >> 10} KiB/s", f"{log >> 10} KiB/s", log <= bounds.log)


def _check_given_back(
    scene: Scene, before: gauges.Vitals, after: gauges.Vitals, seconds: float
) -> None:
    kept = after.resident - before.resident
    slack = KEPT_BY_ALLOCATOR
    scene.check("memory, after", f"{slack // MIB} MiB more", f"{kept / MIB:.0f} MiB", kept <= slack)
    still_open = after.descriptors - before.descriptors
    scene.check("descriptors, after", f"{KEPT_OPEN} more", still_open, still_open <= KEPT_OPEN)
    busy = after.processors
    scene.check("processors, after", f"{IDLE:g} of one", f"{busy:.2f}", busy <= IDLE)
    scene.check(
        "calm again", f"in {scene.sizes.settling:g} s", f"{seconds:.1f} s", _is_calm(after, before)
    )


def _check_honest(scene: Scene, who: str, honest: gauges.Honest) -> None:
    longest, most = max(honest.seconds), scene.sizes.latency
    seen = f"{longest:.2f} s ({median(honest.seconds):.2f})"
    scene.check(who, f"{most:g} s at most", seen, longest <= most)
    failures = honest.failures
    seen = f"{len(failures)} of {len(honest.seconds)} failed"
    scene.check(f"{who}, served", "all", "; ".join([seen, *failures[:1]]), not failures)


# -- the table ---------------------------------------------------------------------------

COLUMNS = {
    "memory": "memory",
    "memory, after": "after",
    "descriptors": "fds",
    "descriptors, after": "after",
    "raw get": "raw get",
    "ft get": "ft get",
    "log": "log",
    "cut off": "cut off",
    "calm again": "calm",
}
"""What the table has of each attack, and the columns' heads: in brackets are medians."""


def _show_checks(report: Report) -> None:
    _say(f"{report.attack.name} ({report.attack.row})")
    for each in report.checks:
        mark = " " if each.holds else "!"
        _say(f"  {mark} {each.what:22} must: {each.must:24} seen: {each.seen}")


def _table(reports: Sequence[Report]) -> list[str]:
    """A line for each attack."""
    rows = [["row", "attack", *COLUMNS.values(), "verdict"]]
    for report in reports:
        seen = {each.what: each.seen + "!" * (not each.holds) for each in report.checks}
        figures = [seen.get(column, "-") for column in COLUMNS]
        verdict = ", ".join(each.what for each in report.failed)
        verdict = f"fails: {verdict}" if verdict else "holds"
        rows.append([report.attack.row, report.attack.name, *figures, verdict])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.processes.hostile",
        description="Attack a server, and see what holds.",
    )
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="those, or of those rows")
    parser.add_argument("--list", action="store_true", help="show which attacks there are")
    parser.add_argument("--folder", type=Path, help="for what is served; it is kept")
    for each in fields(Sizes):
        if each.name != "ft":
            option = f"--{each.name.replace('_', '-')}"
            parser.add_argument(option, type=type(each.default), default=each.default)
    parser.add_argument("--no-ft", dest="ft", action="store_false", help="raw clients only")
    return parser


def chosen(words: Sequence[str]) -> list[Attack]:
    """Those attacks, by their names or their rows; all, where there are no words.

    :raises LookupError: there is none of that name or row
    """
    found = [a for a in ATTACKS.values() if not words or a.name in words or a.row in words]
    known = {word for attack in found for word in (attack.name, attack.row)}
    if unknown := set(words) - known:
        raise LookupError(f"there is no attack {', '.join(sorted(unknown))}")
    return found


def main() -> int:
    """Make the attacks that the command line asks for; the exit status."""
    options = _parser().parse_args()
    attacks = chosen(options.attacks)
    if options.list:
        for each in attacks:
            _say(f"{each.row:4} {each.name:28} {each.play.__doc__}")
        return 0
    sizes = Sizes(**{each.name: getattr(options, each.name) for each in fields(Sizes)})
    with tempfile.TemporaryDirectory() as folder:
        planted = options.folder or Path(folder, "root")
        plant(planted, sizes)
        reports = []
        for each in attacks:
            reports.append(run(each, planted, sizes))
            _show_checks(reports[-1])
    _say("")
    _say("\n".join(_table(reports)))
    return 1 if any(each.failed for each in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
