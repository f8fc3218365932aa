"""What a command tells: a line for each file, progress on a terminal, JSON for scripts."""

from __future__ import annotations

import json
import os
import sys
import time
from copy import copy
from typing import TYPE_CHECKING, Any

from twisted_ft.cli.complaints import Complaints
from twisted_ft.cli.options import CommandOptions
from twisted_ft.delivery import Delivery
from twisted_ft.errors import FileTransferError, Untrusted
from twisted_ft.terminal import escaped, printable
from twisted_ft.transfer.bodies.tracker import Progress, TransferProgress
from twisted_ft.urls import Location

if TYPE_CHECKING:
    from twisted_ft.trees.deliveries import Tally


class Tracked:
    """One file while it moves, and how far it has come."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.moved: TransferProgress | None = None
        self.watch: Progress | None = None

    def progress(self, moved: TransferProgress) -> None:
        """See Progress."""
        self.moved = moved
        if self.watch is not None:
            self.watch(moved)


class Report:
    """Standard output has results, standard error the rest.

    :param clock: IReactorTime
    """

    def __init__(self, options: CommandOptions, clock: Any) -> None:
        self.options = options
        self._complaints = Complaints(self.say)
        self._bar: Any = None
        if options.progress and not options.quiet and sys.stderr.isatty():
            from twisted_ft.cli.progress import Bar

            self._bar = Bar(clock)

    def begin(self, name: str, sized: bool = True, shown: bool = True) -> Tracked:
        """A file is next.

        :param sized: whether its size is known from the start
        :param shown: whether there is room for a progress bar
        """
        tracked = Tracked()
        if self._bar is not None and shown:
            tracked.watch = self._bar.begin(escaped(name), sized)
        return tracked

    def follow(self, name: str, tally: Tally) -> None:
        """A tree is next, which is going as ``tally`` says."""
        if self._bar is not None:
            self._bar.follow(escaped(name), tally)

    def end_bar(self) -> None:
        """What was shown to be moving isn't any more."""
        if self._bar is not None:
            self._bar.end()

    def clear(self) -> None:
        """Something is about to be printed; what moves is shown again below it."""
        if self._bar is not None:
            self._bar.clear()

    def say(self, sentence: str) -> None:
        """A line on standard error."""
        self.clear()
        print(f"ft: {sentence}", file=sys.stderr, flush=True)

    def delivered(self, delivery: Delivery, place: Location, verified: bool = True) -> None:
        """A file is in its place, or was there already.

        :param place: on the server that it has come from, or gone to
        :param verified: whether its digest was compared with the sender's
        """
        self.end_bar()
        if self.options.json:
            as_json(**fields_of(delivery, place))
        elif not self.options.quiet:
            print(_sentence(delivery, verified), flush=True)

    def failed(
        self,
        target: str,
        error: FileTransferError,
        place: Location,
        tracked: Tracked | None = None,
    ) -> None:
        """A file isn't where it was to go.

        :param place: on the server that it was to go to, or come from
        """
        self.end_bar()
        moved = tracked.moved if tracked is not None else None
        if self.options.json:
            self.line(
                path=target,
                size=moved.file.size if moved else None,
                sent=moved.sent if moved else 0,
                resumed_from=moved.resumed_from if moved else 0,
                blake3=None,
                seconds=round(time.monotonic() - tracked.began, 6) if tracked else 0.0,
                status="failed",
                code=error.code,
                error=sentence(error, place),
            )
        self.complain(error, place)

    def changed(self, target: str, count: int, said: str) -> None:
        """A change is made.

        :param count: how many files and folders it concerned
        :param said: what it has come to
        """
        if self.options.json:
            self.line(path=target, count=count, status="done")
        elif not self.options.quiet:
            print(f"{escaped(target)}: {said}", flush=True)

    def would_send(self, target: str) -> None:
        """A file that stands by itself would be sent, in a dry run."""
        if self.options.json:
            self.line(path=target, status="would send")
        else:
            self.note(f"would transfer: {escaped(target)}")

    def note(self, sentence: str) -> None:
        """A result that is a sum of others; JSON has these."""
        if not self.options.json and not self.options.quiet:
            print(sentence, flush=True)

    def unchanged(
        self, target: str, error: FileTransferError, place: Location, hint: str = ""
    ) -> None:
        """A change isn't made.

        :param hint: see ``complain``
        """
        if self.options.json:
            said = sentence(error, place)
            self.line(path=target, count=0, status="failed", code=error.code, error=said)
        self.complain(error, place, hint)

    def complain(self, error: FileTransferError, place: Location, hint: str = "") -> None:
        """Say what has failed; of very many failures of one kind, only the first.

        :param place: on the server that it has to do with
        :param hint: what to do about it, in this command's own words
        """
        if isinstance(error, Untrusted) and error.unknown_issuer:
            hint = "give the certificate to trust with --tls-ca"
        said = sentence(error, place)
        self._complaints.take(error, f"{said}; {hint}" if hint else said)

    def complain_of_rest(self) -> None:
        """Say how many failures there were that have only been counted."""
        self._complaints.end()

    def tries_again(
        self, error: FileTransferError, place: Location, seconds: float, times: int
    ) -> None:
        """It goes on after a pause; on a terminal this stands above a bar.

        :param times: how many tries in a row this makes
        """
        if not self.options.quiet:
            brief = copy(error)
            brief.reason = error.reason.partition(";")[0]
            again = f"trying again in {seconds:g} s ({times} of {self.options.retries})"
            self.say(f"{printable(sentence(brief, place))}; {again}")

    def interrupted(self, carries_on: bool = True) -> None:
        """Ctrl-C.

        :param carries_on: whether the same command goes on with what has arrived
        """
        self.end_bar()
        again = "; run the same command again to resume" if carries_on else ""
        self.say(f"interrupted{again}")

    def line(self, **fields: Any) -> None:
        """One JSON object."""
        as_json(**fields)


