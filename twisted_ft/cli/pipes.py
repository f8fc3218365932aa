"""Standard input and output as what is sent and received: read and written as they come.

Neither is ever waited for so that a command couldn't end: what blocks looks first, for a moment,
whether anything is there, or taken.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_ft.errors import Cancelled, FileTransferError, StorageFailed
from twisted_ft.stores.interfaces import Buffer
from twisted_ft.stores.refusals import os_errors_named
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.runtime import InThread

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PIPE = 1 << 20
"""Bytes that a pipe should hold: as many as Linux lets anybody ask for."""
_AT_ONCE = 1 << 20
"""Bytes that are read, or written, in one call."""
_LULL = 10
"""Milliseconds for which a thread waits for more to read."""
_LOOK = 100
"""Milliseconds after which a thread that can't write looks whether anybody still wants it to."""


class OutputClosed(Cancelled):
    """Whoever has read standard output has enough."""


def _wide(descriptor: int) -> None:
    """Have a pipe hold more, where that can be asked for."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)


def _check_open(descriptor: int, name: str, wrong: int) -> None:
    """Whether a standard stream is open.

    :param wrong: how something is opened that stands in its place: see ``open_streams``
    :raises StorageFailed: it is closed
    """
    try:
        os.fstat(descriptor)
        is_closed = _access(descriptor) == wrong
    except OSError:
        is_closed = True
    if is_closed:
        raise StorageFailed(f"{name} is closed")


def _access(descriptor: int) -> int:
    """How it is opened: O_RDONLY, O_WRONLY or O_RDWR; the last, where nobody tells."""
    if not hasattr(fcntl, "F_GETFL"):
        return os.O_RDWR
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)


def _may_block(descriptor: int) -> bool:
    """Whether it isn't a file."""
    return not stat.S_ISREG(os.fstat(descriptor).st_mode)


class StandardOutput:
    """See Output: what is received goes to a descriptor.

    :raises StorageFailed: it is closed
    """

    def __init__(self) -> None:
        self._fd = descriptor = 1
        _check_open(descriptor, "standard output", os.O_RDONLY)
        self._blocks = _may_block(descriptor)
        self._stopped = False
        self._own = -1
        """a descriptor that doesn't block, where there can be one that others don't share"""
        if self._blocks:
            _wide(descriptor)
            with suppress(OSError):
                self._own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)

    def write(self, pieces: Sequence[Buffer]) -> None:
        """See Output.

        :raises OutputClosed: nobody reads it any more
        """
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[self._write_some(view) :]
        except BrokenPipeError as error:
            raise OutputClosed("standard output: nobody reads it any more") from error
        except OSError as error:
            raise StorageFailed(f"standard output: {error.strerror}") from error

    def _write_some(self, view: memoryview) -> int:
        if not self._blocks:
            return os.write(self._fd, view[:_AT_ONCE])
        ready = select.poll()
        ready.register(self._fd, select.POLLOUT)
        while not ready.poll(_LOOK):
            if self._stopped:
                raise Cancelled("it is no longer wanted")
        if self._own < 0:  # as much as doesn't block, once some may be written (POSIX)
            return os.write(self._fd, view[: select.PIPE_BUF])
        try:
            return os.write(self._own, view[:_AT_ONCE])
        except BlockingIOError:
            return 0

    def stop(self) -> None:
        """Have a thread that can't write give up."""
        self._stopped = True


@implementer(IReadDescriptor)
class StandardInput:
    """See DescriptorStream: what comes out of a descriptor is sent.

    :param reactor: tells when there is something to read
    :param in_thread: where a file is read
    :raises StorageFailed: it is closed
    """

    def __init__(self, reactor: Any, in_thread: InThread) -> None:
        self._reactor, self._in_thread = reactor, in_thread
        self._fd = descriptor = 0
        _check_open(descriptor, "standard input", os.O_WRONLY)
        self._waits = _may_block(descriptor)
        self._failure: FileTransferError | None = None
        self._is_ready = False
        self._news = Event()
        if self._waits:
            _wide(descriptor)

    async def next(self) -> bytes:
        """See Stream."""
        if not self._waits:
            return await self._in_thread(self._read)
        self._is_ready = False
        self._reactor.addReader(self)
        try:
            while not self._is_ready and self._failure is None:
                await self._news.wait()
        finally:
            self._reactor.removeReader(self)
        if self._failure is not None:
            raise self._failure
        return self._read()

    def _read(self) -> bytes:
        with os_errors_named(b"standard input"):
            return os.read(self._fd, _AT_ONCE)

    def read_into(self, buffer: memoryview) -> int:
        """See DescriptorStream."""
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        filled = 0
        while filled <= len(buffer) // 2 and ready.poll(_LULL):
            with os_errors_named(b"standard input"):
                count = os.readv(self._fd, [buffer[filled:]])
            if not count:
                break
            filled += count
        return filled

    # -- from the reactor ----------------------------------------------------------------

    def fileno(self) -> int:
        """See IReadDescriptor."""
        return self._fd

    def logPrefix(self) -> str:
        """See ILoggingContext."""
        return "standard input"

    def doRead(self) -> None:
        """See IReadDescriptor: there is something."""
        self._is_ready = True
        self._news.fire()

    def connectionLost(self, reason: Failure) -> None:
        """See IReadDescriptor: its end is there, which reading will show."""
        self.doRead()

    # -- the end -------------------------------------------------------------------------

    def stop(self, error: FileTransferError) -> None:
        """See Stream."""
        self._failure = error
        self._news.fire()

    def close(self) -> None:
        """See Stream: it is the process's."""
