"""What the tests of whole trees share: trees on disks, and two ends that have one each."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.python.failure import Failure

from tests.kit.nobody import load_what_is_loaded_late
from twisted_ft import Client, Delivery, FileTransferFactory, LocalStore, Runtime, connect
from twisted_ft.stores.interfaces import Store
from twisted_ft.testing import MemoryNetwork
from twisted_ft.trees.deliveries import Deliveries
from twisted_ft.trees.options import TreeOptions

T = TypeVar("T")

FILES: dict[str, bytes] = {
    "a": b"content of a",
    "b/empty": b"",
    "b/c/deep": os.urandom(100_000),
    "b/-dash and space": b"x",
    "z/\udcff": b"not UTF-8",
}
BOTH_WAYS = pytest.mark.parametrize("direction", ["get", "put"])
LARGE = 1_200_000
"""Bytes in a file that is too large for a parcel."""


def grow(root: Path, files: dict[str, bytes] = FILES) -> Path:
    """Make a tree."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        os.utime(root / name, ns=(5, 1_000_000_000 + len(content)))
    return root


def numbered(count: int, size: int = 100) -> dict[str, bytes]:
    """So many files, each with a content of its own."""
    return {f"{number:04}": b"%08d" % number + bytes(size - 8) for number in range(count)}


def tree(root: Path) -> dict[str, bytes | None]:
    """What is below a folder, partial files too; None for folders."""
    return {
        str(each.relative_to(root)): each.read_bytes() if each.is_file() else None
        for each in root.rglob("*")
        if not each.is_symlink()
    }


def statuses(results: dict[str, Delivery]) -> set[str]:
    return {each.status for each in results.values()}


def with_status(results: dict[str, Delivery], status: str) -> list[str]:
    """The last names of what has come to a status, sorted."""
    return sorted(os.path.basename(path) for path, each in results.items() if each.status == status)


def failures(results: dict[str, Delivery]) -> dict[str, str]:
    """The codes of what failed, by its last name."""
    return {
        os.path.basename(name): each.error.code
        for name, each in results.items()
        if each.status == "failed" and each.error is not None
    }


async def gathered(deliveries: Deliveries) -> dict[str, Delivery]:
    """All results, by their paths; each path has one."""
    results: dict[str, Delivery] = {}
    async for each in deliveries:
        assert each.path not in results, f"two results: {results[each.path]}, {each}"
        results[each.path] = each
    return results


def result_of(call: Deferred[T]) -> T:
    """What a Deferred has come to, which has fired."""
    outcome: list[Any] = []
    call.addBoth(outcome.append)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    result: T = outcome[0]
    return result


class Two:
    """A server of a folder, or of another store, and a client with a folder.

    :param durable: whether the client has things synced
    :param options: those of the factory
    """

    def __init__(
        self,
        tmp_path: Path,
        store: Store | None = None,
        *,
        durable: bool = True,
        limit_rate: float | None = None,
        **options: Any,
    ) -> None:
        self.served, self.here = tmp_path / "served", tmp_path / "here"
        self.served.mkdir(exist_ok=True)
        self.network = MemoryNetwork()
        options.setdefault("writable", True)
        options.setdefault("runtime", self.network.runtime)
        self.factory = FileTransferFactory(store or LocalStore(self.served), **options)
        self._wanted = {"durable": durable, "limit_rate": limit_rate}
        self.client = self.connect()

    def connect(self, **wanted: Any) -> Client:
        """One more client."""
        wanted = {"runtime": self.network.runtime, **self._wanted, **wanted}
        client: Client = self.network.run(connect(self.network.endpoint(self.factory), **wanted))
        return client

    def get(self, path: str = "", seconds: float = 0, **options: Any) -> dict[str, Delivery]:
        deliveries = self.client.get_tree(path, self.here, TreeOptions(**options))
        return self.network.run(gathered(deliveries), seconds)

    def put(self, path: str = "", seconds: float = 0, **options: Any) -> dict[str, Delivery]:
        deliveries = self.client.put_tree(self.here, path, TreeOptions(**options))
        return self.network.run(gathered(deliveries), seconds)

    def move(self, direction: str, seconds: float = 0, **options: Any) -> dict[str, Delivery]:
        """The tree of one end to the other."""
        move = self.get if direction == "get" else self.put
        return move("", seconds, **options)

    def ends(self, direction: str) -> tuple[Path, Path]:
        """Where a tree comes from, and where it goes."""
        ends = (self.served, self.here)
        return ends if direction == "get" else ends[::-1]

    def begin(self, direction: str, **options: Any) -> Deliveries:
        """A tree on its way, of which nothing is taken yet."""
        wanted = TreeOptions(**options)
        if direction == "get":
            return self.client.get_tree("", self.here, wanted)
        return self.client.put_tree(self.here, "", wanted)

    def take(self, deliveries: Deliveries, count: int) -> list[Delivery]:
        """The next so many results; nothing more happens than has to for them."""

        async def some() -> list[Delivery]:
            return [await anext(deliveries) for _ in range(count)]

        call = ensureDeferred(some())
        self.until(lambda: call.called)
        return result_of(call)

    def until(self, condition: Callable[[], object]) -> None:
        """Let things happen, one at a time, until ``condition`` holds."""
        while not condition():
            assert self.network.step(), "nothing is left to happen"

    def serve_with(self, runtime: Runtime) -> None:
        """Give the server threads of its own, and connect anew."""
        self.factory = FileTransferFactory(self.factory.store, writable=True, runtime=runtime)
        self.client = self.connect()


def late(network: MemoryNetwork, steps: int) -> Runtime:
    """Threads whose work is done at once, while the news of it comes so many steps later."""

    def later(left: int) -> Deferred[None]:
        step: Deferred[None] = network.runtime.in_thread(lambda: None)
        return step.addCallback(lambda _: later(left - 1)) if left > 1 else step

    def in_thread(function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        news = maybeDeferred(function, *args)
        return later(steps).addCallback(lambda _: news)

    return Runtime(network.clock, in_thread)


@contextmanager
def without_privileges() -> Iterator[Path]:
    """An empty place, for the time without root's privileges, to whom all is permitted."""
    load_what_is_loaded_late()
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    privileged = os.geteuid() == 0
    groups = os.getgroups()
    if privileged:
        os.setgroups([])
        os.setegid(65534)
        os.seteuid(65534)
    try:
        yield place
    finally:
        if privileged:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        for folder, _, _ in os.walk(place):
            os.chmod(folder, 0o700)
            for each in os.scandir(folder):
                if each.is_dir(follow_symlinks=False):
                    os.chmod(each, 0o700)
        shutil.rmtree(place)
