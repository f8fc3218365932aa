"""The states of the plain files in a folder, by which two ends find out whether they are the same.

A state is a file's size and its time.  The digest of all of them is made at both ends, so a folder
in which nothing has changed is compared by 32 bytes, and no file in it is spoken of.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence

from blake3 import blake3

from twisted_ft.wire.messages import Described, Summed

MOST_SUMMED = 1 << 15
"""Files that are compared by sums in what is unpacked together, at most.  No good sender says more
of them, and whoever wants to know them holds no more than that."""


TIME_MAX = 2**63 - 1
"""Nanoseconds that FT/1 can say, after 1970 or before; there are file systems that hold more."""
CLOCK_TICK = 20_000_000
"""Nanoseconds in which two changes of a file may get one time: clocks of kernels tick each 1 to 16
milliseconds.  A time that is so close to now says nothing of whether a file is the same."""
NO_TIME = -(2**63)
"""Said in place of a time that says nothing; no file has it, as times that come from a disk are
later."""


def time_said(mtime: int) -> int:
    """A time in nanoseconds since 1970, as it can be said."""
    return mtime if -TIME_MAX <= mtime <= TIME_MAX else TIME_MAX if mtime > 0 else -TIME_MAX


def says_nothing(mtime: int) -> bool:
    """Whether two changes of a file may have this time, in nanoseconds since 1970.

    They may within the tick of this machine's clock from now; and from 2262 on, and before 1678, as
    one time stands there for all that can't be said.
    """
    return not -TIME_MAX < mtime < TIME_MAX or abs(time.time_ns() - mtime) < CLOCK_TICK


def telling(mtime: int) -> int:
    """A file's time, as the other side is to compare it."""
    return NO_TIME if says_nothing(mtime) else mtime


class States:
    """The states of some files in one folder; kept as bytes, as many wait for an answer.

    :param names: sorted; sizes, times and modes are in the same order
    """

    def __init__(
        self,
        names: Sequence[bytes],
        sizes: Sequence[int],
        mtimes: Sequence[int],
        modes: Sequence[int],
    ) -> None:
        self._count = len(names)
        self._oldest, self._newest = min(mtimes, default=0), max(mtimes, default=0)
        self._names = b"\0".join([*names, b""])
        self._numbers = struct.pack(f">{2 * self._count}q", *sizes, *mtimes)
        self._modes = struct.pack(f">{self._count}I", *modes)
        self.size = sum(sizes)
        """bytes in all of them"""

    def __len__(self) -> int:
        return self._count

    @property
    def names(self) -> list[bytes]:
        """Theirs, sorted."""
        return self._names.split(b"\0")[:-1]

    @property
    def last(self) -> bytes:
        """The name of the last of them; there must be one."""
        return self._names[:-1].rpartition(b"\0")[2]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Theirs, in the order of their names."""
        return struct.unpack_from(f">{self._count}q", self._numbers)

    @property
    def any_says_nothing(self) -> bool:
        """Whether some of them may have changed without a change of their time."""
        if self._oldest > -TIME_MAX and self._newest <= time.time_ns() - CLOCK_TICK:
            return False
        return any(map(says_nothing, self._mtimes()))

    def telling(self) -> States:
        """These, with no times that say nothing, as the other side is to compare them."""
        if not self.any_says_nothing:
            return self
        modes = struct.unpack(f">{self._count}I", self._modes)
        return States(self.names, self.sizes, [*map(telling, self._mtimes())], modes)

    def _mtimes(self) -> tuple[int, ...]:
        return struct.unpack_from(f">{self._count}q", self._numbers, 8 * self._count)

    def summed(self, name: bytes) -> Summed:
        """All of them at once, as those in the folder ``name``."""
        return Summed(name, self._count, self._digest())

    def _digest(self) -> bytes:
        """The BLAKE3 of each name and a NUL, then of each size, then of each time."""
        digest = blake3(self._names)
        digest.update(self._numbers)
        return digest.digest()

    def described(self) -> Iterator[Described]:
        """Each of them."""
        modes = struct.unpack(f">{self._count}I", self._modes)
        states = zip(self.names, self.sizes, self._mtimes(), modes, strict=True)
        for name, size, mtime, mode in states:
            yield Described(name, "file", size, mtime, mode & 0o7777)
