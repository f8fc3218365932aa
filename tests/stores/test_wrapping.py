"""A store around another one: what it sees and changes, and what stays as fast as it is."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from zope.interface import Interface, implementer, implementer_only

from tests.kit.planting import gathered
from tests.kit.stores import NotingStore
from twisted_ft import (
    Attributes,
    FileTransferFactory,
    IStore,
    LocalStore,
    MemoryStore,
    Sink,
    Source,
    Store,
    StoreWrapper,
)
from twisted_ft.errors import Cancelled, Forbidden, Unsupported
from twisted_ft.stores.conformance.samples import (
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
from twisted_ft.stores.interfaces import (
    PLAIN,
    Alike,
    IDescriptorSource,
    IKeepingStore,
    ITreeStore,
    Packing,
    Unpacker,
)
from twisted_ft.stores.piecewise import (
    PiecewisePacker,
    PiecewiseUnpacker,
    packer_of,
    unpacker_of,
)
from twisted_ft.stores.wrapping import RoutedUnpacker, Use
from twisted_ft.testing import MemoryNetwork
from twisted_ft.wire.messages import (
    Described,
    Entry,
    Failing,
    Item,
    Link,
    Outcome,
    Part,
    Settled,
    Summed,
    Unsendable,
    Whole,
)

KINDS = ("local", "memory")


def a_store(kind: str, place: Path) -> Store:
    """One with ``file``, and with ``inner`` in ``folder``."""
    store = LocalStore(place) if kind == "local" else MemoryStore()
    store.make_folder(b"folder")
    put(store, described(b"file", b"content"), b"content")
    put(store, described(b"folder/inner", b"inner content"), b"inner content")
    return store


@pytest.fixture(params=KINDS)
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of either kind."""
    return a_store(request.param, tmp_path)


# -- what isn't overridden -----------------------------------------------------------------


def test_the_fast_ways_stay(inner: Store) -> None:
    """They are the other store's own, with nothing around them."""
    wrapper = StoreWrapper(inner)
    assert ITreeStore.providedBy(wrapper)
    for one, other in (
        (packer_of(wrapper), packer_of(inner)),
        (unpacker_of(wrapper, True, False), unpacker_of(inner, True, False)),
        (wrapper.source(b"file"), inner.source(b"file")),
    ):
        assert type(one) is type(other)
        one.close()
        other.close()


@pytest.mark.skipif(os.name == "nt", reason="there are no descriptors to read at offsets there")
def test_descriptors_stay(tmp_path: Path) -> None:
    source = NotingStore(a_store("local", tmp_path)).source(b"file")
    assert IDescriptorSource.providedBy(source)
    source.close()


class IAttic(Interface):
    """What a store may have besides."""

    def attic(path: bytes) -> list[bytes]:
        """What is kept of a folder."""

    def sink(
        file: Attributes, overwrite: bool, durable: bool = True, *, shelf: bytes = b""
    ) -> Sink:
        """See IStore; ``shelf`` is where it goes."""


@implementer(IAttic)
class AtticStore(MemoryStore):
    """One that has this."""

    def attic(self, path: bytes) -> list[bytes]:
        """See IAttic."""
        return sorted(self.shelves)

    def sink(
        self,
        file: Attributes,
        overwrite: bool,
        durable: bool = True,
        *,
        owner: str = "",
        shelf: bytes = b"",
    ) -> Sink:
        """See IAttic."""
        self.shelves.append(shelf)
        return super().sink(file, overwrite, durable)

    def __init__(self) -> None:
        super().__init__()
        self.shelves: list[bytes] = []


def test_what_else_a_store_has_is_passed_on() -> None:
    """The wrapper knows nothing of it, nor does one around it."""
    for wrapper in (StoreWrapper(AtticStore()), NotingStore(StoreWrapper(AtticStore()))):
        attic = IAttic(cast(Any, wrapper))
        attic.sink(described(b"new", b""), True, shelf=b"top").publish()
        assert attic.attic(b"") == [b"top"]
        assert names_in(wrapper) == [b"new"]
    assert not IAttic.providedBy(StoreWrapper(MemoryStore()))


