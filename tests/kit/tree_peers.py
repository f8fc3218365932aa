"""One end of a tree that is real, and the other one scripted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from tests.kit.planting import gathered, grow
from tests.kit.saying import D
from twisted_ft import Delivery, connect
from twisted_ft.testing import MemoryNetwork
from twisted_ft.trees.options import TreeOptions
from twisted_ft.wire.messages import (
    Failing,
    Get,
    Item,
    Message,
    Parcel,
    Part,
    Receipts,
    Refuse,
    Settled,
)


class Putting:
    """A real client that uploads a tree, and a scripted server that takes it."""

    def __init__(self, place: Path, files: dict[str, bytes]) -> None:
        grow(place, files)
        self.network = MemoryNetwork()
        endpoint, self.peer = self.network.scripted_server()
        connected = connect(endpoint, runtime=self.network.runtime)
        self.network.settle()
        self.peer.welcome()
        client = self.network.run(connected)
        self.done: Deferred[dict[str, Delivery]] = ensureDeferred(
            gathered(client.put_tree(place, "t"))
        )
        self.network.settle()

    def answer(self, outcomes: bytes, *failures: Failing) -> None:
        """Say the Receipts of the last parcel."""
        self.peer.say(Receipts(self.parcels[-1].exchange, outcomes, failures))
        self.network.settle()

    def finish(self) -> None:
        """Answer what is left, which is only how folders are to be."""
        while self.parcels and isinstance(self.parcels[-1].parts[0].items[0], Settled):
            before = len(self.parcels)
            self.answer(D * sum(len(part.items) for part in self.parcels[-1].parts))
            if len(self.parcels) == before:
                return

    @property
    def parcels(self) -> list[Parcel]:
        return [each for each in self.peer.messages if isinstance(each, Parcel)]


class Fetching:
    """A real client that has asked for a tree, and a scripted server that sends it."""

    def __init__(self, place: Path, **options: Any) -> None:
        self.place = place
        self.network = MemoryNetwork()
        self.disk = self.network.threads()
        endpoint, self.peer = self.network.scripted_server()
        connected = connect(endpoint, runtime=self.disk.runtime)
        self.network.settle()
        self.peer.welcome()
        self.client = self.network.run(connected)
        self.results: list[Delivery] = []
        deliveries = self.client.get_tree("d", place, TreeOptions(**options))
        self.done: Deferred[None] = ensureDeferred(self._take(deliveries))
        self.network.settle()
        self._number = 0

    async def _take(self, deliveries: Any) -> None:
        async for each in deliveries:
            self.results.append(each)

    def say(self, *messages: Message) -> None:
        self.peer.say(*messages)
        self.network.settle()

    def parcel(self, *parts: Part | Item, fetch: int = 1) -> Message:
        """Say a parcel, of items of the root or of parts; what is answered."""
        self._number += 2
        items = tuple(each for each in parts if not isinstance(each, Part))
        given = tuple(each for each in parts if isinstance(each, Part))
        if items:
            given = (Part(b"", items), *given)
        self.say(Parcel(self._number, fetch, b"", given))
        (answer,) = (
            each
            for each in self.peer.messages
            if isinstance(each, (Receipts, Refuse)) and each.exchange == self._number
        )
        return answer

    def codes(self, *parts: Part | Item) -> list[str]:
        """Say a parcel; the codes of what failed in it."""
        answer = self.parcel(*parts)
        assert isinstance(answer, Receipts)
        return [each.code for each in answer.failures]

    def asked(self) -> list[bytes]:
        """The files that the client has asked for by Get."""
        return [each.path for each in self.peer.messages if isinstance(each, Get)]
