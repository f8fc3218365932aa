"""Folders on a server, one for each test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tests.kit.programs import Server


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


def place_on(server: Server) -> Place:
    """A new, empty folder on a server."""
    return Place(server, Path(mkdtemp(prefix="for-one-test-", dir=server.root)))
