"""What every store must do, as tests: pytest runs them on any store.

::

    class TestMyStore(StoreConformance):
        def make_store(self, place: Path) -> IStore:
            return MyStore(...)

        def add_file(self, store: IStore, path: bytes, content: bytes) -> None:
            store.client.upload(path, content)

``docs/stores.md`` shows it on a whole store.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from zope.interface.verify import verifyObject

from twisted_ft.errors import (
    BadName,
    FileTransferError,
    IsADirectory,
    NotADirectory,
    NotFound,
    ReadOnly,
    SourceChanged,
)
from twisted_ft.stores.capabilities import capabilities_of
from twisted_ft.stores.conformance.changes import ChangeConformance
from twisted_ft.stores.conformance.keeping import KeepingConformance
from twisted_ft.stores.conformance.lacking import needs
from twisted_ft.stores.conformance.samples import (
    BAD_NAMES,
    GOOD_NAMES,
    SIZES,
    TIME,
    content_in,
    content_of,
    described,
    names_in,
    opened,
    put,
)
from twisted_ft.stores.conformance.sinks import SinkConformance
from twisted_ft.stores.conformance.trees import TreeConformance
from twisted_ft.stores.interfaces import ISource, IStore, Store
from twisted_ft.stores.names import above
from twisted_ft.stores.tree import entries_below
from twisted_ft.wire.messages import Entry


class StoreConformance(SinkConformance, ChangeConformance, KeepingConformance, TreeConformance):
    """The tests; a subclass says how its store is made, and has a name that begins with Test."""

    def make_store(self, place: Path) -> Store:
        """A store without files, in which files can be received.

        :param place: an empty folder, for whoever can use one
        """
        raise NotImplementedError

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        """Put a file into the store behind its back, or replace it; with the folders it is in."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """A store with ``file``, and with ``inner`` in ``folder``."""
        place = tmp_path / "place"
        place.mkdir()
        store = self.make_store(place)
        self.add_file(store, b"file", b"content")
        self.add_file(store, b"folder/inner", b"inner content")
        return store

    # -- sources -------------------------------------------------------------------------

    def test_interfaces(self, store: Store) -> None:
        """Store and source have all that they must have."""
        verifyObject(IStore, store)
        with opened(store, b"file") as source:
            verifyObject(ISource, source)

    @pytest.mark.parametrize("size", SIZES)
    def test_a_file_is_read(self, store: Store, size: int) -> None:
        """All of it, from any offset, and nothing behind its end."""
        content = content_of(size)
        self.add_file(store, b"read", content)
        with opened(store, b"read") as source:
            assert source.attributes.path == b"read"
            assert source.attributes.size == size
            assert source.read(0, size) == content
            for offset, count in itertools.product((0, 1, size // 2, max(size - 1, 0)), (1, 4096)):
                assert source.read(offset, count) == content[offset : offset + count]
            assert source.read(size, 10) == b""
            assert source.read(size + 10, 10) == b""
            assert source.check() == size

    def test_a_source_is_closed_twice(self, store: Store) -> None:
        """Which does no harm."""
        source = store.source(b"file")
        source.close()
        source.close()

    def test_an_unchanged_file_has_an_equal_version(self, store: Store) -> None:
        """Or nothing could be carried on with."""
        with opened(store, b"file") as first, opened(store, b"file") as second:
            assert first.attributes == second.attributes
            assert 0 < len(first.attributes.version) <= 255

    @needs("writable")
    def test_a_changed_file_has_another_version(self, store: Store) -> None:
        """Whether its size changes or not."""
        versions = set()
        for number, content in enumerate((b"one", b"two", b"longer", b"")):
            file = replace(described(b"changing", content), mtime=TIME + number * 1000)
            put(store, file, content)
            with opened(store, b"changing") as source:
                versions.add(source.attributes.version)
        assert len(versions) == 4

    def test_a_source_gives_one_state_of_the_file(self, store: Store) -> None:
        """The one in which it was opened, or ``check`` says that it couldn't."""
        with opened(store, b"file") as source:
            self.add_file(store, b"file", b"another content")
            try:
                content = source.read(0, source.attributes.size or 0)
                source.check()
            except SourceChanged:
                return
            assert content == b"content"

    # -- names ---------------------------------------------------------------------------

    @pytest.mark.parametrize("path", BAD_NAMES)
    def test_a_bad_name_is_refused(self, store: Store, path: bytes) -> None:
        """In a sentence that is short, and fit for a terminal."""
        uses: list[Callable[[], object]] = [
            lambda: store.source(path),
            lambda: list(store.entries(path)),
        ]
        if capabilities_of(store).writable:
            uses.append(lambda: store.sink(described(path, b""), True))
        for use in uses:
            with pytest.raises(BadName) as caught:
                use()
            assert caught.value.text.isprintable()

    def test_no_name_is_no_file(self, store: Store) -> None:
        """It is the root's, which can only be listed."""
        with pytest.raises((BadName, IsADirectory)):
            store.source(b"")
        with pytest.raises((BadName, IsADirectory, ReadOnly)):
            store.sink(described(b"", b""), True)

    @pytest.mark.parametrize("name", GOOD_NAMES)
    @needs("writable")
    def test_a_name_stays_as_it_is(self, store: Store, name: bytes) -> None:
        """Byte by byte, or it is refused."""
        for path in (name, b"folder/" + name):
            try:
                put(store, described(path, b"named"), b"named")
            except BadName:
                continue
            assert content_in(store, path) == b"named"
            assert path in names_in(store, path.rpartition(b"/")[0])

    @pytest.mark.parametrize("name", GOOD_NAMES)
    def test_a_name_that_is_there_is_read_as_it_is(self, store: Store, name: bytes) -> None:
        """Byte by byte, or it is left out, and refused."""
        for path in (name, b"folder/" + name):
            try:
                self.add_file(store, path, b"named")
            except (BadName, OSError, ValueError):
                pytest.skip("what is behind this store can't hold the name")
            if path in names_in(store, above(path)):
                assert content_in(store, path) == b"named"
            else:
                with pytest.raises((BadName, NotFound)):
                    store.source(path)

    def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        """Neither files nor folders, for reading and listing."""
        for path in (b"no", b"no/inner", b"folder/no", b"folder/no/inner"):
            with pytest.raises(NotFound):
                store.source(path)
            with pytest.raises(NotFound):
                list(store.entries(path))

    @needs("writable", "empty_folders")
    def test_no_file_goes_into_a_folder_that_is_not_there(self, store: Store) -> None:
        """Nor is the folder made."""
        for path in (b"no/inner", b"folder/no/inner"):
            with pytest.raises(NotFound):
                store.sink(described(path, b""), True)
        assert names_in(store) == [b"file", b"folder"]

    def test_a_file_is_no_folder(self, store: Store) -> None:
        """Nothing is in it."""
        for path in (b"file/x", b"folder/inner/x", b"file/x/y"):
            with pytest.raises(NotADirectory):
                store.source(path)
            with pytest.raises((NotADirectory, ReadOnly)):
                store.sink(described(path, b""), True)
            with pytest.raises(NotADirectory):
                list(store.entries(path))

    def test_a_folder_is_no_file(self, store: Store) -> None:
        """It is neither read nor replaced."""
        with pytest.raises(IsADirectory):
            store.source(b"folder")
        for overwrite in (True, False):
            with pytest.raises((IsADirectory, ReadOnly)):
                store.sink(described(b"folder", b""), overwrite)
        assert content_in(store, b"folder/inner") == b"inner content"

    # -- listings ----------------------------------------------------------------------------

    def test_a_listing_is_sorted(self, store: Store) -> None:
        """By name, byte by byte; each with its whole path, and what it is."""
        for name in (b"b", b"a", b"B", b"a.txt", b"a b", "\u00e9".encode()):
            self.add_file(store, b"folder/" + name, name)
        self.add_file(store, b"folder/deeper/inner", b"")
        entries = list(store.entries(b"folder"))
        paths = [entry.path for entry in entries]
        assert paths == sorted(paths)
        assert b"folder/deeper/inner" not in paths
        kinds = {entry.path: entry.kind for entry in entries}
        assert kinds.pop(b"folder/deeper") == "directory"
        assert set(kinds.values()) == {"file"}
        assert [entry.size for entry in entries if entry.path == b"folder/a.txt"] == [5]

    def test_a_listing_of_a_file_is_the_file(self, store: Store) -> None:
        """As its folder's listing has it."""
        entries: list[Entry] = list(store.entries(b"folder/inner"))
        assert entries == list(store.entries(b"folder"))
        assert (entries[0].kind, entries[0].size) == ("file", len(b"inner content"))

    def test_a_listing_is_given_up(self, store: Store) -> None:
        """Early, which leaves nothing behind."""
        for _ in range(3):
            assert next(iter(store.entries(b""))).path == b"file"

    @needs("writable")
    def test_partial_files_are_not_listed(self, store: Store) -> None:
        """Neither while they are written nor once they are kept."""
        sink = store.sink(described(b"folder/new", b"1234"), True)
        sink.write([b"12"])
        assert names_in(store, b"folder") == [b"folder/inner"]
        sink.keep()
        assert names_in(store, b"folder") == [b"folder/inner"]

    @needs("writable", "renames", "empty_folders")
    def test_what_cant_be_named_is_told(self, store: Store) -> None:
        """Names for which a path has no room: after all others, and for the folder in a tree."""
        tops = []
        for name, depth in ((b"a" * 100, 30), (b"b" * 100, 20)):
            path = name
            store.make_folder(path)
            for _ in range(depth - 1):
                path += b"/" + name
                store.make_folder(path)
            tops.append(path)
        store.make_folder(tops[0] + b"/z")
        deepest = b"/".join([tops[0], *[b"b" * 100] * 10])
        self.add_file(store, b"/".join([b"b" * 100] * 10) + b"/a", b"1")
        store.rename(b"b" * 100, tops[0] + b"/" + b"b" * 100, False)
        listing = iter(store.entries(deepest))
        try:
            assert next(listing).path == deepest + b"/a"
        except BadName:
            pytest.skip("nothing can be reached here that is so deep")
        with pytest.raises(BadName, match="1 name"):
            next(listing)
        entries = list(entries_below(store, b""))
        found = [entry.path for entry in entries if entry.kind == "unreadable"]
        assert found == [deepest]
        assert {deepest + b"/a", tops[0] + b"/z"} <= {entry.path for entry in entries}

    def test_failures_are_told_in_a_sentence(self, store: Store) -> None:
        """With the name, escaped, and a code that the other side knows."""
        with pytest.raises(FileTransferError) as caught:
            store.source(b"\x1b[2J-missing")
        assert "\\x1b[2J-missing" in caught.value.text
        assert caught.value.text.isprintable()
        assert caught.value.code == NotFound.code
