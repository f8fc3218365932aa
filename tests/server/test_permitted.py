"""A session's view of its store: every use, times every right."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from twisted.cred.credentials import ICredentials

from twisted_ft import FileTransferFactory, LocalStore, MemoryStore
from twisted_ft.errors import AlreadyExists, Forbidden, ReadOnly
from twisted_ft.server import EVERYTHING, NOTHING, Peer, Right, Session
from twisted_ft.server.permitted import NEEDED
from twisted_ft.server.rights import READING
from twisted_ft.stores.conformance.samples import (
    content_in,
    described,
    file_described,
    folder_described,
    names_in,
    packed,
    put,
    summed,
    unpacked,
    whole,
)
from twisted_ft.stores.interfaces import PLAIN, Store
from twisted_ft.stores.piecewise import packer_of, unpacker_of
from twisted_ft.stores.wrapping import Use
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.frames import MAGIC, encode
from twisted_ft.wire.messages import Hello, Item, List, Settled, Summed, Unsendable, Whole

RIGHTS = [*Right]


class ByPath(Session):
    """Has its rights but where another line of ``exceptions`` says what there is below a path."""

    def __init__(
        self, store: Store, rights: Right, exceptions: dict[bytes, Right] | None = None
    ) -> None:
        super().__init__(store, rights)
        self._exceptions = exceptions or {}

    def may(self, right: Right, path: bytes) -> bool:
        """See Session."""
        held = self.rights
        for above, rights in self._exceptions.items():
            if path == above or path.startswith(above + b"/"):
                held = rights
        return right in held


SESSIONS: list[type[Session]] = [Session, ByPath]


@pytest.fixture(params=["local", "memory"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store with ``file``, and with ``inner`` in ``folder``."""
    store = LocalStore(tmp_path) if request.param == "local" else MemoryStore()
    store.make_folder(b"folder")
    put(store, described(b"file", b"content"), b"content")
    put(store, described(b"folder/inner", b"inner content"), b"inner content")
    return store


def packs(does: Callable[[Store], object]) -> Callable[[Store], object]:
    """``does``, whose result is a failure where it is an Unsendable."""

    def checked(store: Store) -> object:
        result = does(store)
        if isinstance(result, Unsendable):
            raise {"forbidden": Forbidden, "read-only": ReadOnly}[result.code](result.text)
        return result

    return checked


def unpacks(item: Item) -> Callable[[Store], object]:
    """Has an item unpacked, which may not fail."""

    def does(store: Store) -> object:
        (outcome,) = unpacked(unpacker_of(store, True, False), (b"", [item]))
        if outcome in ("forbidden", "read-only"):
            raise ReadOnly(outcome)
        return outcome

    return does


USES: dict[str, tuple[Right, Callable[[Store], object]]] = {
    "source": (Right.READ, lambda store: store.source(b"file").close()),
    "sink": (Right.UPLOAD, lambda store: put(store, described(b"new", b""), b"")),
    "entries": (Right.LIST, lambda store: [*store.entries(b"")]),
    "make_folder": (Right.UPLOAD, lambda store: store.make_folder(b"made")),
    "rename": (Right.RENAME, lambda store: store.rename(b"file", b"renamed", False)),
    "remove": (Right.REMOVE, lambda store: store.remove(b"file", False)),
    "Whole": (Right.UPLOAD, unpacks(whole(b"new", b"1234"))),
    "Described": (Right.UPLOAD, unpacks(file_described(b"file", b"content"))),
    "folder": (Right.UPLOAD, unpacks(folder_described(b"new"))),
    "Summed": (Right.UPLOAD, unpacks(Summed(b"folder", 1, bytes(32)))),
    "Settled": (Right.UPLOAD, unpacks(Settled(b"folder", 7, 0o700))),
}
PACKING: dict[str, tuple[Right, Callable[[Store], object]]] = {
    "describe": (Right.LIST, lambda store: packer_of(store).describe(b"file")),
    "items": (Right.LIST, lambda store: packed(packer_of(store), b"", 0)),
    "states": (Right.LIST, lambda store: packer_of(store).states(b"", 10, PLAIN)),
    "content": (READING, packs(lambda store: packed(packer_of(store), b"", 1000)[b"file"])),
    "item": (Right.READ, packs(lambda store: packer_of(store).item(b"", b"file", 1000))),
}