def test_what_a_store_lacks_is_lacking() -> None:
    wrapper: Any = StoreWrapper(MemoryStore())
    for name in ("attic", "_made", "__len__"):
        assert not hasattr(wrapper, name)
    assert copy.copy(wrapper).inner is wrapper.inner


def test_what_is_kept_is_lacking_where_the_other_store_lacks_it(tmp_path: Path) -> None:
    """For whoever asks the server, too, who is told so."""
    network = MemoryNetwork()
    for store in (StoreWrapper(KeepsNothing()), NotingStore(StoreWrapper(KeepsNothing()))):
        assert not hasattr(store, "kept")
        assert not IKeepingStore.providedBy(store)
        client = network.client(FileTransferFactory(store, runtime=network.runtime))
        with pytest.raises(Unsupported, match="keeps nothing"):
            network.run(client.list(partial=True))


@implementer_only(IStore)
class KeepsNothing(MemoryStore):
    """One that doesn't say what it keeps."""

    @property
    def kept(self) -> Any:
        """It hasn't that."""
        raise AttributeError("kept")


# -- what is checked -----------------------------------------------------------------------


def test_each_use_is_checked(inner: Store) -> None:
    store = NotingStore(inner)
    store.source(b"file").close()
    store.sink(described(b"new", b""), True, False).publish()
    assert [*store.entries(b"folder")] == [*inner.entries(b"folder")]
    store.make_folder(b"made")
    store.rename(b"new", b"made/new", False)
    assert store.remove(b"made", True) == 2
    assert store.noted == [
        (Use.READ, b"file"),
        (Use.PUT, b"new"),
        (Use.LIST, b"folder"),
        (Use.MAKE_FOLDER, b"made"),
        (Use.RENAME, b"new"),
        (Use.RENAME, b"made/new"),
        (Use.REMOVE, b"made"),
    ]


USES: dict[Use, tuple[bytes, Callable[[Store], object]]] = {
    Use.READ: (b"file", lambda store: store.source(b"file")),
    Use.PUT: (b"new", lambda store: store.sink(described(b"new", b""), True)),
    Use.LIST: (b"", lambda store: store.entries(b"")),
    Use.MAKE_FOLDER: (b"made", lambda store: store.make_folder(b"made")),
    Use.RENAME: (b"new", lambda store: store.rename(b"file", b"new", True)),
    Use.REMOVE: (b"file", lambda store: store.remove(b"file", True)),
}


@pytest.mark.parametrize("use", USES)
def test_what_is_refused_isnt_done(use: Use, inner: Store) -> None:
    path, does = USES[use]
    with pytest.raises(Forbidden, match=f"not {use.name}"):
        does(NotingStore(inner, (use, path)))
    assert names_in(inner) == [b"file", b"folder"]


def keep_in(store: Store, *paths: bytes) -> None:
    """Have two bytes of a file kept at each."""
    for path in paths:
        sink = store.sink(described(path, b"1234"), True)
        sink.write([b"12"])
        sink.keep()


def test_what_is_kept_in_a_folder_that_may_not_be_listed_isnt_named(inner: Store) -> None:
    """Nor in one below it, as in a listing; and each folder is asked about once."""
    for path in (b"folder/dark", b"folder/dark/deep", b"folder/light"):
        inner.make_folder(path)
    keep_in(inner, b"a", b"folder/dark/b", b"folder/dark/deep/c", b"folder/light/d", b"folder/e")
    store = NotingStore(inner, (Use.LIST, b"folder/dark"), (Use.LIST, b"no"))
    keeping = IKeepingStore(store)
    assert [each.path for each in keeping.kept(b"", True)] == [
        b"a",
        b"folder/e",
        b"folder/light/d",
    ]
    assert {use for use, _ in store.noted} == {Use.LIST}
    assert store.noted.count((Use.LIST, b"folder/light")) == 1
    assert [each.path for each in keeping.kept(b"", False)] == [b"a"]
    assert [each.path for each in keeping.kept(b"folder/e", False)] == [b"folder/e"]
    assert [each.path for each in keeping.kept(b"folder/dark/b", False)] == [b"folder/dark/b"]
    for path in (b"folder/dark", b"no"):
        with pytest.raises(Forbidden):
            list(keeping.kept(path, True))


