"""What a LocalStore has left of files that didn't arrive: told, removed, swept, and first to go."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.disks import mounted
from tests.kit.nobody import NOBODY
from twisted_ft.errors import BadName, Busy, NoSpace, NotFound
from twisted_ft.stores.conformance.samples import described, names_in
from twisted_ft.stores.interfaces import Sink
from twisted_ft.stores.local import LocalStore, kept
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.record import partial_names
from twisted_ft.wire.messages import Attributes

MB = 1 << 20
STAGED = [f".ft-{number:032x}.part" for number in range(2)]
RANDOM = ".ft-" + "7" * 32 + ".part"
HIDDEN = partial_names(b"new-folder")[0].decode()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which two bytes of ``folder/new`` are kept."""
    (tmp_path / "place" / "folder").mkdir(parents=True)
    keep(LocalStore(tmp_path / "place"), b"folder/new")
    return tmp_path / "place"


@pytest.fixture
def _sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is thought to be at work on what has no record."""
    monkeypatch.setattr(kept, "_AT_WORK", -1)


sure = pytest.mark.usefixtures("_sure")


def begun(store: LocalStore, path: bytes, size: int = 4, written: int = 2) -> Sink:
    sink = store.sink(Attributes(path, size, 0, 0o644, b"1"), True)
    sink.write([b"x" * written])
    return sink


def keep(store: LocalStore, path: bytes, size: int = 4, written: int = 2) -> None:
    begun(store, path, size, written).keep()


def told(store: LocalStore) -> list[tuple[bytes, int]]:
    return [(each.path, each.size) for each in store.kept(b"", True)]


def left_in(place: Path) -> list[str]:
    """All that is called as what is on its way is."""
    return sorted(str(each.relative_to(place)) for each in place.rglob(".ft-*"))


def leave(place: Path) -> None:
    """What a killed process leaves of small files, and of a new folder that isn't empty."""
    for name in STAGED:
        (place / name).write_bytes(b"123")
        os.utime(place / name, ns=(1, 1))
    (place / HIDDEN / "deeper").mkdir(parents=True)
    (place / HIDDEN / "deeper" / "file").write_bytes(b"12345")


# -- told ------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [None, b"", b"4 31\n", b"4 31\n6f74686572\n\n", b"4 31\n6e\n"])
def test_what_has_no_record_has_its_own_name(place: Path, record: bytes | None) -> None:
    """Or one that can't be right, or says no name; it is removed by that."""
    part, said = (place / "folder" / name.decode() for name in partial_names(b"new"))
    said.unlink()
    if record is not None:
        said.write_bytes(record)
    store = LocalStore(place)
    path = f"folder/{part.name}".encode()
    assert told(store) == [(path, 2)]
    assert store.remove(path, False) == 1
    assert left_in(place) == []
    with pytest.raises(BadName):
        store.remove(path, False)


def test_what_has_a_record_is_removed_by_the_name_that_it_says(place: Path) -> None:
    part = partial_names(b"new")[0]
    with pytest.raises(BadName):
        LocalStore(place).remove(b"folder/" + part, False)
    assert LocalStore(place).remove(b"folder/new", False) == 1
    assert left_in(place) == []


def test_what_killed_processes_have_left_is_told(place: Path) -> None:
    leave(place)
    store = LocalStore(place)
    assert told(store) == [
        (STAGED[0].encode(), 3),
        (STAGED[1].encode(), 3),
        (HIDDEN.encode(), 5),
        (b"folder/new", 2),
    ]
    assert store.remove(HIDDEN.encode(), False) == 1
    assert store.remove(STAGED[1].encode(), False) == 1
    assert told(store) == [(STAGED[0].encode(), 3), (b"folder/new", 2)]


def test_the_time_is_when_it_last_changed(place: Path) -> None:
    """And none that a sender says, which can be in the future."""
    part = place / "folder" / partial_names(b"new")[0].decode()
    os.utime(part, ns=(1 << 62, 1 << 62))
    (entry,) = LocalStore(place).kept(b"folder", False)
    assert entry.mtime == part.stat().st_ctime_ns


def test_a_path_that_is_too_long_is_told_of_at_the_end(place: Path) -> None:
    store = LocalStore(place)
    here = Folder.root(os.fsencode(place))
    for _ in range(17):
        here.make_folder(b"n" * 250)
        here = here.below([b"n" * 250])
    with os.fdopen(here.open_plain(partial_names(b"x")[0], os.O_CREAT | os.O_WRONLY)[0], "wb"):
        pass
    found = store.kept(b"", True)
    assert next(found).path == b"folder/new"
    with pytest.raises(BadName, match="1 name in it would make a path longer"):
        next(found)


# -- removed ---------------------------------------------------------------------------------


def test_a_folders_name_has_its_leftovers_removed(place: Path) -> None:
    leave(place)
    store = LocalStore(place)
    assert store.remove(b"new-folder", True) == 1
    assert not (place / HIDDEN).exists()
    with pytest.raises(NotFound):
        store.remove(b"new-folder", True)


def test_a_new_folder_that_is_being_filled_is_busy(place: Path) -> None:
    leave(place)
    store = LocalStore(place)
    with Folder.root(os.fsencode(place / HIDDEN)) as hidden:
        assert hidden.lock()
        for path in (HIDDEN.encode(), b"new-folder"):
            with pytest.raises(Busy):
                store.remove(path, True)
        store.sweep(0, 0)
    assert (place / HIDDEN / "deeper" / "file").exists()


