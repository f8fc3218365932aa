"""What every sink must do, as tests: a part of ``StoreConformance``, which runs them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace
from zope.interface.verify import verifyObject

from twisted_ft.errors import (
    AlreadyExists,
    Busy,
    IsADirectory,
    NotFound,
)
from twisted_ft.stores.capabilities import capabilities_of
from twisted_ft.stores.conformance.lacking import LackingConformance, needs
from twisted_ft.stores.conformance.samples import (
    SIZES,
    TIME,
    content_in,
    content_of,
    described,
    names_in,
    opened,
    put,
)
from twisted_ft.stores.interfaces import IKeepingStore, ISettlingStore, ISink, Sink, Store
from twisted_ft.wire.messages import Attributes


@needs("writable")
class SinkConformance(LackingConformance):
    """The tests of sinks."""

    has_modes = True
    """Whether files have permission bits."""

    def add_file(self, store: Store, path: bytes, content: bytes) -> None:
        """Put a file into the store behind its back, or replace it; with the folders it is in."""
        raise NotImplementedError

    def test_a_sink_has_all_that_it_must_have(self, store: Store) -> None:
        """See ISink."""
        sink = store.sink(described(b"new", b""), True)
        verifyObject(ISink, sink)
        sink.discard()

    # -- sinks: to the end ---------------------------------------------------------------

    @pytest.mark.parametrize("size", SIZES)
    def test_a_file_is_received(self, store: Store, size: int) -> None:
        """Content, size and time are the sender's."""
        content = content_of(size)
        sink = store.sink(described(b"folder/new", content), False)
        assert sink.offset == 0
        assert b"".join(sink.kept()) == b""
        third = size // 3
        sink.write([content[:third], memoryview(content)[third : 2 * third]])
        sink.write([])
        sink.write([b"", content[2 * third :]])
        sink.publish()
        with opened(store, b"folder/new") as source:
            assert source.read(0, size + 1) == content
            assert (source.attributes.size, source.attributes.mtime) == (size, TIME)

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o444, 0o000, 0o4755, 0o2755, 0o7777])
    def test_permissions_are_received(self, store: Store, mode: int) -> None:
        """Those of owner, group and others; never setuid, setgid or sticky."""
        put(store, replace(described(b"new", b"x"), mode=mode), b"x")
        (entry,) = store.entries(b"new")
        assert entry.mode == mode & 0o777 or (not self.has_modes and entry.mode < 0o1000)

    def test_nothing_has_the_name_before_it_is_published(self, store: Store) -> None:
        """A new name isn't there, and an old file is whole."""
        new = store.sink(described(b"new", b"12345678"), True)
        new.write([b"1234"])
        old = store.sink(described(b"file", b"12345678"), True)
        old.write([b"12345678"])
        with pytest.raises(NotFound):
            store.source(b"new")
        assert content_in(store, b"file") == b"content"
        assert names_in(store) == [b"file", b"folder"]
        new.discard()
        old.publish()
        assert content_in(store, b"file") == b"12345678"

    def test_many_pieces_are_written_in_order(self, store: Store) -> None:
        """More of them than one writev(2) takes."""
        pieces = [b"%d," % number for number in range(5000)]
        sink = store.sink(described(b"new", b"".join(pieces)), True)
        sink.write(pieces)
        sink.publish()
        assert content_in(store, b"new") == b"".join(pieces)

    @needs("resumes")
    def test_each_call_in_a_thread_of_its_own(self, store: Store) -> None:
        """No call relies on the thread of another."""

        def elsewhere(call: Callable[..., Any], *args: object) -> Any:
            with ThreadPoolExecutor(1) as threads:
                return threads.submit(call, *args).result()

        sink = elsewhere(store.sink, described(b"new", b"1234"), True)
        elsewhere(sink.write, [b"12"])
        elsewhere(sink.keep)
        sink = elsewhere(store.sink, described(b"new", b"1234"), True)
        assert elsewhere(list, sink.kept()) == [b"12"]
        elsewhere(sink.write, [b"34"])
        elsewhere(sink.publish)
        source = elsewhere(store.source, b"new")
        assert elsewhere(source.read, 0, 10) == b"1234"
        elsewhere(source.check)
        elsewhere(source.close)

    # -- sinks: cut off, and carried on ----------------------------------------------------

    @needs("resumes")
    def test_what_was_kept_is_carried_on_with(self, store: Store) -> None:
        """Again and again, without losing or doubling a byte."""
        content = content_of(3_000_000)
        file = described(b"new", content)
        cuts = [0, 0, 1, 70_000, 70_000, 1 << 20, (1 << 21) + 1, len(content)]
        for begin, end in itertools.pairwise(cuts):
            sink = store.sink(file, True)
            assert sink.offset == begin
            assert b"".join(sink.kept()) == content[:begin]
            sink.write([content[begin:end]])
            sink.keep()
        sink = store.sink(file, True)
        assert sink.offset == len(content)
        sink.publish()
        assert content_in(store, b"new") == content

    @needs("resumes")
    def test_only_what_was_kept_is_given_back(self, store: Store) -> None:
        """Not what has been written since; nor need it be taken to its end."""
        file = described(b"new", b"12345678")
        sink = store.sink(file, True)
        sink.write([b"1234"])
        sink.keep()
        sink = store.sink(file, True)
        sink.write([b"56"])
        assert b"".join(sink.kept()) == b"1234"
        unfinished = sink.kept()
        assert next(unfinished)
        sink.write([b"78"])
        sink.keep()
        assert store.sink(file, True).offset == 8

    @pytest.mark.parametrize(
        "other",
        [
            replace(described(b"new", b"12345678"), version=b"2"),
            replace(described(b"new", b"12345678"), version=b""),
            replace(described(b"new", b"123456789"), size=9),
            replace(described(b"new", b"12"), size=2),
        ],
    )
    def test_another_state_of_the_file_begins_at_0(self, store: Store, other: Attributes) -> None:
        """Nothing of the one is taken for the other; nor is it kept."""
        sink = store.sink(described(b"new", b"12345678"), True)
        sink.write([b"1234"])
        sink.keep()
        sink = store.sink(other, True)
        assert sink.offset == 0
        assert b"".join(sink.kept()) == b""
        sink.keep()
        sink = store.sink(described(b"new", b"12345678"), True)
        assert sink.offset == 0
        sink.write([b"12345678"])
        sink.publish()
        assert content_in(store, b"new") == b"12345678"

    def test_what_was_discarded_is_gone(self, store: Store) -> None:
        """The next run begins at 0."""
        sink = store.sink(described(b"new", b"12345678"), True)
        sink.write([b"1234"])
        sink.discard()
        assert store.sink(described(b"new", b"12345678"), True).offset == 0

    @pytest.mark.parametrize("then", ["keep", "discard"])
    @pytest.mark.parametrize("first", ["publish", "keep", "discard"])
    def test_an_ended_sink_stays_ended(self, store: Store, first: str, then: str) -> None:
        """To end it once more harms neither the file nor the next sink of its name."""
        file = described(b"new", b"12345678")
        ended = store.sink(file, True)
        ended.write([b"12345678" if first == "publish" else b"1234"])
        getattr(ended, first)()
        getattr(ended, then)()
        later = replace(file, mtime=TIME + 1000)
        following, resumes = store.sink(later, True), capabilities_of(store).resumes
        assert following.offset == (4 if first == "keep" and resumes else 0)
        getattr(ended, then)()
        with pytest.raises(Busy):
            store.sink(later, True)
        following.write([b"12345678"[following.offset :]])
        following.publish()
        assert content_in(store, b"new") == b"12345678"

    # -- sinks: of unknown size --------------------------------------------------------------

    @pytest.mark.parametrize("size", [0, 1, 3_000_000])
    def test_a_file_of_unknown_size_is_received(self, store: Store, size: int) -> None:
        """It has its name when it is published, and is as large as what came."""
        content = content_of(size)
        sink = store.sink(replace(described(b"new", content), size=None, version=b""), False)
        assert sink.offset == 0
        assert b"".join(sink.kept()) == b""
        sink.write([content[: size // 3], memoryview(content)[size // 3 :]])
        assert names_in(store) == [b"file", b"folder"]
        with pytest.raises(Busy):
            store.sink(described(b"new", content), True)
        sink.publish()
        assert content_in(store, b"new") == content
        (entry,) = store.entries(b"new")
        assert (entry.size, entry.mtime) == (size, TIME)

    @pytest.mark.parametrize("end", ["keep", "discard", "taken"])
    def test_nothing_is_kept_of_a_file_of_unknown_size(self, store: Store, end: str) -> None:
        """However it ends."""
        unknown = replace(described(b"new", b"12345678"), size=None)
        sink = store.sink(unknown, False)
        sink.write([b"1234"])
        if end == "taken":
            self.add_file(store, b"new", b"from elsewhere")
            with pytest.raises(AlreadyExists):
                sink.publish()
        else:
            getattr(sink, end)()
        if IKeepingStore.providedBy(store):
            assert list(IKeepingStore(store).kept(b"", True)) == []
        for file in (unknown, described(b"new", b"12345678")):
            following = store.sink(file, True)
            assert following.offset == 0
            following.discard()

    def test_what_was_kept_is_no_part_of_a_file_of_unknown_size(self, store: Store) -> None:
        """Nobody knows what it would be a part of."""
        file = described(b"new", b"12345678")
        sink = store.sink(file, True)
        sink.write([b"1234"])
        sink.keep()
        sink = store.sink(replace(file, size=None), True)
        assert sink.offset == 0
        sink.write([b"other"])
        sink.publish()
        assert content_in(store, b"new") == b"other"

    # -- sinks: what is refused --------------------------------------------------------------

    @pytest.mark.parametrize("end", ["publish", "keep", "discard"])
    def test_a_name_has_one_sink(self, store: Store, end: str) -> None:
        """Whatever state of the file the other is for; until the one has ended."""
        file = described(b"new", b"1234")
        sink = store.sink(file, True)
        sink.write([b"1234"])
        for other in (file, replace(file, version=b"2"), replace(file, size=1)):
            with pytest.raises(Busy):
                store.sink(other, True)
        beside = store.sink(described(b"folder/new", b""), True)
        getattr(sink, end)()
        store.sink(replace(file, version=b"2", mtime=0), True).discard()
        beside.discard()

    def test_of_many_at_once_one_gets_the_name(self, store: Store) -> None:
        """And the others are told that it is taken."""

        def begin(number: int) -> Sink | None:
            try:
                return store.sink(described(b"new", b"1234", version=b"%d" % number), True)
            except Busy:
                return None

        with ThreadPoolExecutor(16) as threads:
            sinks = list(filter(None, threads.map(begin, range(64))))
        assert len(sinks) == 1
        sinks[0].discard()

    def test_an_open_sink_is_not_disturbed(self, store: Store) -> None:
        """By who finds it busy."""
        sink = store.sink(described(b"new", b"1234"), True)
        sink.write([b"12"])
        with pytest.raises(Busy):
            store.sink(described(b"new", b"12345", version=b"2"), True)
        sink.write([b"34"])
        sink.publish()
        assert content_in(store, b"new") == b"1234"

    def test_another_file_of_the_same_size_and_time_is_received(self, store: Store) -> None:
        """Whoever asks for a sink knows that it isn't the same."""
        put(store, described(b"new", b"1234"), b"1234")
        put(store, described(b"new", b"5678", version=b"other"), b"5678")
        assert content_in(store, b"new") == b"5678"

    def test_a_file_gets_another_time(self, store: Store) -> None:
        """Where the store can do that (ISettlingStore)."""
        if not ISettlingStore.providedBy(store):
            pytest.skip("this store can't")
        put(store, described(b"new", b"1234"), b"1234")
        ISettlingStore(store).settle(b"new", TIME + 1000, 0o600)
        source = store.source(b"new")
        assert (source.attributes.mtime, source.attributes.mode) == (TIME + 1000, 0o600)
        source.close()
        with pytest.raises(NotFound):
            ISettlingStore(store).settle(b"nothing", TIME, 0o600)

    def test_a_file_is_not_replaced_where_it_may_not_be(self, store: Store) -> None:
        """It is said before anything is sent."""
        with pytest.raises(AlreadyExists):
            store.sink(described(b"file", b"1234"), False)
        assert content_in(store, b"file") == b"content"

    def test_a_file_that_appears_is_not_replaced(self, store: Store) -> None:
        """Where it may not be; and its name is free for the next sink."""
        sink = store.sink(described(b"new", b"1234"), False)
        sink.write([b"1234"])
        self.add_file(store, b"new", b"from elsewhere")
        with pytest.raises(AlreadyExists):
            sink.publish()
        sink.keep()
        assert content_in(store, b"new") == b"from elsewhere"
        put(store, described(b"new", b"1234"), b"1234")
        assert content_in(store, b"new") == b"1234"

    def test_a_folder_that_appears_is_not_replaced(self, store: Store) -> None:
        """Nor is what is in it."""
        sink = store.sink(described(b"new", b"1234"), True)
        sink.write([b"1234"])
        self.add_file(store, b"new/inner", b"inner content")
        with pytest.raises(IsADirectory):
            sink.publish()
        assert content_in(store, b"new/inner") == b"inner content"
