"""What every store must do with a tree's many small files: a part of ``StoreConformance``.

It goes by ``packer_of`` and ``unpacker_of``, so by a store's own ways, or by those for any store.
"""

from __future__ import annotations

import pytest
from blake3 import blake3
from msgspec.structs import replace
from zope.interface.verify import verifyObject

from twisted_ft.stores.capabilities import capabilities_of
from twisted_ft.stores.conformance.lacking import needs
from twisted_ft.stores.conformance.packing import PackingConformance
from twisted_ft.stores.conformance.samples import (
    BAD_NAMES,
    TIME,
    content_in,
    content_of,
    described,
    file_described,
    folder_described,
    names_in,
    put,
    summed,
    tick,
    unpacked,
    whole,
)
from twisted_ft.stores.interfaces import IUnpacker, Store
from twisted_ft.stores.piecewise import unpacker_of
from twisted_ft.stores.states import TIME_MAX, States
from twisted_ft.wire.messages import (
    Described,
    Item,
    Link,
    Part,
    Settled,
    Summed,
    Unsendable,
    Whole,
)

_BAD = [b"a/b", b"/", b".", b"..", b"nul\0byte", b"n" * 256, *BAD_NAMES[-2:]]
"""Names that nothing in a folder can have."""
_BAD_FOLDERS = [b"..", b"../x", b"/", b"/x", b"folder/..", b"folder/../../x", b"folder//x", b"\0"]


