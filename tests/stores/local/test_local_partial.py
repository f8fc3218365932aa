"""What a LocalStore keeps, and who may go on with it; to the moment when it has its name."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_ft.errors import AlreadyExists, Busy, StorageFailed
from twisted_ft.stores import system
from twisted_ft.stores.conformance.samples import content_in, content_of, described, put
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.record import Record, partial_names
from twisted_ft.stores.memory import MemoryStore

FILE = described(b"new", b"12345678")
PART, FROM = (name.decode() for name in partial_names(b"new"))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A folder in which half of FILE is kept."""
    store = LocalStore(tmp_path)
    sink = store.sink(FILE, True)
    sink.write([b"1234"])
    sink.keep()
    assert sorted(os.listdir(tmp_path)) == sorted([PART, FROM])
    return store


def _finish(store: LocalStore, offset: int) -> None:
    sink = store.sink(FILE, True)
    assert sink.offset == offset
    sink.write([b"12345678"[offset:]])
    sink.publish()
    assert content_in(store, b"new") == b"12345678"
    assert os.listdir(store.root) == ["new"]


# -- the record ------------------------------------------------------------------------------


def test_another_store_carries_on(store: LocalStore) -> None:
    _finish(LocalStore(store.root), 4)


@pytest.mark.parametrize(
    "record", [b"", b"8", b"8 \n", b"8 31", b"\xff" * 5000, b"8 31\n\n", b"8 31\n0\n\n"]
)
def test_a_damaged_record_is_not_believed(store: LocalStore, record: bytes) -> None:
    Path(store.root, FROM).write_bytes(record)
    _finish(store, 0)


def test_a_record_of_an_earlier_version_is_carried_on(store: LocalStore) -> None:
    """It is one line; from then on it says what the file is to be called, and whose it is."""
    record = Path(store.root, FROM)
    first, *others = record.read_bytes().splitlines(keepends=True)
    assert others == [b"new".hex().encode() + b"\n", b"\n"]
    record.write_bytes(first)
    sink = store.sink(FILE, True, owner="\u00e4 person\n\udcff")
    assert sink.offset == 4
    sink.keep()
    known = Record.read(record.read_bytes())
    assert known == Record(first, b"new", "\u00e4 person\n\udcff")
    _finish(store, 4)


