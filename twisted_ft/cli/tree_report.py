"""What a command tells of a tree: a bar for all of it, each failure, and an account at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from operator import attrgetter

from twisted_ft.cli.report import Report, as_json, fields_of, size
from twisted_ft.delivery import Delivery
from twisted_ft.errors import FileTransferError
from twisted_ft.terminal import escaped
from twisted_ft.trees.deliveries import Batch, SameResults, Tally
from twisted_ft.urls import Location

_STATUS, _SENT = attrgetter("status"), attrgetter("sent")
_SAID = {"would send": "would transfer"}
"""What is said in place of a status, which scripts rely on; a download sends nothing."""
_AT_DESTINATION = ("removed", "would remove", "kept")
_NAMED = 10
"""Links and the like that are named in the account; of more, only the number is."""


class TreeReport:
    """Standard output has results, standard error the rest.

    :param target: where the tree goes
    :param place: on the server that it has to do with
    :param tally: how it is going
    :param dry_run: whether nothing is changed
    """

    def __init__(
        self, report: Report, target: str, place: Location, tally: Tally, dry_run: bool
    ) -> None:
        self._dry_run = dry_run
        self._report, self._options = report, report.options
        self._target, self._place = target, place
        self._began = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._files: Counter[str] = Counter()
        self._folders: Counter[str] = Counter()
        """of what is, or would be, removed; or is kept, as no more may be"""
        self._size = self._sent = self._to_send = 0
        self._left_out: list[str] = []
        """the first of them"""
        report.follow(target, tally)

    def take(self, deliveries: Batch) -> None:
        """Some files are in their places, were there already, have failed, or were left out."""
        if isinstance(deliveries, SameResults) and not self._options.json:
            self._counts[deliveries.status] += len(deliveries)
            self._size += deliveries.size
            self._sent += deliveries.sent
            return
        if self._options.json:
            self._report.clear()
        self._counts.update(map(_STATUS, deliveries))
        self._sent += sum(map(_SENT, deliveries))
        for delivery in deliveries:
            status = delivery.status
            if status in ("done", "skipped"):
                self._size += delivery.size
            else:
                self._take_other(delivery)
            if self._options.json:
                as_json(flush=False, **fields_of(delivery, self._place))
        if self._options.json:
            sys.stdout.flush()

    def _take_other(self, delivery: Delivery) -> None:
        if delivery.status == "failed" and delivery.error is not None:
            self._report.complain(delivery.error, self._place)
        elif delivery.status == "left out":
            if len(self._left_out) < _NAMED:
                self._left_out.append(escaped(delivery.path))
        elif not self._options.json and not self._options.quiet:
            self._report.clear()
            said = _SAID.get(delivery.status, delivery.status)
            print(f"{said}: {escaped(delivery.path)}")
        if delivery.status in _AT_DESTINATION:
            self._files[delivery.status] += delivery.files
            self._folders[delivery.status] += delivery.folders
        if delivery.status == "would send":
            self._to_send += delivery.size

    def summary(self, failure: FileTransferError | None) -> int:
        """The account of it all; the exit status.

        :param failure: why the tree hasn't been gone through to its end, if it hasn't
        """
        self._report.end_bar()
        if failure is not None:
            self._report.complain(failure, self._place)
        self._report.complain_of_rest()
        seconds = time.monotonic() - self._began
        status = 1 if failure is not None or self._counts["failed"] or self._counts["kept"] else 0
        if self._options.json:
            as_json(
                tree=self._target,
                done=self._counts["done"],
                skipped=self._counts["skipped"],
                failed=self._counts["failed"],
                left_out=self._counts["left out"],
                removed=self._counts["removed"],
                removed_files=self._files["removed"],
                removed_folders=self._folders["removed"],
                kept=self._counts["kept"],
                size=self._size,
                sent=self._sent,
                seconds=round(seconds, 6),
                status="failed" if status else "done",
            )
        elif not self._options.quiet and (failure is None or self._counts):
            print(self._sentence(seconds), flush=True)
        return status

    def _sentence(self, seconds: float) -> str:
        if self._dry_run:
            sent, removed = self._counts["would send"], self._counted("would remove")
            text = f"{escaped(self._target)}: {sent:,} to transfer, {size(self._to_send)}"
            text += f"; {removed} to remove{self._ill()}"
            return f"{text}; nothing was changed"
        done = self._counts["done"]
        text = f"{escaped(self._target)}: {done:,} file{'' if done == 1 else 's'} verified"
        text += f", {size(self._sent)} transferred in {seconds:.1f} s"
        if self._counts["skipped"]:
            text += f"; {self._counts['skipped']:,} already there"
        if self._counts["removed"]:
            text += f"; {self._counted('removed')} removed"
        text += self._ill()
        left_out = self._counts["left out"]
        if left_out:
            text += f"; {left_out:,} left out (not files): "
            text += ", ".join(self._left_out)
            text += ", ..." if left_out > _NAMED else ""
        return text

    def _ill(self) -> str:
        """What has failed, and what was to be removed and isn't."""
        text = f"; {self._counts['failed']:,} failed" if self._counts["failed"] else ""
        if self._counts["kept"]:
            text += f"; {self._counted('kept')} not removed, as no more may be"
        return text

    def _counted(self, status: str) -> str:
        files, folders = self._files[status], self._folders[status]
        text = f"{folders:,} folder{'' if folders == 1 else 's'}"
        if not folders or files:
            text = f"{text}, " * bool(folders) + f"{files:,} file{'' if files == 1 else 's'}"
        return text