def is_refused(does: Callable[[Store], object], store: Store) -> bool:
    try:
        does(store)
    except (ReadOnly, Forbidden):
        return True
    return False


def state_of(store: Store) -> list[object]:
    """All that is in it, with sizes and times."""
    return [*store.entries(b""), *store.entries(b"folder")]


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize(("use", "lacking"), [*product(USES, RIGHTS)])
def test_a_use_needs_its_right(
    use: str, lacking: Right, session: type[Session], inner: Store
) -> None:
    """And no other; without it nothing is changed."""
    (needed, does), before = USES[use], state_of(inner)
    view = session(inner, EVERYTHING & ~lacking).view
    assert is_refused(does, view) == bool(needed & lacking)
    if needed & lacking:
        assert state_of(inner) == before
    assert is_refused(does, session(inner, NOTHING).view)


@pytest.mark.parametrize(("use", "lacking"), [*product(PACKING, RIGHTS)])
def test_to_send_a_tree_needs_its_rights(use: str, lacking: Right, inner: Store) -> None:
    """By path each folder and file is asked about; else a tree wants both, and is asked once."""
    needed, does = PACKING[use]
    by_path = ByPath(inner, EVERYTHING & ~lacking).view
    assert is_refused(does, by_path) == bool(needed & lacking)
    view = Session(inner, EVERYTHING & ~lacking).view
    assert is_refused(does, view) == bool(READING & lacking)


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("rights", [EVERYTHING, EVERYTHING & ~Right.REPLACE])
@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_there_isnt_replaced_without_the_right(
    rights: Right, overwrite: bool, session: type[Session], inner: Store
) -> None:
    """By a file, by one of a tree, or by what is renamed."""
    view, may = session(inner, rights).view, overwrite and Right.REPLACE in rights
    new = described(b"file", b"new")
    uses: list[Callable[[], object]] = [
        lambda: put(view, new, b"new", overwrite),
        lambda: view.rename(b"file", b"folder/inner", overwrite),
    ]
    unpacker = unpacker_of(view, overwrite, False)
    items: list[Item] = [whole(b"inner", b"inner, new")]
    assert unpacked(unpacker, (b"folder", items)) == ["done" if may else "exists"]
    for use in uses:
        if may:
            use()
        else:
            with pytest.raises(AlreadyExists):
                use()
    unpacker.close()


def test_an_upload_alone_is_enough_for_a_tree_that_is_there_already(inner: Store) -> None:
    """What is compared with what is here is nothing that the peer could see or read itself."""
    for session in SESSIONS:
        unpacker = unpacker_of(session(inner, Right.UPLOAD).view, True, False)
        items: list[Item] = [
            summed(inner, b"", b""),
            folder_described(b"folder"),
            file_described(b"file", b"content"),
        ]
        assert unpacked(unpacker, (b"", items)) == ["held"] * 3
        new: list[Item] = [whole(session.__name__.encode(), b"1234")]
        assert unpacked(unpacker, (b"", new)) == ["done"]


def test_rights_that_are_the_same_everywhere_are_asked_once(inner: Store) -> None:
    """A tree goes through the store's own packer and unpacker, with nothing around them."""
    view = Session(inner, EVERYTHING).view
    assert type(packer_of(view)) is type(packer_of(inner))
    assert type(unpacker_of(view, True, False)) is type(unpacker_of(inner, True, False))


def test_rights_by_path_in_a_tree_that_comes(inner: Store) -> None:
    """Each item is put, replaced or refused as its own path says, in the order in which they come;
    folders in either order of rights, too."""
    lines = {b"fixed": Right.UPLOAD, b"fixed/open": EVERYTHING, b"dark": NOTHING}
    inner.make_folder(b"fixed")
    inner.make_folder(b"dark")
    put(inner, described(b"fixed/old", b"old"), b"old")
    new: list[Item] = [whole(b"old", b"changed"), whole(b"new", b"new")]
    unpacker = unpacker_of(ByPath(inner, EVERYTHING, lines).view, True, False)
    outcomes = unpacked(
        unpacker,
        (b"", [folder_described(b"fixed"), *new]),
        (b"fixed", [*new, folder_described(b"open"), folder_described(b"shut")]),
        (b"fixed/open", [*new, folder_described(b"below")]),
        (b"fixed/open/below", new),
        (b"fixed/shut", new),
        (b"dark", new),
    )
    assert outcomes == [
        *("held", "done", "done"),
        *("exists", "done", "done", "done"),
        *("done", "done", "done"),
        *("done", "done"),
        *("done", "done"),
        *("read-only", "read-only"),
    ]
    again = unpacked(
        unpacker,
        (b"fixed", [whole(b"new", b"other")]),
        (b"fixed/open/below", [whole(b"new", b"other")]),
        (b"fixed/shut", [whole(b"new", b"other")]),
    )
    assert again == ["exists", "done", "exists"]
    unpacker.close()
    assert content_in(inner, b"fixed/old") == b"old"
    assert content_in(inner, b"fixed/open/below/new") == b"other"
    assert names_in(inner, b"dark") == []


