"""Two ends of a socket, and a server with a client, for each test of this folder."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.kit.serving import CONTENT, Ends, Served, serving


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Two connected sockets; the second doesn't block, as a reactor's."""
    one, other = socket.socketpair()
    other.setblocking(False)
    with one, other:
        yield one, other


@pytest_twisted.async_yield_fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A server of a folder with a large file, and a client."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(CONTENT)
    async with serving(root) as served:
        yield served
