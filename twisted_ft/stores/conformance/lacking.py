"""What a store must do that can't do everything: a part of ``StoreConformance``.

It says so of itself (``Capabilities``), isn't asked for it, and refuses it in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

from twisted_ft.errors import FileTransferError, NotFound, ReadOnly, Unsupported
from twisted_ft.stores.capabilities import Capabilities, capabilities_of
from twisted_ft.stores.conformance.samples import (
    content_in,
    described,
    folder_described,
    names_in,
    put,
    unpacked,
    whole,
)
from twisted_ft.stores.interfaces import Store
from twisted_ft.stores.piecewise import unpacker_of

Test = TypeVar("Test")


def needs(*capabilities: str) -> Callable[[Test], Test]:
    """Marks a test, or all tests of a class: it is for stores that have these, by their word."""

    def marked(test: Test) -> Test:
        tests: Iterable[Any] = vars(test).values() if isinstance(test, type) else [test]
        for each in tests:
            if getattr(each, "__name__", "").startswith("test_"):
                each.needs = {*capabilities, *getattr(each, "needs", ())}
        return test

    return marked


class LackingConformance:
    """What a store is asked for is what it says that it can do; these are about the rest."""

    @pytest.fixture(autouse=True)
    def _asked_for_what_it_has(self, request: pytest.FixtureRequest, store: Store) -> None:
        has = capabilities_of(store)
        for need in sorted(getattr(request.function, "needs", ())):
            if not getattr(has, need):
                pytest.skip(f"this store has said {need}=False")

    def test_a_store_says_what_it_can_do(self, store: Store) -> None:
        """Or can do everything."""
        assert isinstance(capabilities_of(store), Capabilities)
        assert {*map(type, capabilities_of(store))} == {bool}

    def test_a_store_that_cant_be_written_to(self, store: Store) -> None:
        """It refuses each change, of single files and of trees, and nothing is changed."""
        _is_for_stores_without("writable", store)
        changes: list[Callable[[], object]] = [
            lambda: store.sink(described(b"new", b"x"), True),
            lambda: store.sink(described(b"file", b"x"), True),
            lambda: store.make_folder(b"new"),
            lambda: store.rename(b"file", b"new", True),
            lambda: store.remove(b"file", False),
            lambda: store.remove(b"folder", True),
        ]
        for change in changes:
            assert _refused(change, ReadOnly)
        outcomes = unpacked(
            unpacker_of(store, True, False), (b"", [whole(b"new", b"x"), folder_described(b"a")])
        )
        assert outcomes == ["read-only"] * 2
        assert names_in(store) == [b"file", b"folder"]
        assert content_in(store, b"file") == b"content"

    @needs("writable")
    def test_a_store_that_cant_rename(self, store: Store) -> None:
        """It says so, and both names stay what they were."""
        _is_for_stores_without("renames", store)
        renames: list[Callable[[], object]] = [
            lambda: store.rename(b"file", b"new", True),
            lambda: store.rename(b"file", b"folder/inner", True),
            lambda: store.rename(b"folder", b"new", True),
        ]
        for rename in renames:
            assert _refused(rename)
        assert names_in(store) == [b"file", b"folder"]
        assert content_in(store, b"folder/inner") == b"inner content"

    @needs("writable")
    def test_a_store_that_cant_carry_on(self, store: Store) -> None:
        """What was cut off begins anew."""
        _is_for_stores_without("resumes", store)
        file = described(b"new", b"12345678")
        for _ in range(2):
            sink = store.sink(file, True)
            assert (sink.offset, [*sink.kept()]) == (0, [])
            sink.write([b"1234"])
            sink.keep()
        put(store, file, b"12345678")
        assert content_in(store, b"new") == b"12345678"

    @needs("writable")
    def test_a_store_without_empty_folders(self, store: Store) -> None:
        """It refuses to make one; those that files are in come and go with them."""
        _is_for_stores_without("empty_folders", store)
        assert _refused(lambda: store.make_folder(b"new"))
        with pytest.raises(NotFound):
            names_in(store, b"new")
        put(store, described(b"new/inner/file", b"1234"), b"1234")
        assert names_in(store) == [b"file", b"folder", b"new"]
        assert names_in(store, b"new") == [b"new/inner"]
        assert store.remove(b"new/inner/file", False) == 1
        assert names_in(store) == [b"file", b"folder"]
        assert store.remove(b"folder", True) >= 1
        assert names_in(store) == [b"file"]

    @needs("writable")
    def test_a_tree_in_a_store_without_empty_folders(self, store: Store) -> None:
        """Its folders are none of its failures; the empty ones of them just don't stay."""
        _is_for_stores_without("empty_folders", store)
        outcomes = unpacked(
            unpacker_of(store, True, False),
            (b"new", [folder_described(b""), folder_described(b"inner"), folder_described(b"no")]),
            (b"new/inner", [whole(b"file", b"1234")]),
            (b"", [folder_described(b""), folder_described(b"folder"), folder_described(b"file")]),
        )
        assert outcomes == ["done"] * 4 + ["held"] * 2 + ["not-a-directory"]
        assert names_in(store, b"new") == [b"new/inner"]
        assert content_in(store, b"new/inner/file") == b"1234"


def _is_for_stores_without(capability: str, store: Store) -> None:
    if getattr(capabilities_of(store), capability):
        pytest.skip(f"this is for stores that say {capability}=False")


def _refused(change: Callable[[], object], *also: type[FileTransferError]) -> str:
    """In which sentence a change is refused."""
    with pytest.raises(also or (Unsupported, ReadOnly)) as caught:
        change()
    assert caught.value.text.isprintable()
    return caught.value.text
