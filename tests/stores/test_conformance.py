"""The suite for any store, on those that there are, and on what other platforms lack."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.kit.stores import (
    NotingStore,
    PlainLocalStore,
    PutAndGet,
    WithoutEmptyFolders,
)
from twisted_ft.stores import system
from twisted_ft.stores.capabilities import Capabilities
from twisted_ft.stores.conformance import StoreConformance
from twisted_ft.stores.conformance.trees import TreeConformance
from twisted_ft.stores.interfaces import Store
from twisted_ft.stores.local import LocalStore, folder
from twisted_ft.stores.local import store as local
from twisted_ft.stores.memory import MemoryFile, MemoryStore
from twisted_ft.stores.wrapping import StoreWrapper


class TestMemoryStore(StoreConformance):
    def make_store(self, place: Path) -> Store:
        return MemoryStore()

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        cast(MemoryStore, store).files[path] = MemoryFile(content)


class TestLocalStore(StoreConformance):
    has_modes = os.name != "nt"

    def make_store(self, place: Path) -> Store:
        return LocalStore(place)

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        file = Path(cast(LocalStore, store).root, os.fsdecode(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class TestPutAndGet(TestMemoryStore):
    def make_store(self, place: Path) -> Store:
        return PutAndGet()


class TestWithoutEmptyFolders(TestMemoryStore):
    def make_store(self, place: Path) -> Store:
        return StoreWrapper(WithoutEmptyFolders())

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        cast(Any, store).files[path] = MemoryFile(content)


@pytest.mark.parametrize(
    ("capability", "tells"),
    [
        ("writable", TestMemoryStore.test_a_store_that_cant_be_written_to),
        ("renames", TestMemoryStore.test_a_store_that_cant_rename),
        ("resumes", TestMemoryStore.test_a_store_that_cant_carry_on),
        ("empty_folders", TestMemoryStore.test_a_store_without_empty_folders),
    ],
)
def test_a_store_that_says_less_than_is_true_is_found_out(
    capability: str, tells: Callable[[object, Store], None]
) -> None:
    class Modest(MemoryStore):
        capabilities = Capabilities(**{capability: False})

    modest = Modest({b"file": b"content", b"folder/inner": b"inner content"})
    with pytest.raises((pytest.fail.Exception, AssertionError)):
        tells(TestMemoryStore(), modest)


class TestPlainLocalStore(TreeConformance):
    """What goes by sources and sinks, on what has links, FIFOs and permissions, too."""

    has_modes = os.name != "nt"

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        store = PlainLocalStore(tmp_path)
        self.add_file(store, b"file", b"content")
        self.add_file(store, b"folder/inner", b"inner content")
        return store

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        TestLocalStore().add_file(store, path, content)


class TestWrappedMemoryStore(StoreConformance):
    """Around one that has no ways of its own for trees."""

    def make_store(self, place: Path) -> Store:
        return NotingStore(MemoryStore())

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        cast(MemoryStore, store).files[path] = MemoryFile(content)


class TestWrappedLocalStore(TestPlainLocalStore):
    """Around one that has them; what goes by sources and sinks is passed on as it is."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        store = NotingStore(LocalStore(tmp_path))
        self.add_file(store, b"file", b"content")
        self.add_file(store, b"folder/inner", b"inner content")
        return store


class TestLocalStoreByPath(TestLocalStore):
    """As on Windows, where a folder is a path."""

    @pytest.fixture(autouse=True)
    def _no_dir_fd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
        monkeypatch.setattr(local, "HAS_DIR_FD", False)


_FAR_BYTE = 1 << 40
"""Where the lock is taken: behind any file here, and not behind what ext4 can hold."""


class _Locking:
    """What is used of Windows' ``msvcrt``, with the locks of this platform behind it."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        import fcntl

        self._fcntl = fcntl

    def locking(self, fd: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        assert os.lseek(fd, 0, os.SEEK_CUR) == _FAR_BYTE
        try:
            self._fcntl.flock(fd, self._fcntl.LOCK_EX | self._fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(13, "Permission denied") from None


@pytest.mark.skipif(os.name == "nt", reason="this is the platform that is imitated")
class TestLocalStoreWithWindowsCalls(TestLocalStore):
    """Without what only POSIX has; nothing that is open can be renamed or removed."""

    has_modes = False

    @pytest.fixture(autouse=True)
    def _no_posix(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folder, "HAS_DIR_FD", False)
        monkeypatch.setattr(local, "HAS_DIR_FD", False)
        monkeypatch.setattr(system, "msvcrt", _Locking(), raising=False)
        monkeypatch.setattr(system, "_LOCKED_BYTE", _FAR_BYTE)
        monkeypatch.setattr(system, "fcntl", None)
        monkeypatch.setattr(system, "MOVES_OPEN_FILES", False)
        monkeypatch.setattr(folder, "SETS_TIMES_BY_FD", False)
        for name in ("pread", "writev", "fchmod"):
            monkeypatch.delattr(os, name)
        for name in ("replace", "link", "unlink"):
            monkeypatch.setattr(os, name, _refusing_open_files(getattr(os, name)))


def _refusing_open_files(call: Callable[..., object]) -> Callable[..., object]:
    """``call`` on a name, which fails as on Windows where a file of this process is open."""

    def checked(name: bytes, *args: object, **named: object) -> object:
        if os.path.exists(name):
            for each in os.listdir("/dev/fd"):
                target = os.path.join("/dev/fd", each)
                if os.path.exists(target) and os.path.samefile(target, name):
                    raise PermissionError(13, "Permission denied", name)
        return call(name, *args, **named)

    return checked
