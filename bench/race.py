"""Rows of one table, measured in turn."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.clients import Client
from bench.peers import Missing
from bench.place import Place
from bench.processes import Failed, Taken, run
from bench.targets import Target

Act = Callable[[], Taken]
Check = Callable[[], object]
TURNS_OF_SLOW = 3
_SLOW = 20.0
"""Seconds of a turn, past which a row has no more than those."""
NUMBER = "{number}"
"""Stands in a client's command for which of several clients it is, from 0 on."""


@dataclass(eq=False)
class Row:
    """What was measured for one line of a table.

    :param against: our row, where this one is what we compare with
    :param target: what was aimed at in that comparison
    """

    name: str
    act: Act
    check: Check | None = None
    prepare: Check | None = None
    against: Row | None = None
    target: Target | None = None
    turns: list[Taken] = field(default_factory=list)
    slow: bool = False
    """whether it takes so long that fewer turns have to do"""

    def values(self, quantity: str) -> list[float]:
        """A quantity of ``Taken`` in each turn, where it was seen."""
        found = [getattr(turn, quantity) for turn in self.turns]
        return [value for value in found if value is not None]

    def median(self, quantity: str) -> float | None:
        """The median of a quantity, or None where nothing was seen."""
        values = self.values(quantity)
        return statistics.median(values) if values else None


class Race:
    """Rows that take turns.

    :param place: where they work
    :param settle: seconds before each turn
    :param memory: bytes that a turn writes, whose memory is to have been in use just before it
    :param watched: whether to look for peaks of memory
    :param rotating: whether another row begins each turn
    """

    def __init__(
        self,
        place: Place,
        settle: float = 0.0,
        memory: int = 0,
        watched: bool = True,
        rotating: bool = True,
    ) -> None:
        self.place = place
        self.rows: list[Row] = []
        self.left_out: list[str] = []
        """what couldn't be measured, and why"""
        self._settle, self._memory = settle, memory
        self._watched, self._rotating = watched, rotating

    def add(
        self,
        name: str,
        client: Callable[[], Client],
        *,
        count: int = 1,
        check: Check | None = None,
        prepare: Check | None = None,
        against: Row | None = None,
        target: Target | None = None,
    ) -> Row:
        """A row that runs a client in each turn; what it needs is started now.

        :param count: clients at once
        :param check: raises Failed if the result isn't right; is called after the warm-up
        :param prepare: is called before each turn, in place of ``place.empty``
        :param against: our row to compare with
        """
        row = Row(name, Taken, check, prepare, against, target)
        try:
            made = client()
        except (Missing, Failed) as error:
            self._leave_out(row, error)
            return row
        commands = [[word.replace(NUMBER, str(at)) for word in made.command] for at in range(count)]

        def act() -> Taken:
            return run(commands, self.place.work, self.place.log, made.server, self._watched)

        row.act = act
        self.rows.append(row)
        return row

    def run(self, turns: int) -> None:
        """Take all turns, after one that isn't counted; fewer of a row that is very slow."""
        for turn in range(turns + 1):
            say(f"turn {turn} of {turns}" if turn else "warming up")
            for row in _rotated(self.rows, turn if self._rotating else 0):
                if row.slow and turn > TURNS_OF_SLOW:
                    continue
                try:
                    taken = self._turn(row, warming=turn == 0)
                except (Missing, Failed) as error:
                    self.rows.remove(row)
                    self._leave_out(row, error)
                else:
                    row.slow |= taken.wall > _SLOW
                    if turn:
                        row.turns.append(taken)
                        say(f"  {row.name}: {taken.wall:.2f} s")

    def _turn(self, row: Row, warming: bool) -> Taken:
        (row.prepare or self.place.empty)()
        time.sleep(self._settle)
        self.place.touch_memory(self._memory)
        taken = row.act()
        if warming and row.check is not None:
            row.check()
        return taken

    def _leave_out(self, row: Row, error: Exception) -> None:
        row.turns.clear()
        self.left_out.append(f"{row.name}: {error}")
        say(f"  left out: {self.left_out[-1]}")


def _rotated(rows: Sequence[Row], by: int) -> list[Row]:
    by = by % len(rows) if rows else 0
    return [*rows[by:], *rows[:by]]


def say(text: str) -> None:
    """Tell how it goes, on standard error."""
    print(text, file=sys.stderr, flush=True)