def test_what_is_kept_is_checked_through_a_server(inner: Store) -> None:
    keep_in(inner, b"a", b"folder/b")
    network = MemoryNetwork()
    store = NotingStore(inner, (Use.LIST, b"folder"))
    client = network.client(FileTransferFactory(store, runtime=network.runtime))
    assert [each.path for each in network.run(client.list(partial=True))] == [b"a"]
    with pytest.raises(Forbidden):
        network.run(client.list("folder", partial=True))


def test_a_packer_asks_of_each_folder_and_of_each_file_that_it_gives(inner: Store) -> None:
    store = NotingStore(inner)
    packer = packer_of(store)
    packer.describe(b"folder")
    packed(packer, b"", 0)
    packed(packer, b"folder", 1000)
    packed(packer, b"folder", 0, Packing(digests=True))
    packer.states(b"folder", 10, PLAIN)
    packer.states(b"folder", 0, PLAIN)
    packer.item(b"folder", b"inner", 1000)
    packer.close()
    listed, read = (Use.LIST, b"folder"), (Use.READ, b"folder/inner")
    assert store.noted == [
        listed,
        (Use.LIST, b""),
        *(listed, read) * 2,
        *(listed, listed),
        read,
    ]


def test_a_packer_is_stopped_through_the_one_around_it(inner: Store) -> None:
    packer = packer_of(NotingStore(inner))
    items = packer.items(b"", 0, Packing(digests=True))
    packer.stop()
    with pytest.raises(Cancelled):
        list(items)
    packer.close()


def test_a_folder_that_may_not_be_gone_into(inner: Store) -> None:
    packer = packer_of(NotingStore(inner, (Use.LIST, b"folder")))
    goes: list[Callable[[], object]] = [
        lambda: packer.describe(b"folder"),
        lambda: packer.items(b"folder", 0, PLAIN),
        lambda: packer.states(b"folder", 10, PLAIN),
    ]
    for go in goes:
        with pytest.raises(Forbidden):
            go()
    assert set(packed(packer, b"", 0)) == {b"file", b"folder"}


def test_a_file_that_may_not_be_read(inner: Store) -> None:
    """Its content and its digest aren't given; its name and size are not secret."""
    packer = packer_of(NotingStore(inner, (Use.READ, b"file")))
    refused = Unsendable(b"file", "forbidden", "not READ")
    assert packed(packer, b"", 1000)[b"file"] == refused
    assert packed(packer, b"", 0, Packing(digests=True))[b"file"] == refused
    assert packer.item(b"", b"file", 1000) == refused
    assert isinstance(packed(packer, b"", 0)[b"file"], Described)


@pytest.mark.skipif(os.name == "nt", reason="Windows has few links")
def test_a_link_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for forbidden, kind in (((Use.READ, b"link"), Unsendable), ((Use.READ, b"x"), Link)):
        packer = packer_of(NotingStore(LocalStore(tmp_path), forbidden))
        assert isinstance(packed(packer, b"", 0, Packing(links=True))[b"link"], kind)
        found = packer.states(b"", 10, Packing(links=True))
        assert found is not None
        assert isinstance(found[1][0], kind)