def as_json(flush: bool = True, **fields: Any) -> None:
    """Print one JSON object; names that aren't UTF-8 have lone surrogates, as in Python."""
    print(json.dumps(fields), flush=flush)


def sentence(error: FileTransferError, place: Location) -> str:
    """What is told of a failure: the local path or the URL that it is about, and what happened.

    :param place: on the server that the command has to do with
    """
    if place.pattern is not None and error.path == place.pattern:
        return f"{place.at(b'')}{escaped(place.pattern)}: {error.reason}"
    if error.side == "there" and error.path is not None:
        return f"{place.at(os.fsencode(error.path).lstrip(b'/'))}: {error.reason}"
    is_named = error.path is not None or error.reason.startswith(f"{place.address}: ")
    return error.text if is_named or error.side == "here" else f"{place.address}: {error.reason}"


def fields_of(delivery: Delivery, place: Location) -> dict[str, Any]:
    """What is told of one file.

    :param place: on the server that it has come from, or gone to
    """
    fields = {
        "path": delivery.path,
        "size": delivery.size,
        "sent": delivery.sent,
        "resumed_from": delivery.resumed_from,
        "blake3": delivery.blake3,
        "seconds": round(delivery.seconds, 6),
        "status": delivery.status,
    }
    if delivery.grown:
        fields.update(grown=True)
    if delivery.error is not None:
        fields.update(code=delivery.error.code, error=sentence(delivery.error, place))
    return fields


def _sentence(delivery: Delivery, verified: bool) -> str:
    name = escaped(delivery.path)
    if delivery.status == "skipped":
        return f"{name}: already there, verified"
    text = f"{name}: {size(delivery.size)} in {delivery.seconds:.1f} s"
    if delivery.seconds > 0 and delivery.sent:
        text += f" ({size(delivery.sent / delivery.seconds)}/s)"
    if delivery.resumed_from:
        text += f", resumed from {size(delivery.resumed_from)}"
    text += ", verified" if verified else ""
    return text + ("; it has grown since" if delivery.grown else "")


def size(count: float) -> str:
    """``count`` bytes in decimal units (SI), as in ``1.5 GB``."""
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.0f} {units[0]}" if units[0] == "bytes" else f"{count:.3g} {units[0]}"