def test_an_owner_with_too_long_a_name(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with pytest.raises(ValueError, match="at most 1,024 bytes"):
        store.sink(FILE, True, owner="x" * 1025)
    longest = described(b"n" * 255, b"1234", version=b"\xff" * 255)
    sink = store.sink(longest, True, owner="x" * 1024)
    sink.write([b"12"])
    sink.keep()
    assert store.sink(longest, True).offset == 2


def test_a_missing_record(store: LocalStore) -> None:
    Path(store.root, FROM).unlink()
    _finish(store, 0)


def test_a_missing_part(store: LocalStore) -> None:
    Path(store.root, PART).unlink()
    _finish(store, 0)


def test_a_part_longer_than_the_file(store: LocalStore) -> None:
    Path(store.root, PART).write_bytes(b"123456789")
    _finish(store, 0)


def test_a_part_that_shrinks_while_it_is_given_back(store: LocalStore) -> None:
    """It ends early, and the digest shows it."""
    sink = store.sink(FILE, True)
    os.truncate(Path(store.root, PART), 2)
    assert b"".join(sink.kept()) == b"12"
    sink.discard()


def test_a_part_of_another_version_is_dropped(store: LocalStore) -> None:
    other = described(b"new", b"abcdefgh", version=b"2")
    sink = store.sink(other, True)
    assert Path(store.root, PART).read_bytes() == b""
    sink.write([b"ab"])
    sink.keep()
    assert store.sink(other, True).offset == 2


def test_where_nothing_arrived_nothing_is_left(tmp_path: Path) -> None:
    LocalStore(tmp_path).sink(FILE, True).keep()
    assert os.listdir(tmp_path) == []


def test_what_is_discarded_leaves_nothing(store: LocalStore) -> None:
    store.sink(FILE, True).discard()
    assert os.listdir(store.root) == []


def test_an_interrupted_publish_leaves_the_published_file_alone(store: LocalStore) -> None:
    """Killed between link(2) and unlink(2), the file has both names: it isn't written into."""
    os.link(Path(store.root, PART), Path(store.root, "new"))
    _finish(store, 0)


# -- the lock --------------------------------------------------------------------------------

_RECEIVE = """
import signal, sys
from twisted_ft.stores.conformance.samples import content_of, described
from twisted_ft.stores.local import LocalStore
store, content = LocalStore(sys.argv[1]), content_of(1 << 20)
sink = store.sink(described(b"new", content), True)
for begin in range(sink.offset, len(content), 1000)[: int(sys.argv[2])]:
    sink.write([content[begin : begin + 1000]])
print("waits", flush=True)
signal.pause()
"""
_PUBLISH = """
import os, sys
from twisted_ft.stores.conformance.samples import described, put
from twisted_ft.stores.local import LocalStore
store, overwrite = LocalStore(sys.argv[1]), sys.argv[2] == "overwrite"
for number in range(10_000):
    content = b"%09d\\n" % number * (1000 + number)
    put(store, described(b"new", content, version=b"%d" % number), content, overwrite)
    print(number, flush=True)
    if not overwrite:
        os.unlink(os.path.join(store.root, "new"))
"""


@contextmanager
def _running(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, which is killed (SIGKILL) at the end."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _heard(process: subprocess.Popen[str], lines: int) -> None:
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline(), "the process has ended"


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    """Until then the name is its own; then another carries on with what it wrote."""
    content = content_of(1 << 20)
    file = described(b"new", content)
    store = LocalStore(tmp_path)
    for pieces in ("1", "50"):
        with _running(_RECEIVE, str(tmp_path), pieces) as process:
            _heard(process, 1)
            with pytest.raises(Busy, match="another transfer to this name is running"):
                store.sink(file, True)
            with pytest.raises(Busy):
                store.sink(described(b"new", b"other", version=b"2"), True)
    assert not (tmp_path / "new").exists()
    sink = store.sink(file, True)
    assert sink.offset > 40_000
    assert b"".join(sink.kept()) == content[: sink.offset]
    sink.write([content[sink.offset :]])
    sink.publish()
    assert content_in(store, b"new") == content


@pytest.mark.parametrize("how", ["overwrite", "new"])
@pytest.mark.parametrize("lines", [1, 4, 9, 15])
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path, lines: int, how: str) -> None:
    with _running(_PUBLISH, str(tmp_path), how) as process:
        _heard(process, lines)
    store = LocalStore(tmp_path)
    if (tmp_path / "new").exists():
        content = content_in(store, b"new")
        assert content == content[:10] * (1000 + int(content[:9]))
    put(store, described(b"new", b"last", version=b"last"), b"last")
    assert content_in(store, b"new") == b"last"
    assert os.listdir(tmp_path) == ["new"]


def test_a_part_published_while_its_lock_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened has become the file itself meanwhile, and isn't written into."""
    store = LocalStore(tmp_path)
    first = store.sink(FILE, True)
    first.write([b"12345678"])
    lock = system.lock

    def publish_before_lock(fd: int) -> bool:
        monkeypatch.setattr(system, "lock", lock)
        first.publish()
        return lock(fd)

    monkeypatch.setattr(system, "lock", publish_before_lock)
    second = store.sink(described(b"new", b"abcd", version=b"2"), True)
    assert content_in(store, b"new") == b"12345678"
    second.write([b"abcd"])
    assert content_in(store, b"new") == b"12345678"
    second.publish()
    assert content_in(store, b"new") == b"abcd"


# -- publishing ------------------------------------------------------------------------------


def _calls(monkeypatch: pytest.MonkeyPatch, names: list[str]) -> list[str]:
    """The calls of ``os`` functions, as they are made; ``fsync`` with what is synced."""
    calls: list[str] = []

    def recorded(name: str) -> None:
        call = getattr(os, name)

        def record(target: int | bytes, *args: object, **named: object) -> object:
            folder = name == "fsync" and stat.S_ISDIR(os.stat(target).st_mode)
            calls.append("fsync folder" if folder else name)
            return call(target, *args, **named)

        monkeypatch.setattr(os, name, record)

    for name in names:
        recorded(name)
    return calls


@pytest.mark.skipif(os.name == "nt", reason="Windows can't sync a folder")
@pytest.mark.parametrize(
    ("overwrite", "naming"), [(True, ["replace"]), (False, ["link", "unlink"])]
)
def test_the_order_in_which_a_file_is_published(
    store: LocalStore, overwrite: bool, naming: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data, time and permissions to the disk; then the name; then the name to the disk."""
    sink = store.sink(FILE, overwrite)
    sink.write([b"5678"])
    calls = _calls(monkeypatch, ["fchmod", "utime", "fsync", "unlink", "link", "replace"])
    sink.publish()
    assert calls == ["fchmod", "utime", "fsync", "unlink", *naming, "fsync folder"]


@pytest.mark.skipif(os.name == "nt", reason="Windows renames in another way")
def test_a_file_system_without_links(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as FAT, which says EPERM (link(2)); none is at hand in every test run."""

    def refused(*args: object, **named: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    sink = store.sink(FILE, False)
    sink.write([b"5678"])
    sink.publish()
    assert content_in(store, b"new") == b"12345678"
    sink = store.sink(described(b"second", b"1"), False)
    Path(store.root, "second").write_text("from elsewhere")
    sink.write([b"1"])
    with pytest.raises(AlreadyExists):
        sink.publish()
    assert content_in(store, b"second") == b"from elsewhere"


def test_what_could_not_be_synced_is_not_carried_on_with(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync(2), what wasn't written may seem to be."""

    def failed(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    sink = store.sink(FILE, True)
    sink.write([b"5678"])
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", failed)
        with pytest.raises(StorageFailed, match="new: Input/output error"):
            sink.publish()
    assert os.listdir(store.root) == []


def test_an_invalid_argument_is_not_blamed_on_the_name(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EINVAL means a bad name only of a call that was given one (open(2))."""

    def failed(fd: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    sink = store.sink(FILE, True)
    monkeypatch.setattr(os, "fsync", failed)
    with pytest.raises(StorageFailed, match="new: Invalid argument"):
        sink.publish()


# -- any cuts --------------------------------------------------------------------------------


@given(
    content=st.binary(max_size=2000),
    runs=st.lists(st.tuples(st.lists(st.integers(0, 400), max_size=5), st.booleans()), max_size=5),
    in_memory=st.booleans(),
)
def test_any_cuts_give_the_same_file(
    content: bytes, runs: list[tuple[list[int], bool]], in_memory: bool
) -> None:
    """However often, and wherever, a transfer is cut off; dropped at times, and begun anew."""
    file = described(b"new", content)
    with tempfile.TemporaryDirectory() as place:
        store = MemoryStore() if in_memory else LocalStore(place)
        position = 0
        for sizes, dropped in runs:
            sink = store.sink(file, True)
            assert sink.offset == position
            assert b"".join(sink.kept()) == content[:position]
            for size in sizes:
                sink.write([content[position : position + size]])
                position = min(position + size, len(content))
            if dropped:
                sink.discard()
                position = 0
            else:
                sink.keep()
        sink = store.sink(file, True)
        sink.write([content[sink.offset :]])
        sink.publish()
        assert content_in(store, b"new") == content
