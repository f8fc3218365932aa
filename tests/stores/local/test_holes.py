"""A sparse file stays one: zeros aren't written."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.kit.serving import serving
from twisted_ft.stores.conformance.samples import TIME, content_in, unpacked, whole
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.holes import BLOCK, append
from twisted_ft.wire.messages import Attributes

MIB = 1 << 20


def _on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture(autouse=True)
def _has_holes(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.touch()
    os.truncate(probe, MIB)
    if not hasattr(os, "ftruncate") or _on_disk(probe) >= MIB:
        pytest.skip("this file system has no holes")
    probe.unlink()


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


STRETCHES: list[Callable[[random.Random], bytes]] = [
    lambda by: bytes(by.choice([1, 100, BLOCK, 70_000, 200_000])),
    lambda by: by.randbytes(by.choice([1, 10, BLOCK, 5000, 80_000])),
    lambda by: b"\1" + bytes(5000),
    lambda by: (bytes(BLOCK - 1) + b"\1") * 20,
    lambda by: (b"\0" + by.randbytes(BLOCK - 1)) * 20,
]


@pytest.mark.parametrize("seed", range(50))
def test_it_is_the_same_file(tmp_path: Path, seed: int) -> None:
    """In whatever pieces it comes."""
    by = random.Random(seed)
    content = b"".join(by.choice(STRETCHES)(by) for _ in range(by.randrange(1, 12)))
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    end = 0
    while end < len(content):
        pieces, begun = [], end
        for _ in range(by.randrange(1, 5)):
            size = by.choice([1, 77, BLOCK, 65_536, 100_000, MIB])
            pieces.append(by.choice([bytes, memoryview])(content[end : end + size]))
            end = min(end + size, len(content))
        append(fd, pieces, begun)
        assert os.fstat(fd).st_size == end
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == content


def _described(content: bytes) -> Attributes:
    return Attributes(path=b"file", size=len(content), mtime=TIME, mode=0o640, version=b"1")


def _pieces(content: bytes, size: int) -> Sequence[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


SPARSE = bytes(8 * MIB + 4097) + _noise(MIB) + bytes(8 * MIB)
"""A mebibyte amid zeros, and a hole at the end."""


@pytest.mark.parametrize("size", [10_000, 65_536, MIB - 4, 4 * MIB, 32 * MIB])
def test_zeros_take_no_room(tmp_path: Path, size: int) -> None:
    sink = LocalStore(tmp_path).sink(_described(SPARSE), True)
    for piece in _pieces(SPARSE, size):
        sink.write([piece])
    sink.publish()
    assert (tmp_path / "file").read_bytes() == SPARSE
    assert _on_disk(tmp_path / "file") < 1.1 * MIB


@pytest.mark.parametrize("offset", [MIB, 4 * MIB + 1, 8 * MIB + 5000, 12 * MIB + 1])
def test_what_is_kept_may_end_in_a_hole(tmp_path: Path, offset: int) -> None:
    """It is as long as what has arrived."""
    store = LocalStore(tmp_path)
    sink = store.sink(_described(SPARSE), True)
    sink.write([SPARSE[:offset]])
    sink.keep()
    sink = store.sink(_described(SPARSE), True)
    assert sink.offset == offset
    assert b"".join(sink.kept()) == SPARSE[:offset]
    sink.write([SPARSE[offset:]])
    sink.publish()
    assert (tmp_path / "file").read_bytes() == SPARSE
    assert _on_disk(tmp_path / "file") < 1.1 * MIB


def test_nothing_but_zeros(tmp_path: Path) -> None:
    zeros = bytes(3 * MIB + 1)
    sink = LocalStore(tmp_path).sink(_described(zeros), True)
    sink.write([zeros])
    sink.publish()
    assert (tmp_path / "file").read_bytes() == zeros
    assert _on_disk(tmp_path / "file") <= BLOCK


def test_single_blocks_far_apart(tmp_path: Path) -> None:
    """Each takes no more than itself."""
    content = (bytes(64 * BLOCK) + _noise(BLOCK)) * 20
    sink = LocalStore(tmp_path).sink(_described(content), True)
    sink.write([content])
    sink.publish()
    assert content_in(LocalStore(tmp_path), b"file") == content
    extents = BLOCK  # in which a file system may say where they are (ext4)
    assert _on_disk(tmp_path / "file") <= 20 * BLOCK + extents


@pytest.mark.parametrize("folder", [b"", b"new"])
def test_a_small_file_of_a_tree(tmp_path: Path, folder: bytes) -> None:
    content = bytes(400_000) + b"here" + bytes(400_000)
    store = LocalStore(tmp_path)
    if folder:
        store.make_folder(folder)
    outcomes = unpacked(store.unpacker(True, True), (folder, [whole(b"file", content)]))
    assert outcomes == ["done"]
    place = tmp_path / os.fsdecode(folder) / "file"
    assert place.read_bytes() == content
    assert _on_disk(place) <= 2 * BLOCK


async def test_over_a_socket(tmp_path: Path) -> None:
    """Both ways, past the reactor; each is verified by its digest."""
    served = tmp_path / "served"
    served.mkdir()
    with open(served / "file", "wb") as file:
        for at in (20 * MIB, 40 * MIB):
            file.seek(at)
            file.write(_noise(MIB // 2))
        file.truncate(64 * MIB)
    async with serving(served) as server:
        await server.client.get("file", tmp_path / "here")
        assert (await server.client.put(tmp_path / "here", "there")).sent == 64 * MIB
    for place in (tmp_path / "here", served / "there"):
        assert _on_disk(place) < 2 * MIB
        assert place.read_bytes() == (served / "file").read_bytes()
