"""What has failed, told so that one cause doesn't fill the screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted_ft.errors import FileTransferError
from twisted_ft.terminal import printable

_NAMED = 10
"""Failures of a kind that are named."""
_KINDS = 100
"""Kinds that are told apart: a peer can make up codes."""
Kind = tuple[str, str | None, bool]
"""Code and side of a failure, and whether it is that of a file."""


class Complaints:
    """Names the first failures of a kind, and counts the others.

    :param say: prints a line
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._named: Counter[Kind] = Counter()
        self._more: Counter[Kind] = Counter()
        self._reasons: dict[Kind, str] = {}
        """why the last of those that are only counted failed"""

    def take(self, error: FileTransferError, sentence: str) -> None:
        """One more has failed.

        :param sentence: what is told of it; where that names no file, it is told once
        """
        of_file = error.path is not None
        kind: Kind = error.code, error.side, of_file
        if kind not in self._named and len(self._named) >= _KINDS:
            kind = FileTransferError.code, None, of_file
        if self._named[kind] < (_NAMED if of_file else 1):
            self._named[kind] += 1
            self._say(printable(sentence))
        else:
            self._more[kind] += 1
            self._reasons[kind] = (error.reason if of_file else sentence).partition(";")[0]

    def end(self) -> None:
        """Tell how many more there were."""
        for kind, count in self._more.items():
            files = "1 more file" if count == 1 else f"{count:,} more files"
            self._say(f"{files}: {printable(self._reasons[kind])}")
        self._more.clear()
