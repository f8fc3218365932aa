"""``python -m bench [SCENARIO...]``: measure, and print or write what was found."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench import page
from bench.peers import Missing
from bench.picture import chart
from bench.processes import Failed
from bench.race import say
from bench.report import machine
from bench.scenarios import SCENARIOS
from bench.settings import Settings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure ft beside its peers; without SCENARIO, all there are. See README.md.",
    )
    add = parser.add_argument
    add("scenarios", nargs="*", metavar="SCENARIO", help="what to measure; see --list")
    add("--list", action="store_true", help="name the scenarios, and stop")
    add("--small", action="store_true", help="a trial: small sizes, and two turns")
    add("--turns", type=int, metavar="N", help="turns that count (7)")
    add("--files", type=int, metavar="N", help="files of the made folder (100000)")
    add(
        "--folder", type=Path, default=Path("/dev/shm"), metavar="DIR", help="a tmpfs (%(default)s)"
    )
    add("--disk", type=Path, default=Path("/var/tmp"), metavar="DIR", help="a disk (%(default)s)")
    add(
        "--data",
        type=Path,
        default=Path.home() / ".cache" / "twisted-ft-bench",
        metavar="DIR",
        help="what is kept from run to run (~/.cache/twisted-ft-bench)",
    )
    add("--ft-python", default=sys.executable, metavar="PYTHON", help="has twisted-ft (this one)")
    add("--peers-python", default=sys.executable, metavar="PYTHON", help="has PyPI's peers (this)")
    add("--write", action="store_true", help="write into docs/performance.md and docs/pictures/")
    given = parser.parse_args()
    unknown = set(given.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; see --list")
    if min(given.turns or 1, given.files or 1) < 1:
        parser.error("--turns and --files are 1 or more")
    return given


def _settings(given: argparse.Namespace) -> Settings:
    return Settings(
        turns=given.turns or (2 if given.small else 7),
        small=given.small,
        files=given.files,
        folder=given.folder.resolve(),
        disk=given.disk.resolve(),
        data=given.data.resolve(),
        ft_python=given.ft_python,
        peers_python=given.peers_python,
    )


def _measure(name: str, settings: Settings, write: bool) -> bool:
    """One scenario; whether all of it was measured."""
    scenario = SCENARIOS[name]
    say(f"== {name}: {scenario.title}")
    try:
        report = scenario.run(settings)
    except (Failed, Missing, OSError) as error:
        say(f"{name}: {error}")
        return False
    text = report.text()
    print(f"## {scenario.title} ({name})\n\n{text}\n", flush=True)
    if write:
        picture = chart(scenario.title, report.unit, report.bars())
        page.write(name, f"{text}\n\n{page.write_picture(name, scenario.title, picture)}")
    return not report.race.left_out


def main() -> int:
    """The exit status: 1 where something couldn't be measured."""
    given = _arguments()
    if given.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:12}{scenario.title}")
        return 0
    names = given.scenarios or list(SCENARIOS)
    if given.write and (lacking := page.lacking(names)):
        lines = "\n".join(f"<!-- generated: {name} -->\n<!-- end -->" for name in lacking)
        raise SystemExit(f"{page.PAGE.name} has no place for these; put them into it:\n{lines}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = _settings(given)
    on = machine(settings)
    print(f"{on}\n", flush=True)
    if given.write:
        page.write("machine", on)
    done = [_measure(name, settings, given.write) for name in names]
    return 0 if all(done) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
