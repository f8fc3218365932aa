"""What a server logs: one line for each exchange when its end is known, and not too many of them.

The journal is one observer of a server's events.  A peer can't fill a disk with it: long names are
cut, of many failures in one parcel some are told and the rest are counted, and so are lines beyond
so many a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from twisted_ft.errors import Unchanged
from twisted_ft.server.events import Action, Event, TreeFiles
from twisted_ft.stores.names import join
from twisted_ft.terminal import escaped, printable
from twisted_ft.wire.messages import Outcome, Whole

_audit = Logger(namespace="twisted_ft.audit")
_INTERVAL = 1.0
"""Seconds between two lines about the small files of a tree, at least."""
LINES_OF_ONE = 50
"""Lines a second about one peer, at most."""
LINES = 150
"""Lines a second about all of them: some 50 KiB."""
_FAILURES = 5
"""Failures of one parcel that are told one by one."""
_LONGEST = 120
"""Characters of a name, or of a sentence, that are logged."""

_DONE: dict[Action, str] = {
    "download": "sent",
    "upload": "received",
    "list": "listed",
    "mkdir": "made",
    "rename": "renamed",
    "remove": "removed",
}
_COUNTED: dict[Action, str] = {
    "download": "{count} items",
    "list": "{count} entries",
    "mkdir": "a folder",
    "rename": "it is {new} now",
    "remove": "{count} files and folders",
}


class Journal:
    """Logs what happens, as events of ``twisted.logger``.

    :param log: where it goes
    :param clock: tells when a second is over
    """

    def __init__(self, log: Logger, clock: IReactorTime) -> None:
        self._log, self._clock = log, clock
        self._small: dict[tuple[str, Action], _SmallFiles] = {}
        self._lines: Counter[str] = Counter()
        """of each peer, in this second"""
        self._told = 0
        self._untold = 0
        self._second: IDelayedCall | None = None

    def __call__(self, event: Event) -> None:
        """See Observer."""
        if event.kind == "left":
            for key in [key for key in self._small if key[0] == event.peer]:
                self._small.pop(key).tell()
        elif event.kind in ("refused", "failed"):
            self._tell_failure(event)
        elif event.kind == "ended":
            self._tell_end(event)

    def tree_files(self, files: TreeFiles) -> None:
        """See TreeObserver: those that arrived are one line a second, and failures a few lines."""
        about = files.about
        small = self._small.setdefault((about.peer, about.action), _SmallFiles(self, about))
        small.take(files)
        if not files.failures:
            return
        failed = (event for event in files if event.kind == "failed")
        for event in islice(failed, _FAILURES):
            self._tell_failure(event)
        if (more := len(files.failures) - _FAILURES) > 0:
            self.line(LogLevel.warn, "{who} not {done} {more} more", about, more=more)

    def _tell_failure(self, event: Event) -> None:
        if not event.action:
            text = "{who} refused: {error} ({code})"
        else:
            text = "{who} not {done} {path}: {error} ({code})"
        self.line(LogLevel.warn, text, event)

    def _tell_end(self, event: Event) -> None:
        if event.code == Unchanged.code:
            text = "nothing to do, it is there already"
        elif event.code:
            text = "another file was there, of the same size"
        elif event.tree or event.action not in ("download", "upload"):
            text = _COUNTED[event.action]
        elif event.door == "ft":
            text = "{size} bytes, verified, {sent} over the wire in {seconds:.3f} s"
        else:
            text = "{size} bytes in {seconds:.3f} s"
        self.line(LogLevel.info, f"{{who}} {{done}} {{path}}: {text}", event)

    def line(self, level: Any, text: str, event: Event, **fields: object) -> None:
        """Log one line, where there weren't too many in this second."""
        if self._second is None:
            self._second = self._clock.callLater(_INTERVAL, self._next_second)
        self._lines[event.peer] += 1
        if self._lines[event.peer] > LINES_OF_ONE or self._told >= LINES:
            self._untold += 1
            return
        self._told += 1
        self._log.emit(level, text, **{**_fields(event), **fields})

    def later(self, tell: Callable[[], None]) -> IDelayedCall:
        """Have something told when a second is over."""
        return self._clock.callLater(_INTERVAL, tell)

    def _next_second(self) -> None:
        self._second = None
        self._lines.clear()
        self._told = 0
        untold, self._untold = self._untold, 0
        if untold:
            self._log.warn("{count} more lines this second", count=untold)


def _fields(event: Event) -> dict[str, Any]:
    """What is logged of an event, fit for a terminal."""
    door = f" {event.door}" if event.door not in ("", "ft") else ""
    names = ["kind", "peer", "user", "door", "action", "seconds"]
    if event.code:
        names += ["code"]
    elif event.action in ("download", "upload") and not event.tree:
        names += ["size", "sent", "resumed_from", "blake3"]
    elif event.action:
        names += ["count"]
    fields: dict[str, Any] = {name: getattr(event, name) for name in names}
    fields["who"] = (f"{printable(event.user)}@" if event.user else "") + event.peer + door
    if event.action:
        fields.update(done=_DONE[event.action], path=_cut(escaped(event.path[:_LONGEST])) or "/")
    if event.new:
        fields["new"] = _cut(escaped(event.new[:_LONGEST]))
    if event.error:
        fields["error"] = _cut(printable(event.error[: 2 * _LONGEST]), 2 * _LONGEST)
    return fields


def _cut(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


class _SmallFiles:
    """Small files of trees that have arrived, one line a second."""

    def __init__(self, journal: Journal, about: Event) -> None:
        self._journal, self._about = journal, about
        self._count = self._size = 0
        self._first = self._last = b""
        self._telling: IDelayedCall | None = None

    def take(self, files: TreeFiles) -> None:
        """Note those of a parcel."""
        arrived, outcomes, position = self._count, files.outcomes, 0
        for part in files.parts:
            own = outcomes[position : position + len(part.items)]
            position += len(part.items)
            for item, outcome in zip(part.items, own, strict=True):
                if outcome == Outcome.DONE and type(item) is Whole:
                    self._last = item.name
                    self._size += len(item.content)
                    if not self._count:
                        self._first = join(files.root, join(part.folder, item.name))
                    self._count += 1
            if self._count > arrived:
                arrived, self._last = self._count, join(files.root, join(part.folder, self._last))
        if self._count and self._telling is None:
            self._telling = self._journal.later(self.tell)

    def tell(self) -> None:
        """Log what hasn't been yet."""
        telling, self._telling = self._telling, None
        if telling is not None and telling.active():
            telling.cancel()
        if self._count:
            self._journal.line(
                LogLevel.info,
                "{who} {done} {count} small files, {size} bytes, verified: {first} to {last}",
                self._about,
                count=self._count,
                size=self._size,
                first=_cut(escaped(self._first[:_LONGEST])),
                last=_cut(escaped(self._last[:_LONGEST])),
            )
        self._count = self._size = 0


class AuditTrail:
    """Logs each file by itself, those of trees as well, under ``twisted_ft.audit``.

    It is an observer like any other, and takes some 20 us a file.
    """

    def __call__(self, event: Event) -> None:
        """See Observer."""
        _audit.info("{who} {kind} {action} {path}", **_fields(event))
