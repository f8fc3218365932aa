"""The receiver of one file that is kept nowhere: it goes on as it comes."""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IConsumer

from twisted_ft.stores.interfaces import Sink
from twisted_ft.transfer.bodies.inflow import Inflow
from twisted_ft.transfer.bodies.passing import ConsumerInflow, Output, PassingSink
from twisted_ft.transfer.bodies.tracker import TransferProgress, TransferTracker
from twisted_ft.transfer.connection.protocol import FileTransferProtocol
from twisted_ft.transfer.exchanges.receiving import Receiving


class Reading(Receiving):
    """Passes a file on, and verifies it at its end.

    :param to: takes the bytes: a consumer, or what may block
    """

    _DAMAGED = "the data was damaged on the way; don't use what has been passed on"

    def __init__(
        self, protocol: FileTransferProtocol, to: IConsumer | Output, tracker: TransferTracker
    ) -> None:
        super().__init__(protocol, tracker=tracker)
        self._consumer = to if IConsumer.providedBy(to) else None
        self._output = cast(Output, to) if self._consumer is None else None

    async def read(self, path: bytes) -> TransferProgress:
        """Ask for ``path``, and pass it on.

        :raises FileTransferError: why it isn't whole; some of it may have been passed on
        """
        file = await self.ask(path)
        try:
            return await self.receive_into(lambda: PassingSink(self._output), file)
        finally:
            if self._consumer is not None and self._inflow is not None:
                self._consumer.unregisterProducer()

    def _inflow_into(self, sink: Sink) -> Inflow:
        reading, protocol = self.protocol.reading, self.protocol
        if self._consumer is not None:
            return ConsumerInflow(reading, protocol, self._consumer, self._sink_failed)
        return Inflow(reading, protocol, sink, self._sink_failed, at_least=1)
