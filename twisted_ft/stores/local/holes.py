"""Zeros that needn't be written: a file that is only made longer reads as zeros there.

Where the file system can, it keeps no blocks for them (a hole), so a sparse file stays one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from twisted_ft.stores.interfaces import Buffer
from twisted_ft.stores.system import write_all

BLOCK = 4096
"""Bytes that a file system keeps or doesn't keep, as most do."""
_RUN = 16
"""Blocks of zeros that are worth a system call.  At the ends of a piece fewer are, as what comes
next may have more of them."""
WORTHWHILE = _RUN * BLOCK
"""Bytes of a whole file that may have such a run."""
_ZEROS = bytes(BLOCK)
_BEGIN_ALIKE = re.compile(rb"\A\0+|\0{%d,}|\0+\Z" % _RUN)


def append(fd: int, pieces: Sequence[Buffer], end: int) -> None:
    """Append the pieces to a file that is open to be appended to, and has ``end`` bytes."""
    data: list[Buffer] = []
    for piece in pieces:
        view, done = memoryview(piece), 0
        for start, stop in zeros_in(view, end):
            write_all(fd, [*data, view[done:start]] if start > done else data)
            data = []
            os.ftruncate(fd, end + stop)
            done = stop
        if done < len(view):
            data.append(view[done:] if done else piece)
        end += len(view)
    write_all(fd, data)


def zeros_in(piece: memoryview, position: int) -> list[tuple[int, int]]:
    """Where in a piece, which is at ``position`` of a file, are only zeros: from and to, in order.

    Where nothing is, a few bytes are looked at: the first of one block in ``_RUN``, and of those
    at the ends.
    """
    first = -position % BLOCK
    count = (len(piece) - first) // BLOCK
    if count < 1:
        return []
    last = first + count * BLOCK
    if (
        piece[first]
        and piece[last - BLOCK]
        and 0 not in piece[first : last : _RUN * BLOCK].tolist()
    ):
        return []
    found = [
        (first + start * BLOCK, first + stop * BLOCK)
        for alike in _BEGIN_ALIKE.finditer(piece[first:last:BLOCK].tobytes())
        for start, stop in _runs(piece[first:last], *alike.span())
        if stop - start >= _RUN or start == 0 or stop == count
    ]
    if found and found[0][0] == first and _are_zeros(piece[:first]):
        found[0] = 0, found[0][1]
    if found and found[-1][1] == last and _are_zeros(piece[last:]):
        found[-1] = found[-1][0], len(piece)
    return found


def _runs(blocks: memoryview, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The runs of blocks that are all zeros, among those from one block to another."""
    start = begin
    for at in range(begin, end):
        if not _are_zeros(blocks[at * BLOCK : (at + 1) * BLOCK]):
            if at > start:
                yield start, at
            start = at + 1
    if end > start:
        yield start, end


def _are_zeros(block: memoryview) -> bool:
    """Whether that is so of a block, or of a part of one."""
    return not len(block) or (not block[-1] and block.tobytes() == _ZEROS[: len(block)])
