"""A body off a transport and into a sink: written and hashed in a thread, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from blake3 import blake3
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_ft.errors import Cancelled, FileTransferError
from twisted_ft.stores.interfaces import Buffer
from twisted_ft.transfer.bodies.ahead import read_ahead
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.runtime import InThread, Threads
from twisted_ft.transfer.sockets.recvfile import SocketBody
from twisted_ft.transfer.sockets.relay import relay

T = TypeVar("T")

WRITE_SIZE = 1 << 20
"""Bytes that are gathered before a thread writes them; what is less waits for the rest."""
HIGH_WATER = 4 * WRITE_SIZE
"""Bytes that may wait for the disk; past them the transport isn't read."""
LOW_WATER = 2 * WRITE_SIZE
"""Bytes below which it is read again."""
PIECE_COST = 256
"""Bytes that a piece is counted as beside its own: a peer may send them one by one."""


class Intake(Protocol):
    """What an Inflow asks of where its pieces come from."""

    def pause(self) -> None:
        """Have none come until ``resume``."""

    def resume(self) -> None:
        """The counterpart of ``pause``."""


class Outlet(Protocol):
    """What an Inflow asks of a sink, or of anything else that it may write to: see ISink."""

    @property
    def offset(self) -> int:
        """Bytes kept from an earlier run."""

    def kept(self) -> Iterator[bytes]:
        """The bytes kept from an earlier run."""

    def write(self, pieces: Sequence[Buffer]) -> None:
        """Append the pieces, in order.  Blocks."""


class Inflow:
    """Takes the pieces of a body as they come, and writes what has gathered, again and again.

    :param intake: is paused where more comes than is written
    :param threads: where what writes is called
    :param on_failure: is told, once, why the sink takes no more
    :param at_least: bytes that are gathered before a thread writes them
    """

    def __init__(
        self,
        intake: Intake,
        threads: Threads,
        sink: Outlet,
        on_failure: Callable[[FileTransferError], None],
        at_least: int = WRITE_SIZE,
    ) -> None:
        self._at_least = at_least
        self._intake, self._threads = intake, threads
        self._sink, self._on_failure = sink, on_failure
        self._digest = blake3()
        self._pieces: list[Buffer] = []
        self._waiting = 0
        self._paused = False
        self._failed = False
        self._stopped = False
        self._at_rest: list[Deferred[None]] = []
        self._busy = False
        self._on_socket: SocketBody | None = None
        self._on_taken: Callable[[SocketBody], None] = lambda _: None
        if sink.offset:
            self._begin(self._threads.at_length, self._hash_kept)

    def take(self, piece: Buffer) -> None:
        """Append a piece of the body."""
        if self._failed:
            return
        self._pieces.append(piece)
        self._waiting += len(piece) + PIECE_COST
        if self._waiting > HIGH_WATER and not self._paused:
            self._paused = True
            self._intake.pause()
        if self._waiting >= self._at_least and not self._busy:
            self._write_gathered()

    def take_from(self, waiting: SocketBody, on_taken: Callable[[SocketBody], None]) -> bool:
        """Append what can be read from a socket, by a thread.

        :param on_taken: is told when it has been
        :returns: False, where nothing more is written
        """
        if self._failed:
            return False
        self._on_socket, self._on_taken = waiting, on_taken
        if not self._busy:
            self._go_on()
        return True

    def stop(self) -> None:
        """Nothing more will come: what is kept needn't be hashed to its end."""
        self._stopped = True

    def at_rest(self) -> Deferred[None]:
        """Fires when everything that was taken is written and hashed, or never will be."""
        rest: Deferred[None] = Deferred()
        self._at_rest.append(rest)
        if not self._busy:
            self._go_on()
        return rest

    def digest(self) -> bytes:
        """The digest of the whole file, the kept part included, 32 bytes; once at rest."""
        return self._digest.digest()

    def _write_gathered(self) -> None:
        pieces, self._pieces = self._pieces, []
        self._begin(self._threads.in_thread, self._write, pieces)

    def _begin(self, call: InThread, job: Callable[..., int], *args: object) -> None:
        self._busy = True
        call(job, *args).addCallbacks(self._done, self._fail)

    def _write_from_socket(self, waiting: SocketBody) -> None:
        pieces, self._pieces = self._pieces, []
        self._busy = True
        job = self._threads.in_thread(self._write_from, pieces, waiting)
        job.addBoth(self._give_back).addCallbacks(self._done, self._fail)

    def _give_back(self, result: T) -> T:
        waiting, self._on_socket = self._on_socket, None
        if waiting is not None:
            self._on_taken(waiting)
        return result

    def _hash_kept(self) -> int:
        for piece in read_ahead(self._sink.kept()):
            if self._stopped:
                raise Cancelled("it is no longer wanted")
            self._digest.update(piece)
        return 0

    def _write(self, pieces: Sequence[Buffer]) -> int:
        self._sink.write(pieces)
        for piece in pieces:
            self._digest.update(piece)
        return sum(len(piece) + PIECE_COST for piece in pieces)

    def _write_from(self, pieces: list[Buffer], waiting: SocketBody) -> int:
        size = self._write(pieces)
        relay(waiting.fill, waiting.buffer_size, self._digest.update, self._sink.write)
        return size

    def _done(self, written: int) -> None:
        self._waiting -= written
        if self._waiting <= LOW_WATER:
            self._resume()
        self._busy = False
        self._go_on()

    def _go_on(self) -> None:
        """Write what has gathered, where it is enough or the last; else have a rest."""
        if self._on_socket is not None:
            self._write_from_socket(self._on_socket)
        elif self._pieces and (self._waiting >= self._at_least or self._at_rest):
            self._write_gathered()
        else:
            self._rest()

    def _fail(self, reason: Failure) -> None:
        known, self._failed = self._failed, True
        self._busy = False
        self._pieces.clear()
        self._waiting = 0
        self._give_back(None)
        self._resume()
        if not known:
            self._on_failure(as_error(reason))
        self._go_on()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._intake.resume()

    def _rest(self) -> None:
        waiting, self._at_rest = self._at_rest, []
        for each in waiting:
            each.callback(None)