@pytest.mark.skipif(os.name == "nt", reason="no folder is settled there")
def test_folders_are_settled_where_they_may_be_replaced_or_are_new(tmp_path: Path) -> None:
    """As with a store in which nothing may be replaced."""
    inner = LocalStore(tmp_path)
    inner.make_folder(b"fixed")
    before = (tmp_path / "fixed").stat().st_mtime_ns
    view = ByPath(inner, EVERYTHING, {b"fixed": Right.UPLOAD}).view
    unpacker = unpacker_of(view, True, False)
    folders: list[Item] = [folder_described(b"fixed"), folder_described(b"free")]
    ends: list[Item] = [Settled(b"fixed", 7000, 0o755), Settled(b"free", 7000, 0o755)]
    inside: list[Item] = [folder_described(b"new"), Settled(b"new", 7000, 0o755)]
    unpacked(unpacker, (b"", folders))
    assert unpacked(unpacker, (b"", ends)) == ["held", "done"]
    assert (tmp_path / "fixed").stat().st_mtime_ns == before
    assert unpacked(unpacker, (b"fixed", inside)) == ["done", "done"]
    assert (tmp_path / "fixed/new").stat().st_mtime_ns == 7000


def test_rights_by_path_in_a_tree_that_goes(inner: Store) -> None:
    view = ByPath(inner, READING, {b"file": Right.LIST, b"folder": Right.READ}).view
    packer = packer_of(view)
    assert isinstance(packed(packer, b"", 1000)[b"file"], Unsendable)
    assert isinstance(packer.item(b"folder", b"inner", 1000), Whole)
    for go in (packer.describe, lambda path: packer.states(path, 10, PLAIN)):
        with pytest.raises(Forbidden, match="nothing may be listed here"):
            go(b"folder")


@pytest.mark.skipif(os.name == "nt", reason="Windows has few links")
@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("deep", [False, True])
def test_who_may_list_and_not_read_isnt_told_where_links_lead(
    tmp_path: Path, deep: bool, session: type[Session]
) -> None:
    (tmp_path / "link").symlink_to("/secret/place")
    for rights, target in ((Right.LIST, b""), (READING, b"/secret/place")):
        network = MemoryNetwork()

        async def authenticate(
            peer: Peer, credentials: ICredentials, rights: Right = rights
        ) -> Session:
            return session(LocalStore(tmp_path), rights)

        factory = FileTransferFactory(authenticate=authenticate, runtime=network.runtime)
        peer = network.scripted_client(factory)
        peer.listen_raw()
        peer.send(
            MAGIC + encode(Hello((1,), "test", (), DEFAULT_LIMITS)) + encode(List(1, b"", deep))
        )
        network.settle()
        assert b"link" in peer.raw
        assert (b"secret" in peer.raw) == (target != b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has few links")
def test_where_links_lead_is_told_by_path(tmp_path: Path) -> None:
    for name in ("open", "shut"):
        (tmp_path / name).symlink_to("file")
    view = ByPath(LocalStore(tmp_path), EVERYTHING, {b"shut": Right.LIST}).view
    targets = {entry.path: entry.target for entry in view.entries(b"")}
    assert targets == {b"open": b"file", b"shut": b""}


def test_each_use_needs_a_right() -> None:
    """One that is added later without it fails here."""
    assert set(NEEDED) == set(Use)


def test_who_overrides_check_is_asked_about_each_path() -> None:
    class Checking(Session):
        def check(self, right: Right, path: bytes) -> None:
            if path == b"b":
                raise Forbidden("not b")

    unpacker = unpacker_of(Checking(MemoryStore()).view, True, False)
    items: list[Item] = [whole(b"a", b""), whole(b"b", b"")]
    assert unpacked(unpacker, (b"", items)) == ["done", "forbidden"]
