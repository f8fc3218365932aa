"""What a line of progress shows, and what is left out where it is narrow."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from twisted_ft.cli.streams import encodable
from twisted_ft.terminal import escaped
from twisted_ft.trees.deliveries import Tally

STALLED_AFTER = 3.0
"""Seconds without a byte after which the last rate says nothing any more."""
_LEAST_BAR, _MOST_BAR = 10, 40
"""Characters."""
_LEAST_NAME, _FULL_NAME = 10, 30
"""Characters of a name for whose sake others are left out; and for whose, only what is least."""


def of_file() -> list[ProgressColumn]:
    """What is shown of one file."""
    pace = _Pace()
    name = TextColumn("{task.description}", markup=False)
    return [name, BarColumn(None), _Percentage(), DownloadColumn(), pace, _TimeLeft(pace)]


def of_tree(tally: Tally) -> list[ProgressColumn]:
    """What is shown of a tree that is going so."""
    return [*of_file(), _Files(tally), _Current(tally)]


class _Percentage(ProgressColumn):
    """Never 100 %: a file that is all there isn't verified yet, and afterwards the bar is gone."""

    def render(self, task: Task) -> Text:
        known = task.total is not None and not _all_there(task)
        return Text(f"{min(99, int(task.percentage)):>3d}%" if known else "")


class _Pace(TransferSpeedColumn):
    """The rate; or, where nothing moves, what is being waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._seen, self._since = -1.0, 0.0

    def render(self, task: Task) -> Text:
        if _all_there(task):
            return Text("verifying")
        if task.completed != self._seen:
            self._seen, self._since = task.completed, task.get_time()
        if task.get_time() - self._since >= STALLED_AFTER:
            return Text("stalled" if task.completed else "waiting")
        return Text("") if task.speed is None else super().render(task)

    def stands_still(self, task: Task) -> bool:
        """Whether it has been seen that nothing moves."""
        return task.get_time() - self._since >= STALLED_AFTER


class _TimeLeft(TimeRemainingColumn):
    """The time left, while something moves."""

    def __init__(self, pace: _Pace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:
        if _all_there(task) or task.speed is None or self._pace.stands_still(task):
            return Text("")
        return super().render(task)


class _Files(ProgressColumn):
    """How many files are done of those that are known so far."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:
        known = f"{self._tally.files:,}" + ("" if self._tally.all_listed else "+")
        return Text(f"{self._tally.files_ended:,}/{known} files")


class _Current(ProgressColumn):
    """The file that was begun last."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:
        return Text(encodable(escaped(self._tally.current)[-30:]))


_LEAST = (_Current, BarColumn)
_EXPENDABLE = (*_LEAST, _TimeLeft, _Pace, _Files, DownloadColumn, _Percentage)
"""What is left out where there is no room for all, the first of them first."""


def _all_there(task: Task) -> bool:
    return task.total is not None and task.completed >= task.total


def fitting(progress: Progress, console: Console, width: int, bar: bool = True) -> Table:
    """A table of one line, of ``width`` characters at most.

    :param bar: whether there may be a bar in it
    """
    (task,) = progress.tasks
    cells: list[tuple[ProgressColumn | str, RenderableType, int]] = []
    for column in progress.columns:
        cell = column if isinstance(column, str) else column(task)
        needed = Measurement.get(console, console.options, cell).maximum
        if isinstance(column, BarColumn):
            needed = _LEAST_BAR if bar else 0
        if needed:
            cells.append((column, cell, needed))
    (_, name, longest), *others = cells
    for expendable in _EXPENDABLE:
        least = _FULL_NAME if expendable in _LEAST else _LEAST_NAME
        if min(longest, least) + _width(others) <= width:
            break
        others = [each for each in others if not isinstance(each[0], expendable)]
    room = width - _width(others)
    named = max(1, min(longest, room))
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(width=named, no_wrap=True, overflow="ellipsis" if _unicode() else "crop")
    for column, _, needed in others:
        more = min(room - named, _MOST_BAR - needed) if isinstance(column, BarColumn) else 0
        table.add_column(width=needed + more, no_wrap=True, overflow="crop")
    table.add_row(name, *(cell for _, cell, _ in others))
    return table


def _width(cells: Sequence[tuple[object, object, int]]) -> int:
    """What they take, with a space before each."""
    return sum(needed + 1 for *_, needed in cells)


def _unicode() -> bool:
    return encodable("…") == "…"