@pytest.mark.skipif(os.name == "nt", reason="Windows has few links")
def test_where_a_link_leads_that_may_not_be_read_isnt_listed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "other").symlink_to("file")
    store = NotingStore(LocalStore(tmp_path), (Use.READ, b"link"))
    for path, targets in ((b"", [b"", b"file"]), (b"link", [b""]), (b"other", [b"file"])):
        entries = [*store.entries(path)]
        assert [each.kind for each in entries] == ["link"] * len(targets)
        assert [each.target for each in entries] == targets


def test_an_unpacker_asks_of_each_item(inner: Store) -> None:
    store = NotingStore(inner)
    sums = summed(inner, b"folder")
    outcomes = unpacked(
        unpacker_of(store, True, False),
        (b"", [folder_described(b""), sums, folder_described(b"new"), whole(b"a", b"1")]),
        (b"new", [file_described(b"b", b"2"), Settled(b"", 0, 0o755)]),
    )
    assert outcomes[1:5] == ["held", "done", "done", "wanted"]
    assert store.noted == [
        (Use.MAKE_FOLDER, b""),
        (Use.COMPARE, b"folder"),
        (Use.MAKE_FOLDER, b"new"),
        (Use.PUT, b"a"),
        (Use.PUT, b"new/b"),
        (Use.MAKE_FOLDER, b"new"),
    ]


def test_what_is_refused_of_a_tree_fails_by_itself(inner: Store) -> None:
    """Each outcome and each reason stays at the place of its item."""
    store = NotingStore(
        inner,
        (Use.PUT, b"b"),
        (Use.MAKE_FOLDER, b"dark"),
        (Use.PUT, b"folder/c"),
        (Use.COMPARE, b"folder"),
    )
    outcomes = unpacked(
        unpacker_of(store, True, False),
        (b"", [summed(inner, b"", b""), whole(b"a", b"1"), whole(b"b", b"2")]),
        (b"", [summed(inner, b"folder"), folder_described(b"dark"), whole(b"file/x", b"3")]),
        (b"dark", [whole(b"inner", b"4")]),
        (b"folder", [whole(b"c", b"5"), whole(b"d", b"6")]),
        (b"folder", []),
    )
    assert outcomes[1:3] == ["done", "forbidden"]
    assert outcomes[3:] == ["forbidden", "forbidden", "bad-name", "not-found", "forbidden", "done"]
    assert names_in(inner) == [b"a", b"file", b"folder"]
    assert names_in(inner, b"folder") == [b"folder/d", b"folder/inner"]
    assert unpacked(unpacker_of(store, True, False), (b"folder", [whole(b"c", b"")])) == [
        "forbidden"
    ]
    assert unpacked(unpacker_of(store, True, False)) == []


class CountingUnpacker:
    """Declines all, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls: list[list[Item]] = []

    def unpack(self, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        """See IUnpacker."""
        self.calls.append([item for part in parts for item in part.items])
        return [Outcome.DECLINED] * len(self.calls[-1]), []


def test_sums_are_asked_about_in_one_call() -> None:
    """What bounds them is for one call, and can't be had again by what stands between them."""
    one, two = CountingUnpacker(), CountingUnpacker()

    def route(use: Use, path: bytes) -> Unpacker:
        if path.startswith(b"bad"):
            raise Forbidden("bad")
        return cast(Unpacker, one if use is Use.COMPARE or path == b"a" else two)

    sums = Summed(b"folder", 1, bytes(32))
    bad, a, b = Summed(b"bad", 1, bytes(32)), whole(b"a", b""), whole(b"b", b"")
    unpacker = RoutedUnpacker([], route)
    assert unpacked(unpacker, (b"", [sums, b, bad, sums, a, sums])) == [
        *("declined", "declined", "forbidden"),
        *("declined",) * 3,
    ]
    assert one.calls == [[a, sums, sums, sums]]
    assert two.calls == [[b]]