@needs("writable")
class TreeConformance(PackingConformance):
    """The tests of unpackers, and those of packers."""

    has_modes = True

    def test_small_files_are_unpacked(self, store: Store) -> None:
        """With content, time and permissions, into folders that are there and into new ones."""
        sizes = (0, 1, 1000, (1 << 18) - 1, 1 << 20)
        files: list[Item] = [whole(b"%d" % size, content_of(size)) for size in sizes]
        unpacker = unpacker_of(store, True, True)
        verifyObject(IUnpacker, unpacker)
        outcomes = unpacked(
            unpacker,
            (b"", [folder_described(b"new"), *files]),
            (b"new", [folder_described(b"inner"), *files]),
            (b"new/inner", files),
            (b"folder", files),
        )
        assert set(outcomes) == {"done"}
        for folder in (b"", b"new", b"new/inner", b"folder"):
            before = folder + b"/" if folder else b""
            entries = {entry.path: entry for entry in store.entries(folder)}
            for size in sizes:
                entry = entries[before + b"%d" % size]
                assert content_in(store, entry.path) == content_of(size)
                assert (entry.kind, entry.size, entry.mtime) == ("file", size, TIME)
                if self.has_modes:
                    assert entry.mode == 0o640

    @pytest.mark.parametrize("mode", [0o000, 0o400, 0o444, 0o600, 0o755, 0o777, 0o7777])
    def test_permissions_are_those_that_are_said(self, store: Store, mode: int) -> None:
        """And only permissions."""
        unpacker = unpacker_of(store, True, False)
        items: list[Item] = [whole(b"new", b"1234", mode=mode)]
        assert unpacked(unpacker, (b"folder", items)) == ["done"]
        assert unpacked(unpacker, (b"", [folder_described(b"a")]), (b"a", items)) == ["done"] * 2
        for path in (b"folder/new", b"a/new"):
            (entry,) = store.entries(path)
            assert entry.mode == mode & 0o777 or not self.has_modes

    def test_a_file_is_replaced(self, store: Store) -> None:
        """By what has come whole, where that is allowed; of any size and time."""
        new: list[Item] = [whole(b"inner", b"new content!!")]
        assert unpacked(unpacker_of(store, False, False), (b"folder", new)) == ["exists"]
        assert content_in(store, b"folder/inner") == b"inner content"
        assert unpacked(unpacker_of(store, True, False), (b"folder", new)) == ["done"]
        assert content_in(store, b"folder/inner") == b"new content!!"
        assert names_in(store, b"folder") == [b"folder/inner"]

    def test_what_arrives_damaged_is_not_taken(self, store: Store) -> None:
        """Nothing of it is left, and what was there stays."""
        damaged = blake3(b"another content").digest()
        items: list[Item] = [
            whole(b"before", b"1"),
            Whole(b"inner", TIME, 0o640, b"damaged", damaged),
            Whole(b"new", TIME, 0o640, b"", damaged),
            whole(b"behind", b"2"),
        ]
        outcomes = unpacked(unpacker_of(store, True, False), (b"folder", items))
        assert outcomes == ["done", "corrupt", "corrupt", "done"]
        assert names_in(store, b"folder") == [b"folder/before", b"folder/behind", b"folder/inner"]
        assert content_in(store, b"folder/inner") == b"inner content"

    @needs("empty_folders")
    def test_folders_are_unpacked(self, store: Store) -> None:
        """They are new, or there."""
        unpacker = unpacker_of(store, True, False)
        items: list[Item] = [folder_described(b"folder"), folder_described(b"new")]
        assert unpacked(unpacker, (b"", items)) == ["held", "done"]
        for again in (unpacker, unpacker_of(store, False, False)):
            held, empty = unpacked(again, (b"", items))
            assert held == "held"
            assert empty in ("held", "empty")
        assert names_in(store, b"new") == []
        assert content_in(store, b"folder/inner") == b"inner content"

    @needs("empty_folders")
    def test_the_root_of_a_tree(self, store: Store) -> None:
        """It has no name: it is the store's root, or the folder that the part is for."""
        unpacker = unpacker_of(store, True, False)
        root: list[Item] = [folder_described(b"")]
        assert unpacked(unpacker, (b"", root)) == ["held"]
        assert unpacked(unpacker, (b"folder", root), (b"folder/new", root)) == ["held", "done"]
        assert unpacked(unpacker, (b"file", root), (b"no/new", root)) == [
            "not-a-directory",
            "not-found",
        ]
        assert names_in(store, b"folder") == [b"folder/inner", b"folder/new"]

    def test_nothing_but_a_root_is_without_a_name(self, store: Store) -> None:
        """So it isn't taken for what its folder is called."""
        nameless: list[Item] = [whole(b"", b"1234"), file_described(b"", b"1234")]
        for folder in (b"", b"file", b"folder", b"new"):
            for item in nameless:
                (outcome,) = unpacked(unpacker_of(store, True, False), (folder, [item]))
                assert outcome in ("bad-name", "not-a-directory")
        assert names_in(store) == [b"file", b"folder"]
        assert content_in(store, b"file") == b"content"

    def test_files_are_compared_by_size_and_time(self, store: Store) -> None:
        """Also by the unpacker that put them there, into a folder that it has made."""
        here: list[Item] = [whole(b"here", b"1234")]
        files: list[Item] = [
            file_described(b"here", b"1234"),
            file_described(b"here", b"12345"),
            file_described(b"here", b"1234", TIME + 1000),
            file_described(b"lacking", b"1234"),
        ]
        first = unpacker_of(store, True, False)
        for folder in (b"folder", b"new"):
            root: list[Item] = [folder_described(b"")]
            assert unpacked(first, (folder, root), (folder, here))[1] == "done"
            for unpacker in (first, unpacker_of(store, True, False)):
                outcomes = unpacked(unpacker, (folder, root), (folder, files))
                assert outcomes == ["held", "held", "wanted", "wanted", "wanted"]
            outcomes = unpacked(unpacker_of(store, False, False), (folder, files))
            assert outcomes == ["held", "exists", "exists", "wanted"]

    @pytest.mark.parametrize("time", [TIME_MAX, -TIME_MAX])
    def test_a_time_that_is_cut_proves_nothing(self, store: Store, time: int) -> None:
        """The first and the last that can be said stand for all beyond them."""
        unpacker = unpacker_of(store, True, False)
        root: list[Item] = [folder_described(b"")]
        files: list[Item] = [whole(b"here", b"1234", time), whole(b"there", b"1234")]
        assert unpacked(unpacker, (b"new", [*root, *files]))[1:] == ["done", "done"]
        there: list[Item] = [
            file_described(b"here", b"1234", time),
            file_described(b"there", b"1234"),
            file_described(b"here", b"1234", time, blake3(b"1234").digest()),
        ]
        unpacker = unpacker_of(store, True, False)
        assert unpacked(unpacker, (b"new", there)) == ["wanted", "held", "held"]
        assert unpacked(unpacker, (b"", [summed(store, b"new")])) == ["wanted"]

    def test_files_are_compared_by_digest(self, store: Store) -> None:
        """Where one is said: whatever their times."""
        unpacker = unpacker_of(store, True, False)
        assert unpacked(unpacker, (b"", [whole(b"here", b"1234")])) == ["done"]
        same, other = blake3(b"1234").digest(), blake3(b"4321").digest()
        files: list[Item] = [
            file_described(b"here", b"1234", TIME, same),
            file_described(b"here", b"1234", TIME + 1000, same),
            file_described(b"here", b"4321", TIME, other),
            file_described(b"here", b"12345", TIME, same),
            file_described(b"lacking", b"1234", TIME, same),
        ]
        wanted = ["held", "held", "wanted", "wanted", "wanted"]
        for again in (unpacker, unpacker_of(store, True, False)):
            assert unpacked(again, (b"", files)) == wanted

    def test_the_files_of_a_folder_are_compared_all_at_once(self, store: Store) -> None:
        """By names, sizes and times; they are held, or they are wanted."""
        put(store, described(b"folder/a", b"1234"), b"1234")
        self.add_file(store, b"folder/below/file", b"")
        tick()
        same, root = summed(store, b"folder"), summed(store, b"", b"")
        told: list[tuple[bytes, list[bytes]]] = []

        def alike(folder: bytes, states: States) -> None:
            told.append((folder, [*states.names]))

        for overwrite in (True, False):
            for listener in (None, alike):
                unpacker = unpacker_of(store, overwrite, False, listener)
                outcomes = unpacked(unpacker, (b"", [same]), (b"", [root]), (b"folder", []))
                assert outcomes == ["held", "held"]
        assert told == [(b"folder", [b"a", b"inner"]), (b"", [b"file"])] * 2
        wrong: list[Item] = [
            Summed(b"folder", same.files, b"d" * 32),
            Summed(b"folder", same.files + 1, same.blake3),
        ]
        assert unpacked(unpacker, (b"", wrong)) == ["wanted", "wanted"]
        below: list[Item] = [Summed(b"below", 1, same.blake3)]
        assert unpacked(unpacker, (b"folder", below)) == ["wanted"]
        for change in (
            replace(described(b"folder/a", b"1234"), mtime=TIME + 1000),
            described(b"folder/a", b"12345"),
            described(b"folder/b", b"1234"),
        ):
            put(store, change, bytes(change.size or 0))
            assert unpacked(unpacker, (b"", [same])) == ["wanted"]
        assert len(told) == 4

    @needs("empty_folders")
    def test_an_empty_folder_is_compared(self, store: Store) -> None:
        """It has none of the files; it may be said that it is empty."""
        store.make_folder(b"folder/empty")
        items: list[Item] = [Summed(b"empty", 1, bytes(32))]
        outcomes = unpacked(unpacker_of(store, True, False), (b"folder", items))
        assert outcomes in (["wanted"], ["empty"])

    def test_what_cant_be_compared_all_at_once(self, store: Store) -> None:
        """No such folder, a file, or a name that nothing can have; and nothing comes of it."""
        for folder, name, code in (
            (b"", b"no", "not-found"),
            (b"no", b"no", "not-found"),
            (b"", b"file", "not-a-directory"),
            (b"file", b"x", "not-a-directory"),
            (b"..", b"", "bad-name"),
            *((b"folder", name, "bad-name") for name in _BAD),
        ):
            (outcome,) = unpacked(
                unpacker_of(store, True, False), (folder, [Summed(name, 1, bytes(32))])
            )
            assert outcome == code
        assert names_in(store) == [b"file", b"folder"]

    def test_no_more_is_compared_all_at_once_than_is_sent(self, store: Store) -> None:
        """However often it is said."""
        for number in range(63):
            self.add_file(store, b"folder/%d" % number, b"")
        tick()
        many: list[Item] = [summed(store, b"folder")] * 513
        for unpacker in (unpacker_of(store, True, False), unpacker_of(store, True, False)):
            outcomes = unpacked(unpacker, (b"", many))
            assert outcomes == ["held"] * 512 + ["wanted"]

    def test_a_folder_is_no_file(self, store: Store) -> None:
        """It isn't replaced by one, nor compared with it."""
        for overwrite in (True, False):
            items: list[Item] = [whole(b"folder", b"1"), file_described(b"folder", b"1")]
            outcomes = unpacked(unpacker_of(store, overwrite, False), (b"", items))
            assert outcomes == ["is-a-directory"] * 2
        if capabilities_of(store).empty_folders:
            store.make_folder(b"empty")
            items = [whole(b"empty", b"1"), file_described(b"empty", b"1")]
            outcomes = unpacked(unpacker_of(store, True, False), (b"", items))
            assert outcomes == ["is-a-directory"] * 2
        assert content_in(store, b"folder/inner") == b"inner content"

    def test_a_file_is_no_folder(self, store: Store) -> None:
        """Nothing goes into it, and it isn't replaced by one."""
        unpacker = unpacker_of(store, True, False)
        items: list[Item] = [whole(b"x", b"1"), folder_described(b"y"), file_described(b"z", b"")]
        outcomes = unpacked(unpacker, (b"", [folder_described(b"file")]), (b"file", items))
        assert outcomes == ["not-a-directory"] * 4
        assert content_in(store, b"file") == b"content"

    @needs("empty_folders")
    def test_nothing_goes_into_a_folder_that_is_not_there(self, store: Store) -> None:
        """Nor is it made."""
        items: list[Item] = [whole(b"x", b"1"), folder_described(b"y")]
        outcomes = unpacked(unpacker_of(store, True, False), (b"no", items), (b"folder/no", items))
        assert outcomes == ["not-found"] * 4
        assert names_in(store) == [b"file", b"folder"]

    @pytest.mark.parametrize("name", _BAD)
    def test_a_bad_name_in_a_folder(self, store: Store, name: bytes) -> None:
        """Whatever has it, what else has come is taken."""
        items: list[Item] = [
            whole(name, b"1234"),
            whole(b"good", b"1234"),
            file_described(name, b"1234"),
            folder_described(name),
        ]
        for folder in (b"folder", b""):
            outcomes = unpacked(unpacker_of(store, True, False), (folder, items))
            assert outcomes == ["bad-name", "done", "bad-name", "bad-name"]
        new: list[Item] = [folder_described(b"new")]
        outcomes = unpacked(unpacker_of(store, True, False), (b"", new), (b"new", items[:2]))
        assert outcomes == ["done", "bad-name", "done"]
        assert names_in(store) == [b"file", b"folder", b"good", b"new"]
        assert names_in(store, b"folder") == [b"folder/good", b"folder/inner"]
        assert names_in(store, b"new") == [b"new/good"]

    @pytest.mark.parametrize("folder", _BAD_FOLDERS)
    def test_a_bad_folder(self, store: Store, folder: bytes) -> None:
        """It leads nowhere."""
        items: list[Item] = [
            whole(b"x", b"1234"),
            file_described(b"x", b"1234"),
            folder_described(b"x"),
            folder_described(b""),
        ]
        outcomes = unpacked(unpacker_of(store, True, False), (folder, items))
        assert outcomes == ["bad-name"] * 4
        assert names_in(store) == [b"file", b"folder"]

    def test_what_is_neither_file_nor_folder_is_declined(self, store: Store) -> None:
        """And what can't be sent; it may be the root."""
        items: list[Item] = [
            Unsendable(b"x", "forbidden", "permission denied"),
            *(Described(b"y", kind, 0, TIME, 0o644) for kind in ("link", "other", "new kind")),
        ]
        root = Unsendable(b"", "forbidden", "permission denied")
        outcomes = unpacked(unpacker_of(store, True, False), (b"folder", items), (b"", [root]))
        assert outcomes == ["declined"] * 5
        assert names_in(store, b"folder") == [b"folder/inner"]

    def test_folders_are_settled(self, store: Store) -> None:
        """So far as the store has times and permissions of folders; nothing else changes."""
        unpacker = unpacker_of(store, True, False)
        parts: list[tuple[bytes, list[Item]]] = [
            (b"", [folder_described(b"new"), whole(b"x", b"1234")]),
            (b"new", [whole(b"x", b"1234")]),
            (b"", [Settled(b"new", TIME, 0o750), Settled(b"folder", TIME, 0o755)]),
        ]
        outcomes = unpacked(unpacker, *parts)
        assert outcomes[:3] == ["done"] * 3
        assert set(outcomes[3:]) <= {"done", "held"}
        assert unpacked(unpacker, parts[2]) == ["held", "held"]
        assert content_in(store, b"new/x") == content_in(store, b"x") == b"1234"
        assert content_in(store, b"folder/inner") == b"inner content"

    def test_links_are_made_or_refused(self, store: Store) -> None:
        """Those that lead out of the root are refused anyhow."""
        unpacker = unpacker_of(store, True, False)
        made = unpacked(unpacker, (b"folder", [Link(b"to-file", TIME, b"../file")]))
        if made == ["done"]:
            entries = [*store.entries(b"folder")]
            kinds = {entry.path: entry.kind for entry in entries}
            assert kinds == {b"folder/inner": "file", b"folder/to-file": "link"}
            assert [entry.target for entry in entries] in ([b"", b"../file"], [b"", b""])
        else:
            assert made == ["unsupported"]
        for target in (b"../../x", b"/x", b"x/../..", b""):
            (outcome,) = unpacked(unpacker, (b"folder", [Link(b"out", TIME, target)]))
            assert outcome == ("bad-name" if made == ["done"] else "unsupported")
            assert b"folder/out" not in names_in(store, b"folder")

    @pytest.mark.parametrize("is_new", [False, True])
    def test_items_are_taken_in_their_order(self, store: Store, is_new: bool) -> None:
        """Of two that have one name the second replaces the first, where it may."""
        folder = b"new" if is_new else b"folder"
        items: list[Item] = [whole(b"x", b"first"), whole(b"y", b"y"), whole(b"x", b"the second")]
        root = folder_described(b"")
        unpacker = unpacker_of(store, True, False)
        assert unpacked(unpacker, (folder, [root]), (folder, items))[1:] == ["done"] * 3
        assert content_in(store, folder + b"/x") == b"the second"
        assert content_in(store, folder + b"/y") == b"y"

    def test_items_are_taken_in_their_order_and_none_is_replaced(self, store: Store) -> None:
        """Of two that have one name, the first stays."""
        items: list[Item] = [whole(b"x", b"first"), whole(b"y", b"y"), whole(b"x", b"the second")]
        outcomes = unpacked(unpacker_of(store, False, False), (b"folder", items))
        assert outcomes == ["done", "done", "exists"]
        assert content_in(store, b"folder/x") == b"first"

    @needs("empty_folders")
    def test_failures_come_in_the_order_of_what_failed(self, store: Store) -> None:
        """Each with its name in it."""
        parts = [
            Part(b"no", (whole(b"a", b""),)),
            Part(b"folder", (whole(b"b", b""), folder_described(b"inner"))),
            Part(b"", (Whole(b"\x1bc", TIME, 0o644, b"", b"d" * 32), folder_described(b"folder"))),
            Part(b"folder", ()),
            Part(b"no", (whole(b"d", b""), whole(b"e", b""))),
        ]
        _, failures = unpacker_of(store, True, False).unpack(parts)
        named = [(each.code, each.text.partition(":")[0]) for each in failures]
        assert [code for code, _ in named] == [
            "not-found",
            "not-a-directory",
            "corrupt",
            "not-found",
            "not-found",
        ]
        assert [name.rpartition("/")[2] for _, name in named][1:3] == ["inner", "\\x1bc"]
        assert all("no" in name for code, name in named if code == "not-found")

    def test_nothing_to_unpack(self, store: Store) -> None:
        """Nothing becomes of it, and an unpacker is closed twice."""
        unpacker = unpacker_of(store, True, False)
        assert unpacker.unpack([]) == ([], [])
        assert unpacker.unpack([Part(b"no", ())]) == ([], [])
        unpacker.close()
        unpacker.close()
