"""Where a stream waits until its end, which tells what it is."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

from twisted_ft.stores.interfaces import Buffer
from twisted_ft.stores.refusals import os_errors_named


class Spool:
    """A file without a name that takes a whole stream, until it is known what the stream is.

    It is in the folder that the file will be in; a process that dies leaves nothing of it.
    All of it blocks.

    :param folder: made if missing
    """

    offset = 0
    """See ISink: nothing is kept from an earlier run."""

    def __init__(self, folder: str) -> None:
        self._about = os.fsencode(folder)
        with os_errors_named(self._about):
            os.makedirs(folder, exist_ok=True)
            self._path: str | None = os.path.join(folder, f".ft-{secrets.token_hex(16)}.part")
            self._file = open(self._path, "x+b")  # noqa: SIM115
            self.mode = stat.S_IMODE(os.fstat(self._file.fileno()).st_mode)
            """the permissions that a new file has here"""
            if os.name != "nt":  # Windows can't remove what is open
                self._remove()
        self.size = 0

    def kept(self) -> Iterator[bytes]:
        """See ISink."""
        return iter(())

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See ISink."""
        with os_errors_named(self._about):
            self._file.writelines(pieces)
            self._file.flush()
        self.size += sum(map(len, pieces))

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``."""
        with os_errors_named(self._about):
            self._file.seek(offset)
            return self._file.read(size)

    def close(self) -> None:
        """Give it up."""
        with suppress(OSError):  # a full disk has been told of
            self._file.close()
        with os_errors_named(self._about):
            self._remove()

    def _remove(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            os.unlink(path)
