"""Trees that are very deep: what a folder costs doesn't depend on how many are above it."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.planting import Two, statuses
from twisted_ft.stores import system
from twisted_ft.stores.local import LocalStore, folder
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.tree import entries_below

pytestmark = pytest.mark.skipif(not folder.HAS_DIR_FD, reason="a folder is a path here")
LEVELS = 1500
_EACH = 12
"""Calls for a folder, at each end, at most."""


def _grow(top: Path) -> None:
    """A folder in a folder, and so on, with a file in each."""
    here = os.open(top, os.O_RDONLY)
    for level in range(LEVELS):
        with open(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here), "w") as file:
            file.write(str(level))
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path)
    yield two
    for each in tmp_path.iterdir():  # pytest's own way is by recursion
        LocalStore(tmp_path).remove(os.fsencode(each.name), True)


class Counted:
    """How often what is opened is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = Counter[str]()
        places: list[tuple[Any, str]] = [(os, "open"), (system, "open_beneath")]
        for place, name in places:
            monkeypatch.setattr(place, name, self._counted(name, getattr(place, name)))

    def _counted(self, name: str, real: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return real(*args, **named)

        return call

    def check(self) -> None:
        count = self.calls.total()
        self.calls.clear()
        assert LEVELS < count < LEVELS * 2 * _EACH


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    here = os.open(".", os.O_RDONLY)
    far = system.open_beneath(here, b".", os.O_RDONLY)
    os.close(here)
    if far is None:
        pytest.skip("this system takes one step at a time")
    os.close(far)
    return Counted(monkeypatch)


def test_down_and_up(two: Two, counted: Counted) -> None:
    _grow(two.served)
    counted.calls.clear()
    assert statuses(two.get()) == {"done"}
    counted.check()
    assert statuses(two.get()) == {"skipped"}
    counted.check()
    results = two.put("up")
    assert statuses(results) == {"done"}
    assert len(results) == LEVELS
    counted.check()
    assert statuses(two.put("up", delete=True)) == {"skipped"}
    counted.check()
    assert sum(1 for _ in entries_below(LocalStore(two.served), b"up")) == 2 * LEVELS
    counted.check()


def _refuse(number: int) -> Any:
    return lambda *_: -number


@pytest.fixture(params=["in one step", "no such call", "locked up"])
def top(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ten levels below it, however they are gone down."""
    if request.param == "no such call":
        monkeypatch.setattr(system, "_openat2", lambda: None)
    if request.param == "locked up":
        monkeypatch.setattr(system, "_openat2", lambda: _refuse(errno.EPERM))
    (tmp_path / "/".join("0123456789")).mkdir(parents=True)
    return tmp_path


NAMES = [b"%d" % level for level in range(10)]


def test_far_below(top: Path) -> None:
    with Folder.root(top.as_posix()) as root, root.below(NAMES) as deepest:
        assert os.path.samestat(deepest.status(), os.stat(top / "/".join("0123456789")))


@pytest.mark.parametrize("level", [0, 5, 9])
def test_no_link_leads_there(top: Path, level: int) -> None:
    link = top / "/".join("0123456789"[: level + 1])
    link.rename(top / "elsewhere")
    link.symlink_to(top / "elsewhere")
    with Folder.root(top.as_posix()) as root, pytest.raises(OSError, match="link") as caught:
        root.below(NAMES)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("level", [0, 5, 9])
def test_no_file_does(top: Path, level: int) -> None:
    (place := top / "/".join("0123456789"[: level + 1])).rename(top / "elsewhere")
    with Folder.root(top.as_posix()) as root:
        with pytest.raises(FileNotFoundError):
            root.below(NAMES)
        place.touch()
        with pytest.raises(NotADirectoryError):
            root.below(NAMES)


def test_a_path_that_no_call_takes(tmp_path: Path) -> None:
    """Of 4,096 bytes: it is gone down step by step."""
    names = [b"n" * 200] * 20 + [b"n" * 76]
    assert len(b"/".join(names)) == 4096
    with Folder.root(tmp_path.as_posix()) as root:
        for level, name in enumerate(names):
            with root.below(names[:level]) as here:
                here.make_folder(name)
        root.below(names).close()
    LocalStore(tmp_path).remove(names[0], True)
