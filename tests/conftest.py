"""For all tests: where their files are, what they are marked as, and that Ctrl-C can be pressed."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it runs behind
    signal.signal(signal.SIGINT, signal.default_int_handler)

MARKED = {"tests/processes/": "processes", "tests/transfer/sockets/": "sockets"}
"""The marker of all tests in a folder."""
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""Bytes that the largest tests need at once, several times over."""
_made = pytest.StashKey[str]()


def _has_room() -> bool:
    return _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put temporary folders into memory, unless --basetemp says where: half a million files."""
    if config.option.basetemp is None and _has_room():
        config.stash[_made] = tempfile.mkdtemp(prefix="ft-tests-", dir=_MEMORY)
        config.option.basetemp = config.stash[_made]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Memory isn't kept."""
    if _made in config.stash:
        shutil.rmtree(config.stash[_made], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder."""
    for item in items:
        for folder, marker in MARKED.items():
            if item.nodeid.startswith(folder):
                item.add_marker(marker)
