"""What can't fit into a folder's file system is refused, before a byte of it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kit.disks import mounted
from twisted_ft.errors import NoSpace
from twisted_ft.stores.conformance.samples import described, unpacked, whole
from twisted_ft.stores.interfaces import Sink
from twisted_ft.stores.local import LocalStore
from twisted_ft.wire.messages import Attributes, Item

MB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 16 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    with mounted(place, "size=16m"):
        yield place


def sized(path: bytes, size: int | None) -> Attributes:
    """A file of so many bytes."""
    return Attributes(path, size, 0, 0o644, b"1")


def free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def test_what_cant_fit_is_refused(disk: Path) -> None:
    """Nothing is there of it, and small ones go on beside it."""
    store = LocalStore(disk)
    before = free(disk)
    with pytest.raises(NoSpace, match=r"a: it needs 104,857,600 bytes, and .* make room, and try"):
        store.sink(sized(b"a", 100 * MB), True)
    assert os.listdir(disk) == []
    assert free(disk) == before
    sink = store.sink(sized(b"b", 1000), True)
    with pytest.raises(NoSpace):
        store.sink(sized(b"a", 100 * MB), True)
    sink.write([b"x" * 1000])
    sink.publish()
    assert os.listdir(disk) == ["b"]


def test_what_just_fits_is_taken(disk: Path) -> None:
    store = LocalStore(disk)
    with pytest.raises(NoSpace):
        store.sink(sized(b"a", free(disk) + 1), True)
    store.sink(sized(b"a", free(disk)), True).discard()


def test_some_space_stays_free(disk: Path) -> None:
    store = LocalStore(disk, min_free=10 * MB)
    with pytest.raises(NoSpace, match=r"there is room for [56],\d{3},\d{3};"):
        store.sink(sized(b"a", 7 * MB), True)
    store.sink(sized(b"a", 5 * MB), True).discard()
    with pytest.raises(NoSpace, match="there is room for 0;"):
        LocalStore(disk, min_free=100 * MB).sink(sized(b"a", 1), True)


def test_open_sinks_have_their_room(disk: Path) -> None:
    """Less what they have written; until they end."""
    store = LocalStore(disk)
    first = store.sink(sized(b"first", 10 * MB), True)
    with pytest.raises(NoSpace):
        store.sink(sized(b"second", 10 * MB), True)
    first.write([b"x" * (4 * MB), memoryview(b"x" * (4 * MB))])
    second = store.sink(sized(b"second", 5 * MB), True)
    with pytest.raises(NoSpace):
        store.sink(sized(b"third", 2 * MB), True)
    second.discard()
    third = store.sink(sized(b"third", 2 * MB), True)
    first.keep()
    fourth = store.sink(sized(b"fourth", 5 * MB), True)
    third.discard()
    fourth.discard()
    first = store.sink(sized(b"first", 10 * MB), True)
    assert first.offset == 8 * MB
    first.write([b"x" * (2 * MB)])
    first.publish()


def test_a_file_of_unknown_size_is_stopped_where_it_no_longer_fits(disk: Path) -> None:
    """Some space stays free, and what others were promised; nothing of it is left behind."""
    store = LocalStore(disk, min_free=5 * MB)
    promised = store.sink(sized(b"promised", 4 * MB), True)
    sink = store.sink(sized(b"stream", None), True)
    for _ in range(6):
        sink.write([b"x" * (MB // 2), b"x" * (MB // 2)])
    with pytest.raises(NoSpace, match=r"stream: there is no room for more than [67],\d{3},\d{3} "):
        sink.write([b"x" * MB])
    assert free(disk) >= 9 * MB
    promised.write([b"x" * (4 * MB)])
    promised.publish()
    before = free(disk)
    sink.keep()
    assert free(disk) >= before + 5 * MB
    assert sorted(os.listdir(disk)) == ["promised"]


def test_of_many_at_once_only_those_get_in_that_fit(disk: Path) -> None:
    store = LocalStore(disk)

    def begin(number: int) -> Sink | None:
        try:
            return store.sink(sized(b"%d" % number, 3 * MB), True)
        except NoSpace:
            return None

    with ThreadPoolExecutor(8) as threads:
        sinks = list(filter(None, threads.map(begin, range(40))))
    assert len(sinks) == 5
    for sink in sinks:
        sink.write([b"x" * (3 * MB)])
        sink.publish()


def test_a_sink_that_failed_to_begin_holds_no_room(disk: Path) -> None:
    store = LocalStore(disk)
    (disk / "taken").mkdir()
    for _ in range(3):
        with pytest.raises(NoSpace):
            store.sink(sized(b"a", 100 * MB), True)
        sink = store.sink(sized(b"b", 12 * MB), True)
        sink.keep()


def test_a_file_system_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some that are programs (FUSE) have no blocks; nothing is known of them, nor refused."""
    told = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: told)
    store = LocalStore(tmp_path, min_free=MB)
    store.sink(sized(b"a", 100 * MB), True).discard()


# -- small files of a tree -------------------------------------------------------------------


def test_small_files_that_cant_fit_fail(disk: Path) -> None:
    """Before a byte of them is written; others aren't hindered."""
    store = LocalStore(disk, min_free=free(disk) - 3 * MB)
    items: list[Item] = [whole(b"%d" % number, b"x" * MB) for number in range(5)]
    items.insert(1, whole(b"large", b"x" * (4 * MB)))
    items.append(whole(b"empty", b""))
    outcomes = unpacked(store.unpacker(True, True), (b"", items))
    assert outcomes == ["done", "no-space", "done", "done", "no-space", "no-space", "done"]
    assert sorted(os.listdir(disk)) == ["0", "1", "2", "empty"]
    assert unpacked(store.unpacker(True, True), (b"", [whole(b"a", b"1")])) == ["no-space"]
    os.remove(disk / "0")
    assert unpacked(store.unpacker(True, True), (b"", [whole(b"a", b"1")])) == ["done"]


def test_small_files_leave_open_sinks_their_room(disk: Path) -> None:
    store = LocalStore(disk)
    sink = store.sink(described(b"big", b"x" * (14 * MB)), True)
    items: list[Item] = [whole(b"%d" % number, b"x" * MB) for number in range(4)]
    outcomes = unpacked(store.unpacker(True, True), (b"", items))
    assert outcomes.count("done") in (1, 2)
    assert set(outcomes) == {"done", "no-space"}
    sink.write([b"x" * (14 * MB)])
    sink.publish()
