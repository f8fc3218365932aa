"""Two threads on one body that comes fast: one reads and hashes what the other writes.

Copying into fresh pages of a file takes about as long as reading the socket and hashing together,
so each has a core.  What passes between them is a few buffers, which go round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread

from twisted_ft.stores.interfaces import Buffer
from twisted_ft.transfer.recvfile import SocketRange

_BUFFER = 1 << 19
"""Bytes in a buffer: few enough to be in a core's cache still when it is hashed."""
_BUFFERS = 4
"""What may be read and not yet written: so many buffers, 2 MiB in all."""


class Relay:
    """Hands a body on to a thread of its own, which writes it.

    All calls block, and are made in threads, one at a time.

    :param update: takes the bytes into the digest
    :param write: appends pieces to the sink; called in the relay's thread
    """

    def __init__(
        self, update: Callable[[Buffer], object], write: Callable[[Sequence[Buffer]], None]
    ) -> None:
        self._update, self._write = update, write
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[tuple[Sequence[Buffer], memoryview] | None] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(_BUFFER)))
        self._failure: Exception | None = None
        self._thread = Thread(target=self._write_all, name="ft-relay", daemon=True)
        self._thread.start()

    def add(self, pieces: Sequence[Buffer]) -> None:
        """Hash ``pieces``, and have them written; here, where they are more than a buffer holds.

        :raises Exception: what writing has failed with, now or earlier
        """
        for piece in pieces:
            self._update(piece)
        if sum(map(len, pieces)) <= _BUFFER:
            self._full.put((pieces, self._free.get()))
        else:
            buffers = [self._free.get() for _ in range(_BUFFERS)]  # all before them is written
            self._check()
            self._write(pieces)
            for buffer in buffers:
                self._free.put(buffer)
        self._check()

    def add_from(self, waiting: SocketRange) -> None:
        """Read ``waiting``, as far as it goes; hash it, and have it written.

        :raises Exception: what writing has failed with, now or earlier
        """
        while self._failure is None:
            buffer = self._free.get()
            count = waiting.fill(buffer)
            if not count:
                self._free.put(buffer)
                break
            piece = buffer[:count]
            self._update(piece)
            self._full.put(((piece,), buffer))
        self._check()

    def finish(self) -> None:
        """Wait until all is written; the last call.

        :raises Exception: what writing has failed with
        """
        self._full.put(None)
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _write_all(self) -> None:
        while (next_one := self._full.get()) is not None:
            pieces, buffer = next_one
            try:
                if self._failure is None:
                    self._write(pieces)
            except Exception as error:
                self._failure = error
            self._free.put(buffer)
