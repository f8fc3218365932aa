"""A progress bar on standard error, with rate and time left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
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
from rich.text import Text

from twisted_ft.terminal import escaped
from twisted_ft.transfer.bodies import tracker as outcome
from twisted_ft.trees.deliveries import Tally


class _Percentage(ProgressColumn):
    """Never 100 %: a file that is all there isn't verified yet, and afterwards the bar is gone."""

    def render(self, task: Task) -> Text:
        return Text(f"{min(99, int(task.percentage)):>3d}%" if task.total is not None else "")


class _TimeLeft(TimeRemainingColumn):
    """The time left; once all is there, what is being waited for."""

    def render(self, task: Task) -> Text:
        if task.total is not None and task.completed >= task.total:
            return Text("verifying")
        return super().render(task)


class Bar:
    """One bar, for one file at a time."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress: Progress | None = None

    def begin(self, name: str, sized: bool) -> outcome.Progress:
        """Show a bar for ``name``, which is fit for a terminal; what it is to be told.

        :param sized: whether the file's size is known from the start; else the bar only pulses
        """
        self.end()
        progress = self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Percentage(),
            DownloadColumn(),
            TransferSpeedColumn(),
            _TimeLeft(),
            console=self._console,
            transient=True,
        )
        task = progress.add_task(name, total=None)
        progress.start()

        def show(moved: outcome.TransferProgress) -> None:
            if sized and progress.tasks[0].total is None:
                progress.reset(task, total=moved.file.size, completed=moved.resumed_from)
            progress.update(task, completed=moved.position if sized else moved.sent)

        return show

    def end(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _TreeText(ProgressColumn):
    """How many files are done of those that are known so far, and which was begun last."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:
        known = f"{self._tally.files:,}" + ("" if self._tally.all_listed else "+")
        name = escaped(self._tally.current)[-30:]
        return Text(f"{self._tally.files_ended:,}/{known} files  {name}")


class _Following(Progress):
    """A progress that looks at a tally whenever it is drawn."""

    def __init__(self, tally: Tally, *columns: ProgressColumn, **options: Any) -> None:
        self._tally = tally
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """See Progress."""
        total = self._tally.bytes if self._tally.all_listed else None
        for task in self.tasks:
            self.update(task.id, completed=self._tally.bytes_moved, total=total)
        yield self.make_tasks_table(self.tasks)


class TreeBar:
    """One bar for a whole tree; its end isn't known before everything is listed.

    :param name: where the tree goes, fit for a terminal
    """

    def __init__(self, name: str, tally: Tally) -> None:
        self._progress = _Following(
            tally,
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            _Percentage(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            _TreeText(tally),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.add_task(name, total=None)
        self._progress.start()

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """Take the bar away."""
        self._progress.stop()
