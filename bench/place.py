"""A scenario's own folder: what is served, what arrives, and the servers of it."""

from __future__ import annotations

import filecmp
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.peers import Peer
from bench.processes import Failed, Server, serving
from bench.settings import MIB, Settings

_OLD = 2.5
"""Seconds after which a file that was changed counts as one that isn't being changed."""


class Place:
    """A temporary folder, gone at the end, as are the servers that were started in it.

    :param settings: what the command line gave
    :param within: the folder to make it in
    """

    def __init__(self, settings: Settings, within: Path) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self._servers: dict[str, Server] = {}
        self._ports: set[int] = set()
        within.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix="bench-", dir=within)
        self.folder = Path(self._stack.enter_context(temporary))
        self.served = self._made("served")
        """what every server serves"""
        self.uploads = self._made("served/in")
        """where uploads go"""
        self.work = self._made("work")
        """the working folder of clients; where downloads go is below it"""
        self.downloads = self.work / "out"
        self.log = self.folder / "client.log"

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def _made(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        return path

    # -- data --------------------------------------------------------------------------------

    def room(self, needed: int) -> None:
        """Make sure that ``needed`` bytes go into the folder; Failed, with a sentence."""
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise Failed(
                f"{self.folder.parent} has {free / MIB:,.0f} MiB left, and {needed / MIB:,.0f} MiB "
                "are needed: give another --folder, or --small"
            )

    def file(self, size: int, name: str = "file") -> Path:
        """A served file of random bytes, which nothing has changed for a while."""
        path = self.served / name
        with open(path, "wb") as file:
            for position in range(0, size, MIB):
                file.write(os.urandom(min(MIB, size - position)))
        time.sleep(_OLD)
        return path

    def tree(self, files: int) -> Path:
        """A served folder ``tree`` of files of 1 KiB, a hundred in a folder."""
        top = self._made("served/tree")
        for number in range(files):
            folder = top / f"d{number // 100:04}"
            if number % 100 == 0:
                folder.mkdir()
            (folder / f"f{number % 100:02}").write_bytes(os.urandom(1024))
        time.sleep(_OLD)
        return top

    def copy_of(self, tree: Path) -> Path:
        """A served folder ``tree`` that is a copy of another, without its links."""
        top = self.served / "tree"
        shutil.copytree(tree, top, ignore=_links)
        time.sleep(_OLD)
        return top

    def empty(self) -> None:
        """Empty the folder of uploads, and make that of downloads anew."""
        shutil.rmtree(self.downloads, ignore_errors=True)
        self.downloads.mkdir()
        for path in self.uploads.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def set_aside(self) -> None:
        """As ``empty``, but keep what is there under other names.

        ext4 is slow to make files for half a minute after many were removed, as it looks for inodes
        that haven't been in use lately (``recently_deleted`` in Linux's fs/ext4/ialloc.c).
        """
        kept = self.folder / f"aside-{len(list(self.folder.glob('aside-*')))}"
        kept.mkdir()
        if self.downloads.is_dir():
            self.downloads.rename(kept / "out")
        self.downloads.mkdir()
        for path in self.uploads.iterdir():
            path.rename(kept / path.name)

    def touch_memory(self, size: int) -> None:
        """Have the memory for the next ``size`` bytes of files in use, and free it again.

        A virtual machine's host takes free memory back after two seconds, and to give it again
        takes up to ten times as long as to copy into it.  Whoever writes more than the one before
        would pay for that, and who starts at once would find what has just been freed.
        """
        spare = self.folder / "spare"
        with open(spare, "wb") as writing:
            for _ in range(size // MIB):
                writing.write(bytes(MIB))
        spare.unlink()

    # -- servers -----------------------------------------------------------------------------

    def server(self, peer: Peer) -> Server:
        """The server of a peer, up from the first call to the scenario's end.

        :raises Missing: it isn't installed
        :raises Failed: it doesn't start
        """
        if peer.name not in self._servers:
            self._servers[peer.name] = self._stack.enter_context(self.running(peer))
        return self._servers[peer.name]

    @contextmanager
    def running(self, peer: Peer, *options: str) -> Iterator[Server]:
        """A server of its own for a while; see ``server``."""
        peer.look_for(self.settings)
        port = self._free_port()
        folder = self._made(f"{peer.name.replace(' ', '-')}-{port}")
        command = [*peer.command(self.settings, self.served, folder, port), *options]
        with serving(peer.name, command, folder, port) as server:
            yield server

    def _free_port(self) -> int:
        """A port that nobody had, each time another."""
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in self._ports:
                self._ports.add(port)
                return port


def _links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if os.path.islink(os.path.join(folder, name))]


def same_file(one: Path, other: Path) -> None:
    """Make sure that two files have the same bytes; Failed else."""
    filecmp.clear_cache()
    with suppress(OSError):
        if filecmp.cmp(one, other, shallow=False):
            return
    raise Failed(f"what arrived as {other.name} isn't what was sent")


def same_tree(one: Path, other: Path) -> None:
    """Make sure that two folders have the same files with the same bytes; Failed else."""
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    if names != sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file()):
        raise Failed(f"the files in {other.name} aren't those that were sent")
    for name in names:
        if (one / name).read_bytes() != (other / name).read_bytes():
            raise Failed(f"what arrived as {name} isn't what was sent")
