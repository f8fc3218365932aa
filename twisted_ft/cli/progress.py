"""A progress bar on standard error, with rate and time left."""

from __future__ import annotations

from rich.console import Console
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

from twisted_ft.transfer import outcome


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

        def show(moved: outcome.Moved) -> None:
            if sized and progress.tasks[0].total is None:
                progress.reset(task, total=moved.file.size, completed=moved.resumed_from)
            progress.update(task, completed=moved.position if sized else moved.sent)

        return show

    def end(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
