"""How a process that moves large buffers has the C library's allocator behave."""

from __future__ import annotations

import sys
from collections.abc import Callable

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""
_LARGEST_MMAP_THRESHOLD = 32 << 20
"""DEFAULT_MMAP_THRESHOLD_MAX of glibc on 64-bit systems, in bytes (mallopt(3))."""


def keep_freed_buffers() -> None:
    """Have freed buffers used again, where glibc would give each back to the kernel at once.

    Every buffer off a socket would else be made of fresh pages, which cost a receiver as much
    as the transfer itself.  Freeing one block that was mapped raises glibc's two thresholds to
    its size, and twice its size (mallopt(3), M_MMAP_THRESHOLD); the block's pages are never
    touched.  Other allocators don't notice.
    """
    bytes(_LARGEST_MMAP_THRESHOLD - (1 << 20))


def share_one_heap() -> None:
    """Have all threads take memory from one heap, where glibc gives each of some its own.

    Each heap keeps what was freed in it, up to its threshold; of a server's ten threads that would
    be ten times as much, for good, after a peer that asked for much has left (mallopt(3),
    M_ARENA_MAX).  Other C libraries have no such call.
    """
    if (mallopt := _glibc("mallopt")) is not None:
        mallopt(_ARENA_MAX, 1)


def give_back_freed() -> None:
    """Give freed memory back to the kernel, where glibc keeps it (malloc_trim(3)).  Blocks."""
    if (malloc_trim := _glibc("malloc_trim")) is not None:
        malloc_trim(0)


def _glibc(function: str) -> Callable[..., int] | None:
    """A function of the C library, where it has it."""
    if sys.platform != "linux":
        return None
    import ctypes

    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), function, None)
    return found
