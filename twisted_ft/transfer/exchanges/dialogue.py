"""One exchange at one end, written as a coroutine that says and hears."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TypeVar, cast

from twisted.python.failure import Failure

from twisted_ft.errors import FileTransferError, error_for
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.event import Event
from twisted_ft.transfer.failures import as_error
from twisted_ft.transfer.sockets.recvfile import SocketBody
from twisted_ft.wire.machine import State
from twisted_ft.wire.messages import Abort, Message, Refuse

M = TypeVar("M", bound=Message)


class Dialogue:
    """What is heard in an exchange waits here until its coroutine asks for it.

    A Refuse or an Abort, and the end of the connection, are raised where the coroutine hears.

    :param protocol: the connection
    :param number: the exchange's, where the peer has opened it
    """

    def __init__(self, protocol: FileTransferProtocol, number: int | None = None) -> None:
        self.protocol = protocol
        if number is None:
            self.number = protocol.open(self)
        else:
            self.number = number
            protocol.take_part(number, self)
        self.failure: FileTransferError | None = None
        self._heard: deque[Message] = deque()
        self._news = Event()

    @property
    def state(self) -> State:
        """Where the exchange is."""
        return self.protocol.conversation.state_of(self.number)

    async def hear(self, kind: type[M]) -> M:
        """What the other side says next, which the tables have seen to be a ``kind``."""
        return cast(M, await self.hear_any())

    async def hear_any(self) -> Message:
        """What the other side says next, where the tables let it choose."""
        if not self._heard and self.failure is None:
            await self._news.wait()
        if self._heard:
            return self._heard.popleft()
        assert self.failure is not None
        raise self.failure

    def heard(self, message: Message) -> None:
        """See Participant."""
        if isinstance(message, (Refuse, Abort)):
            self.fail(error_for(message.code, message.text))
        else:
            self._heard.append(message)
            self._news.fire()

    def data_received(self, content: bytes | memoryview) -> None:
        """See Participant; no body is expected here."""

    def socket_offered(self, waiting: SocketBody) -> bool:
        """See Participant."""
        return False

    def connection_lost(self, error: FileTransferError) -> None:
        """See Participant."""
        self.fail(error)

    def fail(self, error: FileTransferError) -> None:
        """End the dialogue with ``error``, where it next hears."""
        if self.failure is None:
            self.failure = error
            self._news.fire()

    def tell(self, error: FileTransferError) -> FileTransferError:
        """Say why this end goes no further, where the tables give it a word for that.

        That is Refuse or Abort, by its role and the state; where it has none, it isn't its turn, or
        the exchange is over.

        :returns: the error
        """
        for word in (Refuse, Abort):
            if self.protocol.conversation.may_say(self.number, word):
                with suppress(FileTransferError):  # the connection may have ended, and all with it
                    self.protocol.say(word(self.number, error.code, error.text))
        return error

    async def called_off(self, reason: Failure) -> FileTransferError:
        """It has failed here: tell the other side, and leave when it has said its last word.

        :returns: the failure to raise
        """
        error = self.tell(as_error(reason))
        await self.protocol.leave(self.number)
        return error

    def check(self) -> None:
        """Raise what has ended the dialogue while nobody was hearing, if anything has."""
        if self.failure is not None:
            raise self.failure
