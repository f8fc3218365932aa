"""What a folder remembers of its files' digests, and when it doesn't."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from twisted_ft import FileTransferFactory, LocalStore
from twisted_ft.errors import Corrupt
from twisted_ft.stores.local import digests
from twisted_ft.stores.local.digests import LEAST_SIZE
from twisted_ft.testing import MemoryNetwork

LONG_AGO = 10**18
CONTENT = os.urandom(LEAST_SIZE)
DIGEST = blake3(CONTENT).digest()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock has gone on since the files of the test were made, as nobody can set a ctime."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3 * 10**9)


def remembered(store: LocalStore, digest: bytes | None = DIGEST) -> None:
    source = store.source(b"file")
    source.remember(digest)
    source.close()


def digest_in(store: LocalStore) -> bytes | None:
    source = store.source(b"file")
    known: bytes | None = source.digest()
    source.close()
    return known


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "file").write_bytes(CONTENT)
    return LocalStore(tmp_path)


@pytest.mark.usefixtures("later")
def test_it_is_known_from_the_second_time_on(store: LocalStore) -> None:
    assert digest_in(store) is None
    remembered(store)
    assert digest_in(store) == DIGEST


def rewritten(path: Path) -> None:
    """As a program does that wants nobody to see it."""
    times = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaced(path: Path) -> None:
    path.with_name("other").write_bytes(CONTENT[::-1])
    path.with_name("other").rename(path)


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.utime(path, ns=(LONG_AGO, LONG_AGO)),
        lambda path: path.write_bytes(CONTENT + b"more"),
        rewritten,
        replaced,
    ],
)
def test_not_after_a_change(
    store: LocalStore, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    remembered(store)
    change(tmp_path / "file")
    assert digest_in(store) is None


def test_not_where_another_change_would_not_show(store: LocalStore) -> None:
    remembered(store)
    assert digest_in(store) is None


@pytest.mark.usefixtures("later")
def test_not_of_what_is_hashed_in_no_time(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[1:])
    remembered(store)
    assert digest_in(store) is None


@pytest.mark.usefixtures("later")
def test_not_of_more_files_than_there_is_room_for(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "MOST_DIGESTS", 2)
    sources = []
    for name in (b"file", b"b", b"c"):
        (tmp_path / os.fsdecode(name)).write_bytes(CONTENT)
        source = store.source(name)
        source.remember(DIGEST)
        sources.append(source)
        assert sources[0].digest() == DIGEST  # which is of use, and stays
    assert [each.digest() for each in sources] == [DIGEST, None, DIGEST]
    for source in sources:
        source.close()


@pytest.mark.usefixtures("later")
def test_a_served_file_is_hashed_once(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = MemoryNetwork()
    client = network.client(FileTransferFactory(store, runtime=network.runtime))
    hashed: list[int] = []

    class Counted:
        def __init__(self) -> None:
            self._real = blake3()

        def update(self, piece: Any) -> None:
            hashed.append(len(piece))
            self._real.update(piece)

        def digest(self) -> bytes:
            return self._real.digest()

    monkeypatch.setattr("twisted_ft.transfer.bodies.outflow.blake3", Counted)
    first = network.run(client.get("file", tmp_path / "first"))
    assert sum(hashed) == len(CONTENT)
    second = network.run(client.get("file", tmp_path / "second"))
    assert sum(hashed) == len(CONTENT)
    assert first.blake3 == second.blake3 == DIGEST.hex()
    assert (tmp_path / "second").read_bytes() == CONTENT


@pytest.mark.usefixtures("later")
def test_what_proves_wrong_is_forgotten(store: LocalStore, tmp_path: Path) -> None:
    network = MemoryNetwork()
    client = network.client(FileTransferFactory(store, runtime=network.runtime))
    remembered(store, b"?" * 32)
    with pytest.raises(Corrupt):
        network.run(client.get("file", tmp_path / "got"))
    assert not (tmp_path / "got").exists()
    assert network.run(client.get("file", tmp_path / "got")).blake3 == DIGEST.hex()
