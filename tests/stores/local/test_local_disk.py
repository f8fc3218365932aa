"""What a LocalStore does with disks that are full or read-only, and with files that change."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_ft.errors import NoSpace, ReadOnly, SourceChanged, StorageFailed
from twisted_ft.stores.conformance.samples import (
    content_in,
    content_of,
    described,
    names_in,
    put,
)
from twisted_ft.stores.local import LocalStore


class Disk:
    """A file system of 1 MiB of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this system mounts no tmpfs: {mounted.stderr.strip()}")
    yield Disk(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(small_disk: Disk) -> None:
    """By another program: all that found room is kept, and carried on with once there is more."""
    store, content = LocalStore(small_disk.place), content_of(700_000)
    file = described(b"new", content)
    sink = store.sink(file, True)
    (small_disk.place / "filler").write_bytes(bytes(600_000))
    pieces = [content[begin : begin + 1000] for begin in range(0, len(content), 1000)]
    with pytest.raises(NoSpace, match="new: no space left on the disk"):
        sink.write(pieces)
    sink.keep()
    assert names_in(store) == [b"filler"]
    (small_disk.place / "filler").unlink()
    sink = store.sink(file, True)
    assert 0 < sink.offset < len(content)
    assert b"".join(sink.kept()) == content[: sink.offset]
    sink.write([content[sink.offset :]])
    sink.publish()
    assert content_in(store, b"new") == content


def test_a_disk_without_room_for_a_name(small_disk: Disk) -> None:
    """What it couldn't begin with, it leaves nothing of."""
    (small_disk.place / "filler").write_bytes(bytes(1 << 20))
    store = LocalStore(small_disk.place)
    with pytest.raises(NoSpace):
        put(store, described(b"new", b"1234"), b"1234")
    (small_disk.place / "filler").unlink()
    put(store, described(b"new", b"1234"), b"1234")
    assert os.listdir(small_disk.place) == ["new"]


def test_a_read_only_disk(small_disk: Disk) -> None:
    store = LocalStore(small_disk.place)
    put(store, described(b"file", b"content"), b"content")
    small_disk.remount("ro")
    with pytest.raises(ReadOnly, match="new: the file system is read-only"):
        store.sink(described(b"new", b"1234"), True)
    with pytest.raises(ReadOnly):
        store.sink(described(b"file", b"1234"), True)
    assert content_in(store, b"file") == b"content"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_file_larger_than_is_allowed(tmp_path: Path) -> None:
    """setrlimit(2), which needs no root: EFBIG."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    store, content = LocalStore(tmp_path), content_of(10_000)
    sink = store.sink(described(b"new", content), True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, before[1]))
    try:
        with pytest.raises(NoSpace, match="too large"):
            sink.write([content[:5000], content[5000:]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    sink.keep()
    sink = store.sink(described(b"new", content), True)
    assert sink.offset == 6_000
    sink.write([content[6_000:]])
    sink.publish()
    assert content_in(store, b"new") == content


@pytest.mark.skipif(os.name == "nt", reason="Windows has other times")
def test_times_that_the_protocol_can_not_say(small_disk: Disk) -> None:
    """A file system that holds later ones than the year 2262 makes no message that is refused."""
    (small_disk.place / "later").write_text("content")
    os.utime(small_disk.place / "later", ns=(1 << 64, 1 << 64))
    store = LocalStore(small_disk.place)
    (entry,) = store.entries(b"")
    assert entry.mtime == store.source(b"later").attributes.mtime == 2**63 - 1


# -- files that change while they are read ---------------------------------------------------


@pytest.mark.parametrize(
    "content", ["much longer content", "short", "CONTENT"], ids=["grows", "shrinks", "same size"]
)
def test_a_file_that_changes_is_found_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "file").write_text("content")
    os.utime(tmp_path / "file", ns=(0, 0))
    source = LocalStore(tmp_path).source(b"file")
    source.check()
    (tmp_path / "file").write_text(content)
    with pytest.raises(SourceChanged, match="changed while it was being sent; try again"):
        source.check()
    assert source.read(0, 100) == content.encode()
    source.close()


def test_a_file_that_is_replaced_is_read_on(tmp_path: Path) -> None:
    """It is open, and as it was."""
    (tmp_path / "file").write_text("content")
    source = LocalStore(tmp_path).source(b"file")
    (tmp_path / "new").write_text("another")
    (tmp_path / "new").replace(tmp_path / "file")
    assert source.read(0, 100) == b"content"
    source.check()
    source.close()
    with pytest.raises(StorageFailed):
        source.read(0, 100)
