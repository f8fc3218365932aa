"""Trees of any store: what its sources and sinks make of things that a tree may meet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kit.stores import PlainLocalStore
from twisted_ft.errors import Cancelled
from twisted_ft.stores.conformance.samples import (
    TIME,
    content_in,
    described,
    file_described,
    names_in,
    packed,
    unpacked,
    whole,
)
from twisted_ft.stores.interfaces import Packing
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.packing import LocalPacker
from twisted_ft.stores.local.unpacking import LocalUnpacker
from twisted_ft.stores.memory import MemoryStore
from twisted_ft.stores.piecewise import (
    PiecewisePacker,
    PiecewiseUnpacker,
    packer_of,
    unpacker_of,
)
from twisted_ft.wire.messages import Described, Item


def test_a_stores_own_ways_come_first(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("it has none there")
    assert isinstance(packer_of(LocalStore(tmp_path)), LocalPacker)
    assert isinstance(unpacker_of(LocalStore(tmp_path), True, True), LocalUnpacker)
    for store in (PlainLocalStore(tmp_path), MemoryStore()):
        assert isinstance(packer_of(store), PiecewisePacker)
        assert isinstance(unpacker_of(store, True, True), PiecewiseUnpacker)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs, and few links")
def test_what_is_no_file_is_not_taken_for_one(tmp_path: Path) -> None:
    """Even if its size and time are those of the file that comes."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("1234")
    for name in ("fifo", "link"):
        os.utime(tmp_path / name, ns=(TIME, TIME), follow_symlinks=False)
    unpacker = unpacker_of(PlainLocalStore(tmp_path), True, False)
    items: list[Item] = [
        file_described(b"fifo", b""),
        whole(b"fifo", b""),
        file_described(b"link", b"1234"),
        file_described(b"link", b"1234", TIME, b"d" * 32),
        whole(b"link", b"1234"),
    ]
    outcomes = unpacked(unpacker, (b"", items))
    assert outcomes[1:] == ["not-a-file", "wanted", "wanted", "done"]
    assert outcomes[0] in ("wanted", "not-a-file")
    assert (tmp_path / "fifo").is_fifo()
    assert (tmp_path / "link").read_bytes() == b"1234"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs, and few links")
def test_what_is_no_file_is_described(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    for small in (0, 1000):
        items = packed(packer_of(PlainLocalStore(tmp_path)), b"", small, Packing(True, True))
        kinds = {name: item.kind for name, item in items.items() if isinstance(item, Described)}
        assert kinds == {b"fifo": "other", b"link": "link"}


def test_a_beginning_that_was_kept_is_not_gone_on_with() -> None:
    """All of it is here, so nothing depends on what was."""
    store = MemoryStore()
    item = whole(b"file", b"1234")
    sink = store.sink(described(b"file", b"1234", item.blake3), True)
    sink.write([b"xx"])
    sink.keep()
    assert unpacked(unpacker_of(store, True, True), (b"", [item])) == ["done"]
    assert content_in(store, b"file") == b"1234"
    assert store.partials == {}


def test_a_name_that_is_being_received() -> None:
    """Is busy; the other one arrives."""
    store = MemoryStore()
    sink = store.sink(described(b"file", b"1234"), True)
    sink.write([b"1234"])
    items: list[Item] = [whole(b"file", b"other"), whole(b"other", b"1")]
    assert unpacked(unpacker_of(store, True, True), (b"", items)) == ["busy", "done"]
    sink.publish()
    assert content_in(store, b"file") == b"1234"
    assert names_in(store) == [b"file", b"other"]


@pytest.mark.parametrize("plain", [True, False])
def test_a_packer_that_is_stopped_reads_no_further(tmp_path: Path, plain: bool) -> None:
    """Another thread wants no more of it: nothing is hashed to its end."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(3 << 20))
    store = PlainLocalStore(tmp_path) if plain else LocalStore(tmp_path)
    packer = packer_of(store)
    items = packer.items(b"", 0, Packing(digests=True))
    next(items)
    packer.stop()
    with pytest.raises(Cancelled):
        next(items)
    packer.close()
