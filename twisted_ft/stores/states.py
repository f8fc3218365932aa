"""The states of the plain files in a folder, by which two ends find out whether they are the same.

A state is a file's size and its time.  The digest of all of them is made at both ends, so a folder
in which nothing has changed is compared by 32 bytes, and no file in it is spoken of.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from blake3 import blake3

from twisted_ft.wire.messages import Described, Summed

MOST_SUMMED = 1 << 15
"""Files that are compared by sums in what is unpacked together, at most.  No good sender says more
of them, and whoever wants to know them holds no more than that."""


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
        mtimes = struct.unpack_from(f">{self._count}q", self._numbers, 8 * self._count)
        modes = struct.unpack(f">{self._count}I", self._modes)
        for name, size, mtime, mode in zip(self.names, self.sizes, mtimes, modes, strict=True):
            yield Described(name, "file", size, mtime, mode & 0o7777)
