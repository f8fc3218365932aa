"""Servers that say less than they claim, or another thing than was asked: an error, and nothing
is removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from tests.kit.planting import gathered, grow, result_of
from tests.kit.saying import ROOT, D, H, whole
from tests.kit.tree_peers import Fetching
from twisted_ft import Client, connect
from twisted_ft.errors import FileTransferError
from twisted_ft.testing import MemoryNetwork
from twisted_ft.trees.options import TreeOptions
from twisted_ft.wire.messages import (
    End,
    Entries,
    Entry,
    Fetch,
    List,
    Message,
    More,
    Parcel,
    Part,
    Receipts,
)

HERE = {name: name.encode() for name in "abcde"}
"""files that the user has"""


def entry(path: bytes, kind: str = "file") -> Entry:
    return Entry(path, kind, 1, 1_000_000_001, 0o644)


LIES: dict[str, Callable[[int], list[Message]]] = {
    "fewer than it says": lambda n: [Entries(n, (entry(b"d/a"),)), End(n, 500)],
    "none of those that it says": lambda n: [End(n, 5)],
    "more than it says": lambda n: [Entries(n, (entry(b"d/a"), entry(b"d/b"))), End(n, 1)],
    "what isn't in the folder": lambda n: [Entries(n, (entry(b"e/a"),)), End(n, 1)],
    "what is beside the folder": lambda n: [Entries(n, (entry(b"da"),)), End(n, 1)],
    "what is above the folder": lambda n: [Entries(n, (entry(b"a"),)), End(n, 1)],
    "without order": lambda n: [Entries(n, (entry(b"d/b"), entry(b"d/a"))), End(n, 2)],
    "one twice": lambda n: [Entries(n, (entry(b"d/b"), entry(b"d/b"))), End(n, 2)],
    "the folder as if in itself": lambda n: [Entries(n, (entry(b"d", "directory"),)), End(n, 1)],
}


class Asking:
    """A real client, and a scripted server that lists whatever it likes."""

    def __init__(self, lie: str) -> None:
        self._lie = lie
        self.network = MemoryNetwork()
        self.disk = self.network.threads()
        endpoint, self.peer = self.network.scripted_server()
        connected = connect(endpoint, runtime=self.disk.runtime)
        self.network.settle()
        self.peer.welcome()
        self.client: Client = self.network.run(connected)

    def outcome(self, call: Deferred[Any]) -> Any:
        """What becomes of a call that lists, once the server has answered."""
        self.settle()
        (asked,) = (each for each in self.peer.messages if isinstance(each, List))
        self.peer.say(*LIES[self._lie](asked.exchange))
        self.settle()
        return result_of(call)

    def settle(self) -> None:
        self.network.settle()

    def answer_tree(self, count: int) -> None:
        """Send a tree of one file, and say that there are ``count``."""
        self.settle()
        (asked,) = (each for each in self.peer.messages if isinstance(each, Fetch))
        self.peer.say(Parcel(2, asked.exchange, b"", (Part(b"", (ROOT,)),)))
        self.settle()
        self.peer.say(Parcel(4, asked.exchange, b"", (Part(b"", (whole(b"a", b"a"),)),)))
        self.settle()
        self.peer.say(End(asked.exchange, count))
        self.settle()


@pytest.fixture(params=LIES)
def asking(request: pytest.FixtureRequest) -> Asking:
    return Asking(request.param)


def check_broken(asking: Asking, call: Deferred[Any]) -> None:
    with pytest.raises(FileTransferError) as caught:
        asking.outcome(call)
    assert caught.value.code == "protocol"
    assert asking.peer.lost is not None


def test_a_list(asking: Asking) -> None:
    check_broken(asking, asking.client.list("d"))


@pytest.mark.parametrize("deep", [False, True])
def test_a_walk(asking: Asking, deep: bool) -> None:
    async def walked() -> list[Entry]:
        return [each async for each in asking.client.walk("d", deep)]

    check_broken(asking, ensureDeferred(walked()))


def test_get_tree_with_delete(asking: Asking, tmp_path: Path) -> None:
    """It has come whole, it seems; what is to go is decided by a listing that lies."""
    grow(tmp_path, HERE)
    deliveries = asking.client.get_tree("d", tmp_path, TreeOptions(delete=True))
    call = ensureDeferred(gathered(deliveries))
    asking.answer_tree(1)
    check_broken(asking, call)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(HERE)


@pytest.mark.parametrize("dry_run", [False, True])
def test_put_tree_with_delete(asking: Asking, tmp_path: Path, dry_run: bool) -> None:
    grow(tmp_path, HERE)
    options = TreeOptions(delete=True, dry_run=dry_run)
    call = ensureDeferred(gathered(asking.client.put_tree(tmp_path, "d", options)))
    asking.settle()
    while not dry_run and (parcel := unanswered(asking)) is not None:
        count = sum(len(part.items) for part in parcel.parts)
        asking.peer.say(Receipts(parcel.exchange, H * count, ()))
        asking.settle()
    check_broken(asking, call)
    assert {type(each).__name__ for each in asking.peer.messages[1:]} <= {
        "Parcel", "List", "More", "Refuse", "Working"
    }  # fmt: skip


def unanswered(asking: Asking) -> Parcel | None:
    """The last thing that the client has said, where it is a parcel."""
    last = asking.peer.messages[-1]
    return last if isinstance(last, Parcel) else None


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("count", [0, 2, 1000])
def test_a_tree_of_which_a_part_came(tmp_path: Path, count: int, delete: bool) -> None:
    """What came is there; nothing is removed, and it is an error."""
    grow(tmp_path, HERE)
    fetching = Fetching(tmp_path, delete=delete)
    fetching.parcel(ROOT)
    fetching.parcel(whole(b"new"))
    fetching.say(End(1, count))
    with pytest.raises(FileTransferError) as caught:
        result_of(fetching.done)
    assert caught.value.code == "protocol"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([*HERE, "new"])
    assert fetching.peer.lost is not None


def test_a_tree_of_which_all_came(tmp_path: Path) -> None:
    fetching = Fetching(tmp_path / "t")
    assert fetching.parcel(ROOT) == Receipts(2, D, ())
    fetching.parcel(whole(b"new"))
    fetching.say(End(1, 1))
    result_of(fetching.done)


def test_a_listing_that_is_as_it_says() -> None:
    """The script of these tests can be told from a good one by what it says alone."""
    asking = Asking("without order")
    listed = asking.client.list("d")
    asking.settle()
    asking.peer.say(Entries(1, (entry(b"d/a"), entry(b"d/b"))))
    asking.settle()
    assert asking.peer.messages[-1] == More(1)
    asking.peer.say(End(1, 2))
    asking.settle()
    assert [each.path for each in result_of(listed)] == [b"d/a", b"d/b"]
