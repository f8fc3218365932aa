"""A protocol and its interface say the same: the one is made of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest
from zope.interface import implementer
from zope.interface.exceptions import BrokenMethodImplementation
from zope.interface.interface import Method
from zope.interface.verify import verifyObject

from twisted_ft import ISource, IStore, MemoryStore, Store
from twisted_ft.stores.interfaces import IKeepingStore
from twisted_ft.stores.protocols import interface_of
from twisted_ft.wire.messages import Entry


def test_methods_are_without_self() -> None:
    sink, kept = IKeepingStore["sink"], IKeepingStore["kept"]
    assert isinstance(sink, Method)
    assert isinstance(kept, Method)
    assert kept.getSignatureString() == "(path, deep)"
    assert sink.getSignatureInfo()["optional"] == {"durable": True}
    assert kept.getDoc().startswith("What is kept in a folder")


def test_properties_are_attributes() -> None:
    assert not isinstance(ISource["attributes"], Method)
    assert ISource["attributes"].getDoc().startswith("Its name, size")


def test_an_interface_is_named_and_placed_as_its_protocol() -> None:
    assert IStore.getName() == "IStore"
    assert IStore.getDoc() == Store.__doc__
    assert (IStore.__module__, Store.__module__) == ("twisted_ft.stores.interfaces",) * 2
    assert IKeepingStore.extends(IStore)


class Shelves(Store, Protocol):
    """One of somebody else's, with a private member that isn't asked for."""

    def shelf(self, name: bytes) -> Iterator[Entry]:
        """What is on it."""

    def _secret(self) -> None: ...


IShelves = interface_of(Shelves)


@implementer(IShelves)
class OfShelves(MemoryStore):
    def shelf(self, name: bytes) -> Iterator[Entry]:
        return self.entries(name)


@implementer(IShelves)
class Wrong(MemoryStore):
    def shelf(self) -> None:
        """It takes no name."""


def test_whoever_extends_a_protocol_has_its_interface_too() -> None:
    assert set(IShelves) == {"shelf", *IStore}
    assert verifyObject(IShelves, OfShelves())
    with pytest.raises(BrokenMethodImplementation):
        verifyObject(IShelves, Wrong())
