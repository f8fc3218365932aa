"""Servers that tests share, and folders of their own on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.places import Place, place_on
from tests.kit.programs import Server


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
    return place_on(writable_server)


@pytest.fixture
def read_only(read_only_server: Server) -> Place:
    """A new, empty folder on a server that takes nothing."""
    return place_on(read_only_server)
