"""What stores that keep must do with what they keep: a part of ``StoreConformance``."""

from __future__ import annotations

import math

import pytest
from zope.interface.verify import verifyObject

from twisted_ft.errors import Busy, NotADirectory, NotFound
from twisted_ft.stores.conformance.lacking import LackingConformance, needs
from twisted_ft.stores.conformance.samples import described, names_in
from twisted_ft.stores.interfaces import IKeepingStore, KeepingStore, Store


@needs("writable", "resumes")
class KeepingConformance(LackingConformance):
    """The tests of what is kept; of other stores they ask nothing."""

    @pytest.fixture
    def keeping(self, store: Store) -> KeepingStore:
        """The store, which keeps."""
        if not IKeepingStore.providedBy(store):
            pytest.skip("this store doesn't say what it keeps")
        return store

    def test_it_has_all_that_keeping_takes(self, keeping: KeepingStore) -> None:
        """And takes the name of an owner."""
        verifyObject(IKeepingStore, keeping)
        sink = keeping.sink(described(b"new", b"1234"), True, owner="somebody")
        sink.write([b"12"])
        sink.keep()
        assert keeping.sink(described(b"new", b"1234"), True).offset == 2

    def test_what_is_kept_is_told(self, keeping: KeepingStore) -> None:
        """By the names that the files are to have, folder by folder, sorted in each."""
        paths = [b"b!", b"b", b"folder/z", b"folder/a", b"c"]
        for path in paths:
            _keep(keeping, path)
        kept = list(keeping.kept(b"", True))
        assert [each.path for each in kept] == [b"b", b"b!", b"c", b"folder/a", b"folder/z"]
        assert {(each.kind, each.size) for each in kept} == {("partial", 2)}
        assert all(each.mtime > 0 for each in kept)
        assert [each.path for each in keeping.kept(b"", False)] == [b"b", b"b!", b"c"]
        assert [each.path for each in keeping.kept(b"folder", True)] == paths[3:1:-1]
        assert names_in(keeping) == [b"file", b"folder"]

    def test_what_is_kept_of_one_file_is_told(self, keeping: KeepingStore) -> None:
        """Whether there is one of this name or not."""
        assert list(keeping.kept(b"file", False)) == []
        for path in (b"file", b"new"):
            _keep(keeping, path)
            assert [each.path for each in keeping.kept(path, True)] == [path]
        for path in (b"no", b"folder/no", b"no/no"):
            with pytest.raises(NotFound):
                list(keeping.kept(path, True))
        with pytest.raises(NotADirectory):
            list(keeping.kept(b"file/no", True))

    def test_what_has_arrived_is_not_kept(self, keeping: KeepingStore) -> None:
        """Nor is what was discarded."""
        for end in ("publish", "discard"):
            sink = keeping.sink(described(end.encode(), b"1234"), True)
            sink.write([b"1234"])
            getattr(sink, end)()
            assert list(keeping.kept(b"", True)) == []

    @pytest.mark.parametrize("deep", [True, False])
    def test_what_is_kept_is_removed_by_its_name(self, keeping: KeepingStore, deep: bool) -> None:
        """With the file, or alone; there it counts, and with the file it doesn't."""
        for path in (b"file", b"folder/new"):
            _keep(keeping, path)
            assert keeping.remove(path, deep) == 1
            assert list(keeping.kept(b"", True)) == []
            with pytest.raises(NotFound):
                keeping.remove(path, deep)
        assert names_in(keeping) == [b"folder"]

    @pytest.mark.parametrize("path", [b"file", b"new"])
    def test_what_is_being_written_is_not_removed(self, keeping: KeepingStore, path: bytes) -> None:
        """Nor is the file that it is to replace."""
        sink = keeping.sink(described(path, b"1234"), True)
        sink.write([b"12"])
        with pytest.raises(Busy):
            keeping.remove(path, False)
        sink.write([b"34"])
        sink.publish()
        assert keeping.remove(path, False) == 1

    def test_what_is_old_is_swept(self, keeping: KeepingStore) -> None:
        """But for what is being written, and not before it is old."""
        for path in (b"a", b"folder/b"):
            _keep(keeping, path)
        sink = keeping.sink(described(b"c", b"1234"), True)
        sink.write([b"12"])
        assert keeping.sweep(3600, 1 << 40) == (0, 0)
        assert keeping.sweep(0, 1 << 40) == (2, 4)
        sink.write([b"34"])
        sink.publish()
        assert list(keeping.kept(b"", True)) == []
        assert names_in(keeping) == [b"c", b"file", b"folder"]

    def test_the_oldest_goes_first(self, keeping: KeepingStore) -> None:
        """Until no more is kept than may be."""
        for path in (b"z", b"folder/m", b"a"):
            _keep_later(keeping, path)
        assert keeping.sweep(math.inf, 5) == (1, 2)
        assert [each.path for each in keeping.kept(b"", True)] == [b"a", b"folder/m"]
        assert keeping.sweep(math.inf, 4) == (0, 0)
        assert keeping.sweep(math.inf, 3) == (1, 2)
        assert [each.path for each in keeping.kept(b"", True)] == [b"a"]
        assert keeping.sweep(math.inf, 0) == (1, 2)


def _keep(store: Store, path: bytes) -> None:
    """Have two bytes of a file of four kept."""
    sink = store.sink(described(path, b"1234"), True)
    sink.write([b"12"])
    sink.keep()


def _keep_later(store: KeepingStore, path: bytes) -> None:
    """The same, later than all that is kept so far: clocks go in steps."""
    latest = max((each.mtime for each in store.kept(b"", True)), default=0)
    _keep(store, path)
    while next(iter(store.kept(path, False))).mtime <= latest:
        store.remove(path, False)
        _keep(store, path)
