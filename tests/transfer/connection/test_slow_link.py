"""A link so slow that one piece takes longer than anyone's patience is not a dead peer."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from twisted_ft import FileTransferFactory, MemoryStore
from twisted_ft.delivery import Delivery
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.bodies.outflow import FIRST_PIECE

PATIENCE = 10
BYTES_A_SECOND = FIRST_PIECE // (4 * PATIENCE)


@pytest.mark.parametrize("direction", ["get", "put"])
def test_a_piece_may_take_four_times_the_patience(direction: str) -> None:
    content = bytes(3 * FIRST_PIECE)
    here, there = MemoryStore({b"up": content}), MemoryStore({b"down": content})
    network = MemoryNetwork(segment=BYTES_A_SECOND)
    factory = FileTransferFactory(there, writable=True, timeout=PATIENCE, runtime=network.runtime)
    client = network.client(factory, timeout=PATIENCE)
    transfer: Deferred[Delivery]
    transfer = (
        client.fetch("down", here, "got") if direction == "get" else client.send(here, "up", "got")
    )
    ended: list[object] = []
    transfer.addBoth(ended.append)
    while not ended:
        network.clock.advance(1)
        network.step()
    assert isinstance(ended[0], Delivery), ended[0]
    assert (here if direction == "get" else there).files[b"got"].content == content
