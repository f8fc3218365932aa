"""What every store must do when a tree is read out of it: a part of ``TreeConformance``."""

from __future__ import annotations

import pytest
from blake3 import blake3
from zope.interface.verify import verifyObject

from twisted_ft.errors import BadName, FileTransferError, NotADirectory, NotFound
from twisted_ft.stores.conformance.lacking import LackingConformance, needs
from twisted_ft.stores.conformance.samples import (
    BAD_NAMES,
    GOOD_NAMES,
    content_of,
    described,
    packed,
    put,
)
from twisted_ft.stores.interfaces import IPacker, Packing, Store
from twisted_ft.stores.piecewise import packer_of
from twisted_ft.wire.messages import Described, Unsendable, Whole

_DIGESTS = Packing(digests=True)


class PackingConformance(LackingConformance):
    """The tests of packers."""

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        """Put a file into the store behind its back, or replace it; with the folders it is in."""
        raise NotImplementedError

    def test_small_files_come_whole(self, store: Store) -> None:
        """Up to a limit, with time, permissions and digest; larger ones are described."""
        for size in (0, 1, 99, 100, 101, 5000):
            self.add_file(store, b"sized/%d" % size, content_of(size))
        entries = {entry.path: entry for entry in store.entries(b"sized")}
        items = packed(packer_of(store), b"sized", 100)
        assert sorted(items) == sorted(b"%d" % size for size in (0, 1, 99, 100, 101, 5000))
        for name, item in items.items():
            content, entry = content_of(int(name)), entries[b"sized/" + name]
            if len(content) <= 100:
                digest = blake3(content).digest()
                assert item == Whole(name, entry.mtime, entry.mode, content, digest)
            else:
                assert item == Described(name, "file", entry.size, entry.mtime, entry.mode)

    def test_files_are_only_described(self, store: Store) -> None:
        """Where none is small enough, be it empty; by their digests, where those are asked for."""
        self.add_file(store, b"folder/empty", b"")
        (inner,) = store.entries(b"folder/inner")
        items = packed(packer_of(store), b"folder", 0)
        assert items[b"inner"] == Described(b"inner", "file", inner.size, inner.mtime, inner.mode)
        assert isinstance(items[b"empty"], Described)
        for _ in range(2):
            items = packed(packer_of(store), b"folder", 0, _DIGESTS)
            digests = {name: getattr(item, "blake3", None) for name, item in items.items()}
            assert digests == {
                b"inner": blake3(b"inner content").digest(),
                b"empty": blake3(b"").digest(),
            }

    def test_folders_are_described(self, store: Store) -> None:
        """And what is in them isn't."""
        for small in (0, 1000):
            items = packed(packer_of(store), b"", small)
            assert sorted(items) == [b"file", b"folder"]
            folder = items[b"folder"]
            assert isinstance(folder, Described)
            assert (folder.kind, folder.blake3) == ("directory", b"")

    @needs("writable", "empty_folders")
    def test_an_empty_folder_has_nothing_in_it(self, store: Store) -> None:
        """Which isn't a failure."""
        store.make_folder(b"empty")
        assert packed(packer_of(store), b"empty", 1000) == {}

    @needs("writable")
    def test_partial_files_do_not_travel(self, store: Store) -> None:
        """Neither while they are written nor once they are kept."""
        packer = packer_of(store)
        sink = store.sink(described(b"folder/new", b"1234"), True)
        sink.write([b"12"])
        for small in (0, 1000):
            assert list(packed(packer, b"folder", small)) == [b"inner"]
        sink.keep()
        for small in (0, 1000):
            assert list(packed(packer, b"folder", small)) == [b"inner"]

    @needs("writable")
    def test_names_travel_as_they_are(self, store: Store) -> None:
        """Byte by byte."""
        held = []
        for name in GOOD_NAMES:
            try:
                put(store, described(b"folder/" + name, b"named"), b"named")
            except BadName:
                continue
            held.append(name)
        for small in (0, 1000):
            assert sorted(packed(packer_of(store), b"folder", small)) == sorted([*held, b"inner"])

    def test_what_is_no_folder_is_not_packed(self, store: Store) -> None:
        """Because it isn't there, is a file, or can't be."""
        packer = packer_of(store)
        wrong: list[tuple[type[FileTransferError], list[bytes]]] = [
            (NotFound, [b"no", b"folder/no", b"no/no"]),
            (NotADirectory, [b"file", b"folder/inner", b"file/x"]),
            (BadName, BAD_NAMES),
        ]
        for error, paths in wrong:
            for path in paths:
                for small in (0, 1000):
                    with pytest.raises(error):
                        list(packer.items(path, small, Packing()))

    def test_what_is_at_a_path_is_described(self, store: Store) -> None:
        """By that path."""
        packer = packer_of(store)
        for path, kind in ((b"", "directory"), (b"folder", "directory"), (b"folder/inner", "file")):
            item = packer.describe(path)
            assert isinstance(item, Described)
            assert (item.name, item.kind) == (path, kind)
        (inner,) = store.entries(b"folder/inner")
        assert packer.describe(b"folder/inner") == Described(
            b"folder/inner", "file", inner.size, inner.mtime, inner.mode
        )

    def test_what_is_not_there_is_not_described(self, store: Store) -> None:
        """Nor what can't be: nothing above the root is looked at."""
        packer = packer_of(store)
        for path in (b"no", b"folder/no", b"no/no"):
            with pytest.raises(NotFound):
                packer.describe(path)
        with pytest.raises(NotADirectory):
            packer.describe(b"file/x")
        for path in BAD_NAMES:
            with pytest.raises(BadName):
                packer.describe(path)

    def test_the_states_of_files(self, store: Store) -> None:
        """All at once, sorted, and what else is there; where it isn't too much."""
        self.add_file(store, "folder/\u00e9".encode(), b"1")
        self.add_file(store, b"folder/a", b"22")
        self.add_file(store, b"folder/new/inner", b"")
        for packer in (packer_of(store), packer_of(store)):
            found = packer.states(b"folder", 4, Packing())
            assert found is not None
            states, others = found
            entries = [each for each in store.entries(b"folder") if each.kind == "file"]
            assert states.names == sorted(each.path.partition(b"/")[2] for each in entries)
            assert [*states.described()] == [
                Described(name, "file", each.size, each.mtime, each.mode)
                for name, each in zip(states.names, entries, strict=True)
            ]
            assert [each.name for each in others] == [b"new"]
            assert others == [packed(packer, b"folder", 0)[b"new"]]
            assert packer.states(b"folder", 3, Packing()) is None
        found = packer_of(store).states(b"", 4, Packing())
        assert found is not None
        assert (found[0].names, len(found[1])) == ([b"file"], 1)

    @needs("writable", "empty_folders")
    def test_the_states_of_files_in_an_empty_folder(self, store: Store) -> None:
        """There are none."""
        store.make_folder(b"empty")
        found = packer_of(store).states(b"empty", 0, Packing())
        assert found is not None
        assert (found[0].names, found[1]) == ([], [])

    @needs("writable")
    def test_partial_files_have_no_states(self, store: Store) -> None:
        """As the other side doesn't have them."""
        sink = store.sink(described(b"folder/new", b"1234"), True)
        sink.write([b"12"])
        sink.keep()
        found = packer_of(store).states(b"folder", 10, Packing())
        assert found is not None
        assert (found[0].names, found[1]) == ([b"inner"], [])

    def test_the_states_of_files_in_no_folder(self, store: Store) -> None:
        """It fails as ``items`` does."""
        for error, path in ((NotFound, b"no"), (NotADirectory, b"file"), (BadName, b"..")):
            with pytest.raises(error):
                packer_of(store).states(path, 10, Packing())

    def test_a_single_file_is_packed(self, store: Store) -> None:
        """Whole where it is small, as it is now."""
        packer = packer_of(store)
        for folder, name, content in (
            (b"folder", b"inner", b"inner content"),
            (b"", b"file", b"content"),
        ):
            for small in (len(content), 1000):
                item = packer.item(folder, name, small)
                assert isinstance(item, Whole)
                assert (item.name, item.content) == (name, content)
                assert item.blake3 == blake3(content).digest()
            item = packer.item(folder, name, len(content) - 1)
            assert isinstance(item, Described)
            assert (item.name, item.kind, item.size) == (name, "file", len(content))

    def test_an_empty_file_is_never_too_large(self, store: Store) -> None:
        """Or it would be asked for again and again."""
        self.add_file(store, b"folder/empty", b"")
        for small in (0, 1):
            assert isinstance(packer_of(store).item(b"folder", b"empty", small), Whole)

    def test_a_single_file_that_is_none(self, store: Store) -> None:
        """It is gone since, with its folder or without; or a folder by now."""
        packer = packer_of(store)
        for folder in (b"folder", b"", b"no"):
            item = packer.item(folder, b"gone", 1000)
            assert isinstance(item, Unsendable)
            assert (item.name, item.code) == (b"gone", NotFound.code)
        assert not isinstance(packer.item(b"", b"folder", 1000), Whole)

    def test_files_are_asked_for_while_a_folder_is_gone_through(self, store: Store) -> None:
        """In any folder, which keeps nothing of the first one from coming."""
        for number in range(20):
            self.add_file(store, b"many/%d" % number, b"%d" % number)
        for small in (0, 1000):
            packer = packer_of(store)
            items = []
            for item in packer.items(b"many", small, Packing()):
                items.append(item)
                assert isinstance(packer.item(b"folder", b"inner", 1000), Whole)
                assert isinstance(packer.describe(b"file"), Described)
            assert {type(item) for item in items} == {Whole if small else Described}
            assert sorted(int(item.name) for item in items) == list(range(20))

    def test_a_packer_is_given_up(self, store: Store) -> None:
        """In the midst of a folder, more than once."""
        packer = packer_of(store)
        verifyObject(IPacker, packer)
        next(iter(packer.items(b"", 1000, Packing())))
        packer.close()
        packer.close()
