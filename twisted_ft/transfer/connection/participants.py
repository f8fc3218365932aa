"""Who takes part in an exchange, on one end of it."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from twisted_ft.errors import FileTransferError
from twisted_ft.transfer.sockets.recvfile import SocketBody
from twisted_ft.transfer.sockets.recvmessages import SocketMessages
from twisted_ft.wire.messages import Message


class Participant(Protocol):
    """What stands behind one exchange at one end: a sender, a receiver, a lister."""

    def heard(self, message: Message) -> None:
        """The other side has said something about this exchange, and may say it here."""

    def data_received(self, content: bytes | memoryview) -> None:
        """Some of the exchange's body; the buffer may be kept."""

    def socket_offered(self, waiting: SocketBody) -> bool:
        """More of the body is on the socket, and may be taken there, by a thread.

        :returns: whether it will be: the socket is then the participant's, until it gives it
            back by ``body_returned``
        """

    def connection_lost(self, error: FileTransferError) -> None:
        """Nothing more will be heard."""


class ParcelTaker(Protocol):
    """Who takes the parcels of a tree, and may take them where they come."""

    @property
    def may_be_offered(self) -> bool:
        """Whether it would take messages off the socket now."""

    def messages_offered(self, waiting: SocketMessages) -> None:
        """A long message, and perhaps more, is on the socket: to be taken there, by a thread.

        The socket is the taker's, until it gives it back by ``messages_returned``.
        """


class Bodiless:
    """The part of a Participant of an exchange in which there is no body."""

    def data_received(self, content: bytes | memoryview) -> None:
        """The tables let none through."""

    def socket_offered(self, waiting: SocketBody) -> bool:
        """The tables let none through."""
        return False


class Nobody:
    """Stands behind an exchange that its participant has left before its end."""

    def __init__(self) -> None:
        self.over: Deferred[None] = Deferred()

    def heard(self, message: Message) -> None:
        """Passed over."""

    def data_received(self, content: bytes | memoryview) -> None:
        """Passed over."""

    def socket_offered(self, waiting: SocketBody) -> bool:
        """Passed over, as it comes."""
        return False

    def connection_lost(self, error: FileTransferError) -> None:
        """The exchange is over with it."""
        self.over.callback(None)
