"""What the command line gives, and every scenario reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True)
class Settings:
    """How to measure.

    :param turns: turns of each row that count
    :param small: whether sizes are those of a trial, and turns follow at once
    :param files: files of the made tree; None for the scenario's own number
    :param folder: where data is made, served and written; a tmpfs
    :param disk: the same, on a real disk
    :param data: what is kept from run to run
    :param ft_python: runs ``ft``, ``twistd`` and what comes with Twisted
    :param peers_python: runs the peers that come from PyPI
    """

    turns: int
    small: bool
    files: int | None
    folder: Path
    disk: Path
    data: Path
    ft_python: str
    peers_python: str

    def size(self, full: int, small: int) -> int:
        """One of two sizes."""
        return small if self.small else full

    @property
    def tree_files(self) -> int:
        """Files of the made tree."""
        return self.files or self.size(100_000, 1_000)
