"""What a LocalStore's unpacker does with the disk: syncs, a full one, a failing one, a kill."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.disks import mounted
from tests.kit.unpacking import files, made
from twisted_ft.errors import StorageFailed
from twisted_ft.stores import system
from twisted_ft.stores.conformance.samples import TIME, folder_described, unpacked, whole
from twisted_ft.stores.local import LocalStore
from twisted_ft.wire.messages import Item, Link, Settled

pytestmark = pytest.mark.skipif(
    not system.SYNCS_FILE_SYSTEMS, reason="elsewhere each file is synced by itself"
)
FOLDERS = [b"", b"folder", b"new"]
"""The root, a folder that is there, and one that the unpacker makes."""
Event = tuple[str, str]
"""A call, and what it is about."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place" / "folder").mkdir(parents=True)
    return tmp_path / "place"


def partial(place: Path) -> list[str]:
    """What there is, anywhere, under other names than its own."""
    return sorted(each.name for each in place.rglob(".ft-*"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def path_of(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


# -- syncs -----------------------------------------------------------------------------------


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Every sync and every renaming, in their order; they happen, too."""
    events: list[Event] = []

    def watch(owner: object, name: str, about: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def called(*args: object, **named: object) -> object:
            events.append((name, about(*args, **named)))
            return real(*args, **named)

        monkeypatch.setattr(owner, name, called)

    def renamed(_: bytes, new: bytes, *, dst_dir_fd: int, **__: object) -> str:
        return os.path.join(path_of(dst_dir_fd), os.fsdecode(new))

    watch(system, "sync_file_system", path_of)
    watch(os, "fsync", path_of)
    watch(os, "replace", renamed)
    watch(os, "link", renamed)
    return events


def is_sync(event: Event) -> bool:
    return event[0] in ("sync_file_system", "fsync")


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("folder", FOLDERS)
def test_contents_are_synced_and_then_names(
    place: Path, events: list[Event], folder: bytes, overwrite: bool
) -> None:
    """Before the one no file has its name; with the other, the folder in which it changed."""
    unpacker = LocalStore(place).unpacker(overwrite, True)
    made(unpacker, folder)
    events.clear()
    assert unpacked(unpacker, (folder, files(3))) == ["done"] * 3
    renamings = [event for event in events if not is_sync(event)]
    assert events[0][0] == "sync_file_system"
    assert events[1 : 1 + len(renamings)] == renamings
    afterwards = events[1 + len(renamings) :]
    assert afterwards
    assert all(is_sync(event) for event in afterwards)
    changed = {os.path.dirname(path) for _, path in renamings}
    assert changed
    if "sync_file_system" not in dict(afterwards):
        assert changed <= {path for _, path in afterwards}


def test_many_folders_are_synced_in_two_calls(place: Path, events: list[Event]) -> None:
    unpacker = LocalStore(place).unpacker(True, True)
    folders: list[Item] = [folder_described(b"%d" % number) for number in range(20)]
    parts: list[tuple[bytes, list[Item]]] = [(b"", folders)]
    parts += [(b"%d" % number, files(5)) for number in range(20)]
    assert set(unpacked(unpacker, *parts)) == {"done"}
    syncs = [position for position, event in enumerate(events) if is_sync(event)]
    assert syncs == [0, len(events) - 1]
    assert events[0][0] == "sync_file_system"


def test_folders_that_are_complete_cost_no_sync_of_their_own(
    place: Path, events: list[Event]
) -> None:
    """Among files for the next ones, as where several parcels have come together."""
    unpacker = LocalStore(place).unpacker(True, True)
    parts: list[tuple[bytes, list[Item]]] = []
    for number in range(20):
        parts.append((b"", [folder_described(b"%d" % number)]))
        parts.append((b"%d" % number, files(2)))
        parts.append((b"", [Settled(b"%d" % number, TIME, 0o750)]))
    assert set(unpacked(unpacker, *parts)) == {"done"}
    syncs = [position for position, event in enumerate(events) if is_sync(event)]
    assert syncs == [0, len(events) - 1]
    folders = [(place / str(number)).stat() for number in range(20)]
    assert {(each.st_mtime_ns, each.st_mode & 0o777) for each in folders} == {(TIME, 0o750)}


@pytest.mark.parametrize(
    "items",
    [
        [folder_described(b"new")],
        [Link(b"new", TIME, b"folder")],
        [Settled(b"folder", TIME, 0o700)],
    ],
)
def test_whatever_changes_is_synced(place: Path, events: list[Event], items: list[Item]) -> None:
    assert unpacked(LocalStore(place).unpacker(True, True), (b"", items)) == ["done"]
    assert is_sync(events[-1])
    events.clear()
    assert unpacked(LocalStore(place).unpacker(True, True), (b"", items)) == ["held"]
    assert events == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_synced_that_need_not_be(
    place: Path, events: list[Event], folder: bytes
) -> None:
    """The receiver of the store may say so, or the store."""
    for name, unpacker in (
        (b"a", LocalStore(place).unpacker(True, False)),
        (b"b", LocalStore(place, durable=False).unpacker(True, True)),
    ):
        made(unpacker, folder)
        items: list[Item] = [
            whole(name, b"1234"),
            Link(b"link-" + name, TIME, name),
            folder_described(b"folder-" + name),
            Settled(b"folder-" + name, TIME, 0o700),
        ]
        assert unpacked(unpacker, (folder, items)) == ["done"] * 4
    assert events
    assert not any(map(is_sync, events))


def test_a_sync_that_fails_is_told() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        system.sync_file_system(1 << 20)


# -- a disk that fails -----------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> list[str]:
    """Have those syncs fail; what all of them are about."""
    made: list[str] = []
    for owner, name in ((system, "sync_file_system"), (os, "fsync")):
        real = getattr(owner, name)

        def sync(fd: int, real: Callable[[int], None] = real) -> None:
            made.append(path_of(fd))
            if len(made) - 1 in calls:
                raise OSError(errno.EIO, "Input/output error")
            real(fd)

        monkeypatch.setattr(owner, name, sync)
    return made


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_published_that_cant_be_synced(
    place: Path, monkeypatch: pytest.MonkeyPatch, folder: bytes
) -> None:
    """What was there stays, nothing is left over, and the next time everything is well."""
    unpacker = LocalStore(place).unpacker(True, True)
    made(unpacker, folder)
    here = place / os.fsdecode(folder)
    if folder != b"new":
        (here / "0").write_text("before")
    before = descriptors()
    items: list[Item] = [*files(3), Link(b"link", TIME, b"0")]
    with monkeypatch.context() as patch:
        failing(patch, [0])
        assert unpacked(unpacker, (folder, items)) == ["storage"] * 4
    names = {each.name for each in here.iterdir()} - {"folder"}
    assert names == (set() if folder == b"new" else {"0"})
    assert partial(place) == []
    assert descriptors() == before
    assert unpacked(unpacker, (folder, items)) == ["done"] * 4
    assert (here / "0").read_text() == "0000"
    assert partial(place) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_done_whose_name_cant_be_synced(
    place: Path, monkeypatch: pytest.MonkeyPatch, folder: bytes
) -> None:
    """It has its name; but whether for good, nobody knows."""
    unpacker = LocalStore(place).unpacker(True, True)
    made(unpacker, folder)
    with monkeypatch.context() as patch:
        failing(patch, [1])
        with pytest.raises(StorageFailed, match="Input/output error"):
            unpacked(unpacker, (folder, files(3)))
    assert partial(place) == []


def test_names_that_cant_be_synced_among_very_many_folders(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than are held open at once: the failure of some isn't that of a single other item."""
    unpacker = LocalStore(place).unpacker(True, True)
    made: list[Item] = [folder_described(b"%d" % number) for number in range(300)]
    unpacked(unpacker, (b"", made))
    with monkeypatch.context() as patch:
        failing(patch, [1])
        with pytest.raises(StorageFailed):
            unpacked(unpacker, *((b"%d" % number, files(1)) for number in range(300)))
    assert partial(place) == []


def test_a_folder_that_cant_take_its_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files go into the one that is there; nothing is left over, nor open."""
    unpacker = LocalStore(place).unpacker(True, False)
    unpacked(unpacker, (b"", [folder_described(b"a"), folder_described(b"b")]))
    before = descriptors()
    real = os.replace

    def replace(old: bytes, new: bytes, **named: int) -> None:
        if new == b"a":
            raise OSError(errno.EACCES, "Permission denied")
        real(old, new, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        outcomes = unpacked(unpacker, (b"a", files(2)), (b"b", files(2)))
    assert outcomes == ["done"] * 4
    for name in "ab":
        assert sorted(each.name for each in (place / name).iterdir()) == ["0", "1"]
    assert partial(place) == []
    assert descriptors() == before


# -- a full disk -----------------------------------------------------------------------------


@pytest.fixture
def options() -> str:
    """Room for 64 KiB."""
    return "size=64k"


@pytest.fixture
def small_disk(options: str, tmp_path: Path) -> Iterator[Path]:
    """A file system with little room."""
    place = tmp_path / "small"
    place.mkdir()
    with mounted(place, options):
        (place / "folder").mkdir()
        yield place


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("options", ["size=64k", "nr_inodes=12"])
def test_a_full_disk(small_disk: Path, folder: bytes) -> None:
    """What there is room for is there, whole; the rest fails, and nothing is left over."""
    unpacker = LocalStore(small_disk).unpacker(True, True)
    made(unpacker, folder)
    items = files(40, 5000)
    outcomes = unpacked(unpacker, (folder, items))
    assert set(outcomes) == {"done", "no-space"}
    assert outcomes[0] == "done"
    assert partial(small_disk) == []
    here = small_disk / os.fsdecode(folder)
    there = {each.name for each in here.iterdir() if each.is_file()}
    assert there == {str(n) for n, outcome in enumerate(outcomes) if outcome == "done"}
    assert {(here / name).stat().st_size for name in there} == {5000}
    before = descriptors()
    for again in (unpacker, LocalStore(small_disk).unpacker(True, True)):
        unpacked(again, (folder, items[-9:]))
        assert partial(small_disk) == []
    assert descriptors() == before


def test_a_disk_that_is_full_from_the_first_file_on(small_disk: Path) -> None:
    """In a folder that is new."""
    unpacker = LocalStore(small_disk).unpacker(True, True)
    made(unpacker, b"new")
    large: list[Item] = [whole(b"large", bytes(100_000))]
    assert unpacked(unpacker, (b"new", large)) == ["no-space"]
    assert partial(small_disk) == []
    assert list((small_disk / "new").iterdir()) == []


# -- many folders, and a kill ----------------------------------------------------------------


def test_more_folders_than_are_held_open(place: Path) -> None:
    """There, and new; nothing stays open."""
    before = descriptors()
    unpacker = LocalStore(place).unpacker(True, False)
    names = [b"%d" % number for number in range(400)]
    folders: list[Item] = [folder_described(name) for name in names]
    parts: list[tuple[bytes, list[Item]]] = [(b"", folders), *((name, files(2)) for name in names)]
    for outcome in ("done", "held"):
        outcomes = unpacked(unpacker, *parts)
        assert outcomes == [outcome] * 400 + ["done"] * 800
        assert descriptors() == before
    assert {(place / os.fsdecode(name) / "1").read_text() for name in names} == {"0001"}
    assert partial(place) == []


_KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[4])
from tests.kit.disks import mounted
from tests.kit.unpacking import files, made
from twisted_ft.stores import system
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.conformance.samples import unpacked

place, folder, after = sys.argv[1], os.fsencode(sys.argv[2]), int(sys.argv[3])
def killing(real, calls=[]):
    def called(*args, **named):
        calls.append(None)
        if len(calls) > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **named)
    return called
unpacker = LocalStore(place).unpacker(True, True)
made(unpacker, folder)
if after:
    os.replace = killing(os.replace)
else:
    system.sync_file_system = killing(system.sync_file_system)
unpacked(unpacker, (folder, files(9)))
"""


_KILLED_AGAIN = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from tests.kit.disks import mounted
from tests.kit.unpacking import files
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.conformance.samples import unpacked

left = int(sys.argv[2])
def killing(real):
    def called(*args, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **named)
    return called
os.replace, os.unlink = killing(os.replace), killing(os.unlink)
unpacked(LocalStore(sys.argv[1]).unpacker(True, True), (b"folder", files(9)))
"""


@pytest.mark.parametrize("after", [0, 8, 9, 10, 15, 19, 20, 21, 25, 28])
def test_a_process_that_is_killed_where_another_was(place: Path, after: int) -> None:
    """It takes over nine of twenty files, removes the others, and gives nine files their names."""
    for number in range(20):
        (place / "folder" / f".ft-{number:032x}.part").write_text("left over")
    arguments = [str(place), str(after), str(Path(__file__).parents[3])]
    killed = subprocess.run([sys.executable, "-c", _KILLED_AGAIN, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    there = {each.name for each in (place / "folder").iterdir()}
    again = [each for each in files(9) if each.name.decode() not in there]
    unpacker = LocalStore(place).unpacker(True, True)
    assert unpacked(unpacker, (b"folder", again)) == ["done"] * len(again)
    assert partial(place) == []
    assert len(os.listdir(place / "folder")) == 9


@pytest.mark.parametrize(
    ("folder", "after"), [(b"", 0), (b"folder", 0), (b"new", 0), (b"", 4), (b"folder", 8)]
)
def test_a_killed_process_leaves_nothing_for_good(place: Path, folder: bytes, after: int) -> None:
    """It is killed before it syncs, or after some of nine files have their names."""
    here = place / os.fsdecode(folder)
    arguments = [str(place), os.fsdecode(folder), str(after), str(Path(__file__).parents[3])]
    killed = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = partial(place)
    assert left
    assert len([each for each in here.iterdir() if each.name.isdigit()]) == after
    unpacker = LocalStore(place).unpacker(True, False)
    made(unpacker, folder)
    lacking = [item for item in files(9) if not (here / os.fsdecode(item.name)).exists()]
    assert len(lacking) == 9 - after
    assert set(unpacked(unpacker, (folder, lacking))) == {"done"}
    assert partial(place) == []
    assert {(here / str(n)).read_text() for n in range(9)} == {f"000{n}" for n in range(9)}
