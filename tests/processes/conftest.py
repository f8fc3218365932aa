"""Servers that tests share, and folders of their own on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest
from programs import Server


@dataclass(frozen=True)
class Place:
    """A folder on a server, for one test."""

    server: Server
    folder: Path

    def url(self, path: str = "") -> str:
        """The URL of something in it."""
        return self.server.url(f"{self.folder.name}/{path}")

    def file(self, name: str, content: bytes) -> str:
        """Make a file in it; its URL."""
        (self.folder / name).write_bytes(content)
        return self.url(name)


def _place(server: Server) -> Place:
    return Place(server, Path(mkdtemp(prefix="for-one-test-", dir=server.root)))


@pytest.fixture(scope="session")
def writable_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes uploads."""
    with Server(tmp_path_factory.mktemp("served"), "--writable") as server:
        yield server


@pytest.fixture(scope="session")
def read_only_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes nothing."""
    with Server(tmp_path_factory.mktemp("read-only")) as server:
        yield server


@pytest.fixture
def place(writable_server: Server) -> Place:
    """A new, empty folder on a server that takes uploads."""
    return _place(writable_server)


@pytest.fixture
def read_only(read_only_server: Server) -> Place:
    """A new, empty folder on a server that takes nothing."""
    return _place(read_only_server)
