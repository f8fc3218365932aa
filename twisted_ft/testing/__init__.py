"""A real server and a real client against each other in memory: no network, no threads, no waiting.

::

    network = MemoryNetwork()
    factory = FileTransferFactory(MemoryStore({b"a": b"hello"}), runtime=network.runtime)
    client = network.client(factory)
    network.run(client.fetch("a", store, "a"))

Time stands still but for ``network.advance``; what would run in a thread runs between two
deliveries; transports have real back-pressure in both directions.  ``docs/testing.md`` has
recipes.  All of it is public: our own tests are made with it.
"""

from twisted_ft.testing.distance import DistantServer
from twisted_ft.testing.network import MemoryNetwork, MemoryThreads, Stuck
from twisted_ft.testing.peer import ScriptedPeer
from twisted_ft.testing.transport import MemoryTransport

__all__ = [
    "DistantServer",
    "MemoryNetwork",
    "MemoryThreads",
    "MemoryTransport",
    "ScriptedPeer",
    "Stuck",
]
