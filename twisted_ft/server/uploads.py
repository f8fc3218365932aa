"""Which uploads are under way, and who may take one over.

A connection that has gone silent keeps its upload, and with it the name, until its time is over.
Whoever comes meanwhile with the same file, as the same user, or from the same machine where nobody
has said who they are, is the one that was cut off: the silent connection ends, and what it has
brought is carried on at once (tus-protocol#115, owncloud#17254).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from twisted_ft.errors import Cancelled
from twisted_ft.server.session import Session
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.event import Event
from twisted_ft.wire.messages import Attributes

SILENT = 2.0
"""Seconds without a byte after which an upload may be taken over; an honest client that was cut off
comes again within them, and waits."""

_Key = tuple[str, bytes]


class _Upload(msgspec.Struct):
    """One that is under way."""

    protocol: FileTransferProtocol
    file: Attributes
    over: Event = msgspec.field(default_factory=Event)
    """it has let go of its name"""


class Uploads:
    """The uploads that are under way, by whose they are and by their names."""

    def __init__(self) -> None:
        self._under_way: dict[_Key, _Upload] = {}

    @contextmanager
    def under_way(
        self, session: Session, protocol: FileTransferProtocol, file: Attributes
    ) -> Iterator[None]:
        """Note one, until it is over."""
        key, upload = (session.owner, file.path), _Upload(protocol, file)
        self._under_way.setdefault(key, upload)
        try:
            yield
        finally:
            if self._under_way.get(key) is upload:
                del self._under_way[key]
            upload.over.fire()

    async def take_over(self, session: Session, file: Attributes, now: float) -> None:
        """End the connection that has brought this file so far, if it is the same and is silent."""
        upload = self._under_way.get((session.owner, file.path))
        if upload is None or not _is_same(upload.file, file) or not _is_silent(upload, now):
            return
        over = upload.over.wait()
        upload.protocol.abort(Cancelled("another connection continues this upload"))
        await over


def _is_same(one: Attributes, other: Attributes) -> bool:
    """Whether the one can be carried on as the other: not, where nothing of it is kept."""
    return one.size is not None and (one.size, one.version) == (other.size, other.version)


def _is_silent(upload: _Upload, now: float) -> bool:
    since = upload.protocol.idle_since
    return since is not None and now - since >= SILENT
