"""What there is before the first byte."""

from __future__ import annotations

from functools import partial

from bench import peers
from bench.clients import Client, ft, ft_command
from bench.place import Place, same_file
from bench.race import Race
from bench.report import Report
from bench.settings import KIB, Settings
from bench.targets import more_seconds, seconds

_TURNS = 3
"""Turns of this scenario for each that was asked for: they are short."""


def startup(settings: Settings) -> Report:
    """Whole processes that do next to nothing."""
    python = settings.ft_python
    with Place(settings, settings.folder) as place:
        file, race = place.file(KIB), Race(place, 0.0, watched=False)
        got = race.add(
            "`ft get` of 1 KiB",
            lambda: ft(settings, place.server(peers.FT), "get", "@file", "out/"),
            check=partial(same_file, file, place.downloads / "file"),
        )
        race.add(
            "Python, importing Twisted's reactor",
            lambda: Client([python, "-c", "from twisted.internet import reactor"]),
            against=got,
            target=seconds(1.25),
        )
        helped = race.add("`ft --help`", lambda: Client([*ft_command(settings), "--help"]))
        race.add(
            "Python, doing nothing",
            lambda: Client([python, "-c", "pass"]),
            against=helped,
            target=more_seconds(0.15),
        )
        race.run(_TURNS * settings.turns)
        return Report("Whole processes.", race)
