from twisted_ft import FileTransferFactory, MemoryStore, connect
from twisted_ft.testing import MemoryNetwork


def test_round_trip() -> None:
    network = MemoryNetwork()
    here, there = MemoryStore(), MemoryStore({b"a": b"hello" * 1000000})
    factory = FileTransferFactory(there, writable=True, runtime=network.runtime)
    client = network.run(connect(network.endpoint(factory), runtime=network.runtime))
    assert network.run(client.fetch("a", here, "b")).status == "done"
    assert network.run(client.send(here, "b", "c")).status == "done"
    assert there.files[b"c"].content == there.files[b"a"].content
    network.run(client.close())
