"""Zero-copy: a DATA frame from a file descriptor to a socket with sendfile(2).

The kernel moves the bytes; a thread has read and hashed them a moment before, so they are
in the page cache and the reactor doesn't wait for the disk.  It takes a plain TCP or UNIX
transport of Twisted's and a source that has a descriptor; ``producers`` has the way for the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

from twisted_ft.errors import ConnectionFailed, FileTransferError
from twisted_ft.stores.interfaces import IDescriptorSource, ISource

HAS_SENDFILE = hasattr(os, "sendfile") and hasattr(os, "preadv")


def can_sendfile(transport: Any, source: ISource) -> bool:
    """Whether the kernel can take the bytes of ``source`` to ``transport`` by itself."""
    return (
        HAS_SENDFILE
        and isinstance(transport, tcp.Connection)
        and not transport.TLS
        and IDescriptorSource.providedBy(source)
    )


@implementer(IPullProducer)
class FileRange:
    """Sends a range of a file on a transport that is asked to write it and nothing else.

    Registered as a pull producer, it is asked for more whenever the transport's own buffer is
    empty, and then writes to the socket itself.

    :param transport: has nothing but what must go before the range in its buffer
    :param on_moved: is told when the socket has taken some
    """

    def __init__(
        self, transport: Any, fd: int, offset: int, size: int, on_moved: Callable[[], object]
    ) -> None:
        self.sent = 0
        """bytes of the range that are on the socket"""
        self._transport, self._fd = transport, fd
        self._offset, self._size = offset, size
        self._on_moved = on_moved
        self._registered = False
        self._done: Deferred[None] = Deferred()

    async def send(self) -> None:
        """Send the range, or as much of it as the file has.

        :raises FileTransferError: the connection has ended
        """
        self._transport.registerProducer(self, False)  # asks at once, before what waits is sent
        self._registered = True
        self._transport.startWriting()
        try:
            await self._done
        finally:
            self._registered = False
            self._transport.unregisterProducer()

    def resumeProducing(self) -> None:
        """See IPullProducer: the transport's buffer is empty, and the socket takes something."""
        if not self._registered:
            return
        try:
            moved = os.sendfile(
                self._transport.fileno(), self._fd, self._offset + self.sent, self._size - self.sent
            )
        except BlockingIOError:
            self._transport.startWriting()
            return
        except OSError:
            self.stop(ConnectionFailed("the connection was lost; run again to carry on"))
            self._transport.abortConnection()
            return
        self.sent += moved
        self._on_moved()
        if moved and self.sent < self._size:
            self._transport.startWriting()
        else:
            self._finish()

    def stopProducing(self) -> None:
        """See IProducer: the transport is gone."""
        self.stop(ConnectionFailed("the connection was lost; run again to carry on"))

    def stop(self, error: FileTransferError) -> None:
        """Send no more of it, for the reason ``error``."""
        if not self._done.called:
            self._done.errback(error)

    def _finish(self) -> None:
        if not self._done.called:
            self._done.callback(None)