# -- swept -----------------------------------------------------------------------------------


@sure
def test_leftovers_are_swept(place: Path) -> None:
    """Whatever their times are, which are a sender's."""
    leave(place)
    (place / RANDOM).write_bytes(b"1")
    store = LocalStore(place)
    assert store.sweep(60, 1000) == (0, 0)
    assert store.sweep(0, 1000) == (5, 2 + 3 + 3 + 5 + 1)
    assert left_in(place) == []
    assert names_in(store) == [b"folder"]


def test_what_may_be_written_without_a_lock_stays_for_a_while(place: Path) -> None:
    (place / RANDOM).write_bytes(b"1")
    record = place / partial_names(b"x")[1].decode()
    record.write_bytes(b"1")
    assert LocalStore(place).sweep(0, 0) == (1, 2)
    assert left_in(place) == sorted([RANDOM, record.name])


@sure
def test_a_record_alone_is_swept(place: Path) -> None:
    (place / "folder" / partial_names(b"new")[0].decode()).unlink()
    LocalStore(place).sweep(0, 0)
    assert left_in(place) == []


def test_small_files_that_are_being_written_stay(place: Path) -> None:
    leave(place)
    with Folder.root(os.fsencode(place)) as here:
        assert here.lock()
        LocalStore(place).sweep(0, 0)
        assert left_in(place) == STAGED
    LocalStore(place).sweep(0, 0)
    assert left_in(place) == []


def test_another_process_keeps_what_it_writes(place: Path) -> None:
    """Whose lock is on it."""
    sink = begun(LocalStore(place), b"folder/new")
    assert LocalStore(place).sweep(0, 0) == (0, 0)
    sink.discard()


def test_more_than_are_remembered_at_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_OLDEST", 3)
    store = LocalStore(place)
    for number in range(20):
        keep(store, b"%d" % number)
    assert store.sweep(math.inf, 10) == (16, 32)
    assert len(told(store)) == 5
    assert store.sweep(math.inf, 0) == (5, 10)


@sure
def test_what_is_somebody_elses_stays(place: Path) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    leave(place)
    for name in left_in(place):
        os.chown(place / name, NOBODY, -1)
    os.symlink("elsewhere", place / RANDOM)
    before = left_in(place)
    store = LocalStore(place)
    assert told(store) == []
    assert store.sweep(0, 0) == (0, 0)
    assert left_in(place) == before


def test_a_second_name_of_a_published_file_is_swept(place: Path) -> None:
    """Who is killed between link(2) and unlink(2) leaves it; the file stays."""
    (place / "file").write_bytes(b"content")
    os.link(place / "file", place / STAGED[0])
    assert LocalStore(place).sweep(0, 0)[0] == 2
    assert (place / "file").read_bytes() == b"content"
    assert left_in(place) == []


def test_nothing_stays_open(place: Path) -> None:
    if not os.path.isdir("/dev/fd"):
        pytest.skip("this system doesn't say what is open")
    leave(place)
    store = LocalStore(place)
    before = len(os.listdir("/dev/fd"))
    next(store.kept(b"", True))
    told(store)
    store.sweep(math.inf, 5)
    store.sweep(0, 0)
    assert len(os.listdir("/dev/fd")) == before


# -- where space is short --------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 16 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    with mounted(place, "size=16m"):
        (place / "folder").mkdir()
        yield place


def _kept_one_after_another(store: LocalStore, paths: list[bytes], size: int) -> None:
    """In their order, by the clock, which goes in steps."""
    latest = 0
    for path in paths:
        keep(store, path, size, size - 1)
        while (changed := next(store.kept(path, False)).mtime) <= latest:
            begun(store, path, size, 0).discard()
            keep(store, path, size, size - 1)
        latest = changed


def test_the_oldest_make_room(disk: Path) -> None:
    """No more of them than must."""
    store = LocalStore(disk, min_free=MB)
    _kept_one_after_another(store, [b"b", b"folder/c", b"a"], 4 * MB)
    sink = store.sink(described(b"new", b"x" * (9 * MB)), True)
    assert [path for path, _ in told(store)] == [b"a", b"new"]
    sink.write([b"x" * (9 * MB)])
    sink.publish()


def test_what_could_not_be_enough_stays(disk: Path) -> None:
    """Nor goes what is being written, and what is about to be carried on."""
    store = LocalStore(disk)
    _kept_one_after_another(store, [b"b", b"folder/c", b"a"], 4 * MB)
    before = told(store)
    with pytest.raises(NoSpace):
        store.sink(described(b"new", b"x" * (100 * MB)), True)
    assert told(store) == before
    sink = begun(store, b"b", 4 * MB, 0)
    with pytest.raises(NoSpace):
        store.sink(described(b"other", b"x" * (13 * MB)), True)
    assert told(store) == before
    sink.discard()


def test_who_asks_for_too_much_again_and_again_is_told_at_once(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store isn't looked through each time."""
    looks = _counted(monkeypatch)
    store = LocalStore(disk)
    for _ in range(5):
        with pytest.raises(NoSpace):
            store.sink(described(b"new", b"x" * (100 * MB)), True)
    assert looks() == 1


def _counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    looks = []
    make = LocalStore._make_room

    def make_room(self: LocalStore, device: int, lack: int) -> int:
        looks.append(lack)
        return make(self, device, lack)

    monkeypatch.setattr(LocalStore, "_make_room", make_room)
    return lambda: len(looks)
