"""The stores that docs/stores.md shows are what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.kit.planting import gathered
from twisted_ft import FileTransferFactory, LocalStore, MemoryStore
from twisted_ft.stores.conformance.samples import unpacked, whole
from twisted_ft.stores.piecewise import packer_of, unpacker_of
from twisted_ft.testing import MemoryNetwork

_PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
_BLOCKS = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
_NAMES: dict[str, Any] = {"__name__": __name__}
for _block in _BLOCKS:
    exec(compile(_block, str(_PAGE), "exec"), _NAMES)

TestAnnouncingStore = _NAMES["TestAnnouncingStore"]


def test_the_factory_serves_it() -> None:
    assert _NAMES["factory"].store is _NAMES["store"]


def test_it_is_told_of_each_file_of_a_tree_on_the_fast_ways(tmp_path: Path) -> None:
    """Large ones, which come by themselves, and small ones; and of each once."""
    (tmp_path / "here").mkdir()
    for name, size in (("a", 3), ("b", 4), ("large", 3 << 20)):
        (tmp_path / "here" / name).write_bytes(bytes(size))
    for inner in (LocalStore(tmp_path / "there", makes_root=True), MemoryStore()):
        arrived: list[bytes] = []
        store = _NAMES["AnnouncingStore"](inner, arrived.append)
        assert type(packer_of(store)) is type(packer_of(inner))
        unpacker: Any = unpacker_of(store, True, True)
        assert type(unpacker.inner) is type(unpacker_of(inner, True, True))
        (tmp_path / "there").mkdir(exist_ok=True)
        network = MemoryNetwork()
        factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
        client = network.client(factory)
        for _ in range(2):
            network.run(gathered(client.put_tree(tmp_path / "here", "new")))
        assert sorted(arrived) == [b"new/a", b"new/b", b"new/large"]


def test_the_archive_stays_as_it_is() -> None:
    inner = MemoryStore({b"archive/old": b"old"})
    unpacker = unpacker_of(_NAMES["ArchivingStore"](inner), True, True)
    new, old = whole(b"new", b"new"), whole(b"old", b"new")
    assert unpacked(unpacker, (b"archive", [old]), (b"", [new])) == ["read-only", "done"]
    assert inner.files[b"archive/old"].content == b"old"
