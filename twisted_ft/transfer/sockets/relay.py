"""Two threads on one body that comes fast: one reads and hashes what the other writes.

Received, copying into fresh pages of a file takes about as long as reading the socket and hashing
together; sent, copying into the socket takes half as long as reading the file and hashing.  So each
has a core.  What passes between them is two buffers, which go to and fro.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread

from twisted_ft.stores.interfaces import Buffer

_BUFFERS = 2
"""One is filled while the other is written: at most so much has been read and isn't written."""


def relay(
    fill: Callable[[memoryview], int],
    size: int,
    update: Callable[[Buffer], object],
    write: Callable[[Sequence[Buffer]], None],
) -> None:
    """Read a body, as far as it goes; hash it, and have it written.  Blocks.

    :param fill: reads some of it into a buffer; bytes, and 0 where it goes no further
    :param size: bytes in a buffer
    :param update: takes bytes into the digest
    :param write: has the pieces follow those before; called in a thread of its own
    :raises Exception: what any of them has failed with
    """
    writer = _Writer(write, size)
    try:
        while (buffer := writer.free.get()) is not None:
            count = fill(buffer)
            if not count:
                break
            update(buffer[:count])
            writer.full.put((buffer, count))
    finally:
        writer.finish()


class _Writer:
    """A thread that writes what is ``full``, and gives the buffer back; None, if it has failed.

    :param size: bytes in a buffer
    """

    def __init__(self, write: Callable[[Sequence[Buffer]], None], size: int) -> None:
        self.free: SimpleQueue[memoryview | None] = SimpleQueue()
        self.full: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        """buffers, and how many of their bytes are to be written; None at the end"""
        for _ in range(_BUFFERS):
            self.free.put(memoryview(bytearray(size)))
        self._write = write
        self._failure: Exception | None = None
        self._thread = Thread(target=self._write_all, name="ft-relay", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until all is written.

        :raises Exception: what writing has failed with
        """
        self.full.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _write_all(self) -> None:
        try:
            while (next_one := self.full.get()) is not None:
                buffer, count = next_one
                self._write((buffer[:count],))
                self.free.put(buffer)
        except Exception as error:
            self._failure = error
            self.free.put(None)
