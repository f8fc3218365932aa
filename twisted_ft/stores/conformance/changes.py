"""What every store must do when its tree is changed: a part of ``StoreConformance``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Busy,
    IsADirectory,
    NotADirectory,
    NotFound,
)
from twisted_ft.stores.capabilities import capabilities_of
from twisted_ft.stores.conformance.lacking import LackingConformance, needs
from twisted_ft.stores.conformance.samples import (
    BAD_NAMES,
    content_in,
    described,
    names_in,
    put,
)
from twisted_ft.stores.interfaces import Store


@needs("writable")
class ChangeConformance(LackingConformance):
    """The tests of folders made, and of what is renamed and removed."""

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        """Put a file into the store behind its back, or replace it; with the folders it is in."""
        raise NotImplementedError

    # -- folders -------------------------------------------------------------------------

    @needs("empty_folders")
    def test_a_folder_is_made(self, store: Store) -> None:
        """It is empty, and takes files and folders."""
        store.make_folder(b"new")
        assert names_in(store, b"new") == []
        assert [entry.kind for entry in store.entries(b"")] == ["file", "directory", "directory"]
        store.make_folder(b"new/inner")
        put(store, described(b"new/inner/file", b"1234"), b"1234")
        assert names_in(store, b"new/inner") == [b"new/inner/file"]

    @needs("empty_folders")
    def test_a_folder_is_made_where_nothing_is(self, store: Store) -> None:
        """And only in a folder that is there."""
        for path in (b"file", b"folder", b"folder/inner"):
            with pytest.raises(AlreadyExists):
                store.make_folder(path)
        for path in (b"no/new", b"folder/no/new"):
            with pytest.raises(NotFound):
                store.make_folder(path)
        with pytest.raises(NotADirectory):
            store.make_folder(b"file/new")
        assert names_in(store) == [b"file", b"folder"]

    # -- new names -----------------------------------------------------------------------

    @pytest.mark.parametrize("overwrite", [True, False])
    @needs("renames")
    def test_a_file_is_renamed(self, store: Store, overwrite: bool) -> None:
        """In its folder, and to another, which its old one survives, where folders can be empty."""
        before = next(iter(store.entries(b"folder/inner")))
        store.rename(b"folder/inner", b"folder/renamed", overwrite)
        assert names_in(store, b"folder") == [b"folder/renamed"]
        store.rename(b"folder/renamed", b"moved", overwrite)
        left = [b"folder"] if capabilities_of(store).empty_folders else []
        assert names_in(store) == [b"file", *left, b"moved"]
        assert [names_in(store, each) for each in left] == [[]] * len(left)
        assert content_in(store, b"moved") == b"inner content"
        after = next(iter(store.entries(b"moved")))
        assert (after.mtime, after.mode) == (before.mtime, before.mode)

    @needs("renames")
    def test_a_file_takes_the_place_of_another(self, store: Store) -> None:
        """Where it may."""
        with pytest.raises(AlreadyExists):
            store.rename(b"file", b"folder/inner", False)
        assert content_in(store, b"folder/inner") == b"inner content"
        store.rename(b"file", b"folder/inner", True)
        assert content_in(store, b"folder/inner") == b"content"
        assert names_in(store) == [b"folder"]

    @pytest.mark.parametrize("overwrite", [True, False])
    @needs("renames")
    def test_a_file_never_takes_the_place_of_a_folder(self, store: Store, overwrite: bool) -> None:
        """Nor its own."""
        with pytest.raises((IsADirectory, AlreadyExists)):
            store.rename(b"file", b"folder", overwrite)
        with pytest.raises(AlreadyExists):
            store.rename(b"file", b"file", overwrite)
        assert names_in(store) == [b"file", b"folder"]
        assert content_in(store, b"file") == b"content"

    @pytest.mark.parametrize("overwrite", [True, False])
    @needs("renames", "empty_folders")
    def test_a_folder_is_renamed(self, store: Store, overwrite: bool) -> None:
        """With all that is in it."""
        self.add_file(store, b"folder/deeper/innermost", b"1")
        store.make_folder(b"folder/empty")
        store.make_folder(b"to")
        store.rename(b"folder", b"to/renamed", overwrite)
        assert names_in(store) == [b"file", b"to"]
        assert names_in(store, b"to/renamed") == [
            b"to/renamed/deeper",
            b"to/renamed/empty",
            b"to/renamed/inner",
        ]
        assert content_in(store, b"to/renamed/deeper/innermost") == b"1"
        with pytest.raises(NotFound):
            store.source(b"folder/inner")

    @pytest.mark.parametrize("overwrite", [True, False])
    @needs("renames", "empty_folders")
    def test_a_folder_takes_no_place_of_another(self, store: Store, overwrite: bool) -> None:
        """Not even of an empty folder."""
        store.make_folder(b"empty")
        for new in (b"file", b"empty", b"folder", b"folder/inner"):
            with pytest.raises((AlreadyExists, BadName)) as caught:
                store.rename(b"folder", new, overwrite)
            assert (type(caught.value) is BadName) is new.startswith(b"folder/")
        assert names_in(store) == [b"empty", b"file", b"folder"]

    @needs("renames")
    def test_a_folder_cant_go_into_itself(self, store: Store) -> None:
        """However deep; but beside itself, under a name that begins as its own."""
        self.add_file(store, b"folder/deeper/innermost", b"1")
        for new in (b"folder/new", b"folder/deeper/new", b"folder/no/new"):
            with pytest.raises(BadName):
                store.rename(b"folder", new, True)
        store.rename(b"folder", b"folders", True)
        assert names_in(store, b"folders") == [b"folders/deeper", b"folders/inner"]

    @needs("renames", "empty_folders")
    def test_a_new_name_is_in_a_folder_that_is_there(self, store: Store) -> None:
        """And so is the old one."""
        for path in (b"file", b"folder"):
            with pytest.raises(NotFound):
                store.rename(path, b"no/new", True)
        with pytest.raises(NotADirectory):
            store.rename(b"folder", b"file/new", True)
        for path in (b"no", b"no/no", b"folder/no"):
            with pytest.raises(NotFound):
                store.rename(path, b"new", True)
        with pytest.raises(NotADirectory):
            store.rename(b"file/no", b"new", True)
        assert names_in(store) == [b"file", b"folder"]

    @needs("renames", "resumes")
    def test_what_was_kept_goes_with_its_folder(self, store: Store) -> None:
        """And is carried on with there."""
        file = described(b"folder/new", b"1234")
        sink = store.sink(file, True)
        sink.write([b"12"])
        sink.keep()
        store.rename(b"folder", b"renamed", True)
        sink = store.sink(described(b"renamed/new", b"1234"), True)
        assert sink.offset == 2
        sink.discard()

    # -- removing ------------------------------------------------------------------------

    @pytest.mark.parametrize("deep", [True, False])
    def test_a_file_is_removed(self, store: Store, deep: bool) -> None:
        """And nothing else; its folder stays, where folders can be empty."""
        assert store.remove(b"file", deep) == 1
        assert names_in(store) == [b"folder"]
        with pytest.raises(NotFound):
            store.remove(b"file", deep)
        assert store.remove(b"folder/inner", deep) == 1
        assert names_in(store) == ([b"folder"] if capabilities_of(store).empty_folders else [])

    @needs("empty_folders")
    def test_a_folder_is_removed_with_all_that_is_in_it(self, store: Store) -> None:
        """Where that is asked for; each file and each folder counts."""
        self.add_file(store, b"folder/deeper/innermost", b"1")
        self.add_file(store, b"folder/deeper/deepest/file", b"1")
        self.add_file(store, b"folders", b"1")
        store.make_folder(b"folder/empty")
        with pytest.raises(IsADirectory):
            store.remove(b"folder", False)
        assert content_in(store, b"folder/inner") == b"inner content"
        assert store.remove(b"folder", True) == 7
        assert names_in(store) == [b"file", b"folders"]
        with pytest.raises(NotFound):
            names_in(store, b"folder")

    @needs("empty_folders")
    def test_an_empty_folder_is_removed_as_a_folder(self, store: Store) -> None:
        """And not as a file."""
        store.make_folder(b"folder/empty")
        with pytest.raises(IsADirectory):
            store.remove(b"folder/empty", False)
        assert store.remove(b"folder/empty", True) == 1
        assert names_in(store, b"folder") == [b"folder/inner"]

    @pytest.mark.parametrize("deep", [True, False])
    def test_what_is_not_there_is_not_removed(self, store: Store, deep: bool) -> None:
        """Nor is anything else."""
        for path in (b"no", b"no/no", b"folder/no"):
            with pytest.raises(NotFound):
                store.remove(path, deep)
        with pytest.raises(NotADirectory):
            store.remove(b"file/no", deep)
        assert names_in(store) == [b"file", b"folder"]

    @needs("empty_folders")
    def test_partial_files_are_removed_with_their_folder(self, store: Store) -> None:
        """And aren't counted; nothing is carried on with afterwards."""
        file = described(b"folder/new", b"1234")
        sink = store.sink(file, True)
        sink.write([b"12"])
        sink.keep()
        assert store.remove(b"folder", True) == 2
        store.make_folder(b"folder")
        sink = store.sink(file, True)
        assert sink.offset == 0
        sink.discard()

    def test_a_folder_that_is_written_into_is_not_removed(self, store: Store) -> None:
        """The file that is on its way arrives."""
        sink = store.sink(described(b"folder/new", b"1234"), True)
        sink.write([b"12"])
        with pytest.raises(Busy):
            store.remove(b"folder", True)
        sink.write([b"34"])
        sink.publish()
        assert content_in(store, b"folder/new") == b"1234"
        assert store.remove(b"folder", True) >= 2

    # -- names ---------------------------------------------------------------------------

    @pytest.mark.parametrize("path", [b"", *BAD_NAMES])
    def test_a_bad_name_is_not_changed(self, store: Store, path: bytes) -> None:
        """Nor is the root."""
        uses: list[Callable[[], object]] = [
            lambda: store.remove(path, False),
            lambda: store.remove(path, True),
        ]
        if capabilities_of(store).empty_folders:
            uses.append(lambda: store.make_folder(path))
        if capabilities_of(store).renames:
            uses.append(lambda: store.rename(path, b"new", True))
            uses.append(lambda: store.rename(b"file", path, True))
        for use in uses:
            with pytest.raises(BadName) as caught:
                use()
            assert caught.value.text.isprintable()
        assert names_in(store) == [b"file", b"folder"]
