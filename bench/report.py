"""Tables in Markdown, of what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.peers import versions
from bench.race import TURNS_OF_SLOW, Race, Row
from bench.settings import MIB, Settings


@dataclass(frozen=True)
class Fact:
    """A figure that isn't a row: what it is, its value, its target, whether that was reached."""

    what: str
    value: str
    target: str = ""
    reached: str = ""

    @classmethod
    def at_most(cls, what: str, value: float, bound: float | None, unit: str) -> Fact:
        """A figure with the most that will do."""
        if bound is None:
            return cls(what, f"{value:.2f} {unit}".strip())
        reached = "yes" if value <= bound else "**no**"
        return cls(what, f"{value:.2f} {unit}".strip(), f"≤ {bound:g} {unit}".strip(), reached)


@dataclass
class Report:
    """What one scenario found.

    :param about: what was done with what, in a sentence or two
    :param race: the rows
    :param gigabytes: GB (10^9 bytes) that a turn moves, where CPU is to be for each of them
    :param quantity: what the picture shows, of ``Taken``
    :param unit: its unit
    """

    about: str
    race: Race
    gigabytes: float | None = None
    quantity: str = "wall"
    unit: str = "s"
    facts: list[Fact] = field(default_factory=list)

    @property
    def per(self) -> float:
        """What CPU seconds are divided by."""
        return self.gigabytes or 1.0

    def bars(self) -> list[tuple[str, list[float]]]:
        """The picture's bars: names, and the values of each turn."""
        per = self.per if self.quantity.endswith("_cpu") else 1.0
        found = [(row.name, row.values(self.quantity)) for row in self.race.rows]
        return [(name, [value / per for value in values]) for name, values in found if values]

    def text(self) -> str:
        """The whole, in Markdown, without the picture."""
        parts = [self._introduction(), self._table()]
        if self.facts:
            parts.append(_markdown([["", "", "target", "reached"], *map(_cells, self.facts)]))
        if self.race.left_out:
            parts.append("\n".join(f"- left out: {line}" for line in self.race.left_out))
        return "\n\n".join(parts)

    def _introduction(self) -> str:
        turns = max((len(row.turns) for row in self.race.rows), default=0)
        fewer = [row.name for row in self.race.rows if len(row.turns) < turns]
        but = f"; of {' and '.join(fewer)}: {TURNS_OF_SLOW}" if fewer else ""
        small = " A trial, with small sizes." if self.race.place.settings.small else ""
        return f"{self.about} Turns: {turns} each{but}.{small}"

    def _table(self) -> str:
        cpu = "CPU s/GB" if self.gigabytes else "CPU s"
        rows = [
            [
                *("", "s, median", "s, least-most", "to `ft`'s"),
                *(f"server {cpu}", f"client {cpu}", "server peak MiB", "client peak MiB"),
                *("target", "reached"),
            ]
        ]
        rows += [self._row(row) for row in self.race.rows if row.turns]
        return _markdown(rows)

    def _row(self, row: Row) -> list[str]:
        walls, ours = row.values("wall"), row.against
        mine = ours.median("wall") if ours is not None else None
        median = row.median("wall") or 0.0
        return [
            row.name,
            _number(median),
            f"{_number(min(walls))}-{_number(max(walls))}",
            _number(median / mine) if mine else "",
            _number(row.median("server_cpu"), self.per),
            _number(row.median("client_cpu"), self.per),
            _number(row.median("server_peak"), MIB, digits=0),
            _number(row.median("client_peak"), MIB, digits=0),
            *self._verdict(row),
        ]

    def _verdict(self, row: Row) -> tuple[str, str]:
        if row.target is None or row.against is None:
            return "", ""
        figure = row.target.of(row.against, row)
        return str(row.target), "not measured" if figure is None else row.target.reached(figure)


def _cells(fact: Fact) -> list[str]:
    return [fact.what, fact.value, fact.target, fact.reached]


def _number(value: float | None, per: float = 1.0, digits: int | None = None) -> str:
    """A figure with as many digits as it is worth; nothing for None."""
    if value is None:
        return ""
    value /= per
    if digits is None:
        digits = 3 if abs(value) < 1 else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])


def machine(settings: Settings) -> str:
    """What it was measured on, and with what."""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {system}; {', '.join(versions(settings))}."
