"""What is hashed for a peer is hashed no longer than it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.kit.staging import code_of, content_of, failure_of
from twisted_ft import FileTransferFactory, MemoryStore
from twisted_ft.errors import Cancelled
from twisted_ft.stores.interfaces import Sink, Source
from twisted_ft.stores.memory import MemorySink, MemorySource
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.messages import Attributes

CONTENT = content_of(40 << 20)
PIECES = 40


class Telling(MemoryStore):
    """Tells of each piece that is read again."""

    def __init__(self, on_piece: Callable[[], None], **files: bytes) -> None:
        super().__init__({name.encode(): content for name, content in files.items()})
        self.on_piece = on_piece
        self.pieces = 0

    def told(self) -> None:
        self.pieces += 1
        self.on_piece()

    def source(self, path: bytes) -> Source:
        source = super().source(path)
        assert isinstance(source, MemorySource)
        read = source.read

        def told(offset: int, size: int) -> bytes:
            self.told()
            return read(offset, min(size, 1 << 20))

        source.read = told  # type: ignore[method-assign]
        return source

    def sink(
        self, file: Attributes, overwrite: bool, durable: bool = True, *, owner: str = ""
    ) -> Sink:
        sink = super().sink(file, overwrite, durable, owner=owner)
        assert isinstance(sink, MemorySink)
        kept = sink.kept

        def in_pieces() -> Iterator[bytes]:
            for piece in kept():
                for start in range(0, len(piece), 1 << 20):
                    self.told()
                    yield piece[start : start + (1 << 20)]

        sink.kept = in_pieces  # type: ignore[method-assign]
        return sink


@pytest.mark.parametrize("direction", ["get", "put"])
def test_nothing_is_hashed_for_who_has_left(direction: str) -> None:
    network = MemoryNetwork()

    def cut() -> None:
        if there.pieces == 3:
            network.cut()

    here = MemoryStore({b"a": CONTENT} if direction == "put" else {})
    there = Telling(cut, **({"a": CONTENT} if direction == "get" else {}))
    source, sink = (here, there) if direction == "put" else (there, here)
    kept = MemoryStore.sink(sink, MemoryStore.source(source, b"a").attributes, True)
    kept.write([CONTENT[: PIECES << 19]])
    kept.keep()
    factory = FileTransferFactory(there, writable=True, runtime=network.runtime)
    client = network.client(factory)
    if direction == "put":
        outcome = failure_of(client.send(here, "a", "a"))
    else:
        outcome = failure_of(client.fetch("a", here, "a"))
    network.settle()
    assert [code_of(each) for each in outcome] == ["connection"]
    assert 3 <= there.pieces < 8


def test_a_sink_is_let_go_of_when_hashing_is_stopped() -> None:
    network = MemoryNetwork()
    there = Telling(lambda: None)
    here = MemoryStore({b"a": CONTENT})
    kept = MemoryStore.sink(there, here.source(b"a").attributes, True)
    kept.write([CONTENT[: 1 << 20]])
    kept.keep()
    factory = FileTransferFactory(there, writable=True, runtime=network.runtime)
    call = network.client(factory).send(here, "a", "a")
    outcome = failure_of(call)
    while not there.receiving:
        network.step()
    call.cancel()
    network.settle()
    assert not there.receiving
    assert not isinstance(outcome[0], Cancelled)
    assert network.run(network.client(factory).send(here, "a", "a")).status == "done"
