"""Digests of files that haven't changed since they were found: a popular file is hashed once.

A file is the same while its size, times, inode and device are.  The time of its last change of
status (ctime) is among them, which nobody can set.  A file that has changed a moment ago isn't
remembered: another change within the same tick of the clock wouldn't show (as in git's
racy-git.txt).
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from threading import Lock

LEAST_SIZE = 1 << 20
"""Bytes in a file from which on its digest is worth remembering."""
MOST_DIGESTS = 1 << 14
"""Digests remembered at once; of more, those go that were of no use for longest."""
_SETTLED = 2 * 10**9
"""Nanoseconds since the last change from which on another would show in the times of any
file system: FAT's have two seconds."""

State = tuple[int, int, int, int, int]


class Digests:
    """What a store remembers; used from several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[State, bytes] = OrderedDict()
        self._lock = Lock()

    def of(self, status: os.stat_result) -> bytes | None:
        """The digest of the file in this state, 32 bytes, where it is known."""
        state = _state(status)
        with self._lock:
            known = self._known.get(state)
            if known is not None:
                self._known.move_to_end(state)
            return known

    def remember(self, status: os.stat_result, digest: bytes | None) -> None:
        """The digest of the file in this state is ``digest``; None: it isn't what was thought.

        :param status: from before the file was read
        """
        state = _state(status)
        with self._lock:
            if digest is None:
                self._known.pop(state, None)
            elif status.st_size >= LEAST_SIZE and _has_settled(status):
                self._known[state] = digest
                if len(self._known) > MOST_DIGESTS:
                    self._known.popitem(last=False)


def _state(status: os.stat_result) -> State:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _has_settled(status: os.stat_result) -> bool:
    return max(status.st_mtime_ns, status.st_ctime_ns) < time.time_ns() - _SETTLED
