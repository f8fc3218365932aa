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
    """The states of some files in one folder.

    :param names: sorted; sizes, times and modes are in the same order
    """

    def __init__(
        self,
        names: Sequence[bytes],
        sizes: Sequence[int],
        mtimes: Sequence[int],
        modes: Sequence[int],
    ) -> None:
        self.names, self.sizes, self.mtimes, self.modes = names, sizes, mtimes, modes

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> int:
        """Bytes in all of them."""
        return sum(self.sizes)

    def summed(self, name: bytes) -> Summed:
        """All of them at once, as those in the folder ``name``."""
        return Summed(name, len(self.names), self._digest())

    def _digest(self) -> bytes:
        """The BLAKE3 of each name and a NUL, then of each size, then of each time."""
        digest = blake3(b"\0".join([*self.names, b""]))
        digest.update(struct.pack(f">{2 * len(self.names)}q", *self.sizes, *self.mtimes))
        return digest.digest()

    def described(self) -> Iterator[Described]:
        """Each of them."""
        for name, size, mtime, mode in zip(
            self.names, self.sizes, self.mtimes, self.modes, strict=True
        ):
            yield Described(name, "file", size, mtime, mode & 0o7777)
