"""A line on standard error, with rate and time left, while files move."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.control import Control
from rich.progress import Progress, ProgressColumn
from rich.segment import ControlType, Segments
from twisted.internet.task import LoopingCall

from twisted_ft.cli.columns import fitting, of_file, of_tree
from twisted_ft.cli.streams import encodable
from twisted_ft.transfer.bodies import tracker as outcome
from twisted_ft.trees.deliveries import Tally

DRAWN_EVERY = 0.2
"""Seconds from one drawing of the bar to the next."""
PRINTED_EVERY = 10.0
"""Seconds from one line to the next, on a terminal that can't draw one anew."""
_ECHO = 3
"""Characters left free behind it: for the terminal's ``^C``, and since the last place may wrap."""


class Bar:
    """One line, for one file or one tree at a time.  It takes no more than the terminal's width.

    It leaves the cursor as it is: so nothing is amiss however the process ends, or is stopped.
    On a terminal that can't draw a line anew (``TERM=dumb``), one is printed now and then.

    :param clock: IReactorTime
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._console = Console(stderr=True)
        self._plain = self._console.is_dumb_terminal
        self._progress: Progress | None = None
        self._look: Callable[[Progress], None] = _nowhere
        """has the progress know how it is going"""
        self._drawn = False
        self._printed = 0.0
        """when a line was, in seconds of the clock"""
        self._drawing = LoopingCall(self._draw)
        self._drawing.clock = clock

    def begin(self, name: str, sized: bool) -> outcome.Progress:
        """Show how ``name``, which is fit for a terminal, is going; what it is to be told.

        :param sized: whether the file's size is known from the start; else the bar only pulses
        """
        latest: list[outcome.TransferProgress] = []

        def look(progress: Progress) -> None:
            if latest:
                (moved,), (task,) = latest, progress.tasks
                if sized and task.total is None:
                    progress.reset(task.id, total=moved.file.size, completed=moved.resumed_from)
                progress.update(task.id, completed=moved.position if sized else moved.sent)

        def show(moved: outcome.TransferProgress) -> None:
            latest[:] = [moved]

        self._begin(name, look, of_file())
        return show

    def follow(self, name: str, tally: Tally) -> None:
        """Show how a whole tree is going; its end isn't known before everything is listed.

        :param name: where the tree goes, fit for a terminal
        """

        def look(progress: Progress) -> None:
            total = tally.bytes if tally.all_listed else None
            progress.update(progress.tasks[0].id, completed=tally.bytes_moved, total=total)

        self._begin(name, look, of_tree(tally))

    def clear(self) -> None:
        """Make room for something else; what moves is shown again below it, a moment later."""
        if self._drawn:
            self._drawn = False
            self._console.control(
                Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
            )

    def end(self) -> None:
        """Take it away."""
        self.clear()
        self._progress = None
        if self._drawing.running:
            self._drawing.stop()

    def _begin(
        self, name: str, look: Callable[[Progress], None], columns: list[ProgressColumn]
    ) -> None:
        self.end()
        self._progress = Progress(*columns, console=self._console, get_time=self._clock.seconds)
        self._progress.add_task(encodable(name), total=None)
        self._look = look
        self._printed = self._clock.seconds()
        self._drawing.start(DRAWN_EVERY, now=False)

    def _draw(self) -> None:
        """Show how it is going; in the background, where the terminal is another's, nothing."""
        progress = self._progress
        if progress is None or not _in_foreground():
            return
        self._look(progress)
        console = self._console
        if self._plain:
            self._print(progress)
            return
        line = fitting(progress, console, console.width - _ECHO)
        with console:  # in one write
            console.control(Control(ControlType.CARRIAGE_RETURN))
            console.print(Segments(console.render_lines(line, pad=False)[0]), end="")
            console.control(Control((ControlType.ERASE_IN_LINE, 0)))
        self._drawn = True

    def _print(self, progress: Progress) -> None:
        if self._clock.seconds() - self._printed >= PRINTED_EVERY:
            self._printed = self._clock.seconds()
            line = fitting(progress, self._console, self._console.width, bar=False)
            self._console.print(line)


def _nowhere(_progress: Progress) -> None:
    """Nothing is going on."""


def _in_foreground() -> bool:
    """Whether the terminal is this job's."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:  # it isn't the terminal that the shell has
        return True
