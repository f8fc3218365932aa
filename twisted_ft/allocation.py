"""How a process that moves large buffers has the C library's allocator behave."""

from __future__ import annotations

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