def test_a_whole_tree_in_which_something_is_refused(tmp_path: Path) -> None:
    """Either way, through a server, with the reason at the file."""
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode())
    network = MemoryNetwork()
    store = NotingStore(MemoryStore(), (Use.PUT, b"up/two"), (Use.READ, b"up/one"))
    client = network.client(FileTransferFactory(store, writable=True, runtime=network.runtime))
    sent = network.run(gathered(client.put_tree(tmp_path, "up")))
    assert {name: each.status for name, each in sent.items()} == {
        "up/one": "done",
        "up/two": "failed",
    }
    got = network.run(gathered(client.get_tree("up", tmp_path / "down")))
    ((name, failed),) = got.items()
    assert name.endswith("one")
    assert failed.error is not None
    assert failed.error.text == "up/one: not READ on the server"


# -- what is overridden --------------------------------------------------------------------


class Shouting(StoreWrapper):
    """Changes what single files go by, and says nothing of trees."""

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True, **more: Any) -> Sink:
        """See IStore."""
        upper = Attributes(file.path.upper(), *_without_path(file))
        return super().sink(upper, overwrite, durable, **more)

    def source(self, path: bytes) -> Source:
        """See IStore."""
        return super().source(path.upper())


def _without_path(file: Attributes) -> tuple[int | None, int, int, bytes]:
    return file.size, file.mtime, file.mode, file.version


class Announcing(StoreWrapper):
    """Changes the way of trees as well."""

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True, **more: Any) -> Sink:
        """See IStore."""
        return super().sink(file, overwrite, durable, **more)

    def unpacker(self, overwrite: bool, durable: bool, alike: Alike | None = None) -> Unpacker:
        """See ITreeStore."""
        return super().unpacker(overwrite, durable, alike)


class ShoutingAnnouncing(Shouting, Announcing):
    """Changes single files after that."""


class AnnouncingShouting(Announcing, Shouting):
    """Changes the way of trees after that, but for those that are sent."""


def test_what_is_changed_for_files_is_so_for_trees(inner: Store) -> None:
    """It is slower, and never passed by."""
    store = Shouting(inner)
    assert unpacked(unpacker_of(store, True, False), (b"", [whole(b"new", b"1")])) == ["done"]
    assert b"NEW" in names_in(inner)
    item = packer_of(store).item(b"", b"new", 10)
    assert isinstance(item, Whole)
    assert item.content == b"1"


class Renaming(StoreWrapper):
    """Has names of its own, and says nothing of what is kept."""

    def entries(self, path: bytes) -> Iterator[Entry]:
        """See IStore."""
        return (replace(each, path=each.path.upper()) for each in super().entries(path))


class RenamingKept(Renaming):
    """Says that, too."""

    def kept(self, path: bytes, deep: bool) -> Iterator[Entry]:
        """See IKeepingStore."""
        return (replace(each, path=each.path.upper()) for each in super().kept(path, deep))


def test_what_is_kept_isnt_told_by_names_that_arent_listed(inner: Store) -> None:
    """Who changes names, and says nothing of what is kept, has nothing told of it."""
    keep_in(inner, b"a")
    for store in (Renaming(inner), StoreWrapper(Renaming(inner))):
        assert not hasattr(store, "kept")
        assert not IKeepingStore.providedBy(store)
        assert ITreeStore.providedBy(store)
    for store in (RenamingKept(inner), StoreWrapper(RenamingKept(inner))):
        assert [each.path for each in IKeepingStore(store).kept(b"", True)] == [b"A"]


def test_who_changes_trees_last_has_them_fast(inner: Store) -> None:
    fast_in, fast_out = type(unpacker_of(inner, True, False)), type(packer_of(inner))
    for kind, into, out in (
        (Announcing, fast_in, fast_out),
        (Shouting, PiecewiseUnpacker, PiecewisePacker),
        (ShoutingAnnouncing, PiecewiseUnpacker, PiecewisePacker),
        (AnnouncingShouting, fast_in, PiecewisePacker),
    ):
        assert type(unpacker_of(kind(inner), True, False)) is into
        assert type(packer_of(kind(inner))) is out
