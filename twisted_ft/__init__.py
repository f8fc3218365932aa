"""File transfer over TCP for Twisted: fast, whole, and carried on after anything goes wrong.

This is the front door.  What is behind it is imported when it is first asked for, so that
``ft --help`` and shell completion need not wait for Twisted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from twisted_ft.version import VERSION as __version__

if TYPE_CHECKING:
    from twisted_ft.client import Client
    from twisted_ft.connecting import connect
    from twisted_ft.delivery import Delivery
    from twisted_ft.errors import FileTransferError
    from twisted_ft.persistent import PersistentClient
    from twisted_ft.server import FileTransferFactory
    from twisted_ft.stores.capabilities import Capabilities
    from twisted_ft.stores.interfaces import ISink, ISource, IStore, Sink, Source, Store
    from twisted_ft.stores.local import LocalStore
    from twisted_ft.stores.memory import MemoryFile, MemoryStore
    from twisted_ft.stores.read_only import ReadOnlyStore
    from twisted_ft.stores.wrapping import StoreWrapper
    from twisted_ft.transfer.runtime import Runtime
    from twisted_ft.trees.options import TreeOptions
    from twisted_ft.wire.messages import Attributes, Entry

__all__ = [
    "Attributes",
    "Capabilities",
    "Client",
    "Delivery",
    "Entry",
    "FileTransferError",
    "FileTransferFactory",
    "ISink",
    "ISource",
    "IStore",
    "LocalStore",
    "MemoryFile",
    "MemoryStore",
    "PersistentClient",
    "ReadOnlyStore",
    "Runtime",
    "Sink",
    "Source",
    "Store",
    "StoreWrapper",
    "TreeOptions",
    "__version__",
    "connect",
]

_WHERE = {
    "Attributes": "wire.messages",
    "Capabilities": "stores.capabilities",
    "Client": "client",
    "Delivery": "delivery",
    "Entry": "wire.messages",
    "FileTransferError": "errors",
    "FileTransferFactory": "server",
    "ISink": "stores.interfaces",
    "ISource": "stores.interfaces",
    "IStore": "stores.interfaces",
    "LocalStore": "stores.local",
    "PersistentClient": "persistent",
    "MemoryFile": "stores.memory",
    "MemoryStore": "stores.memory",
    "ReadOnlyStore": "stores.read_only",
    "Runtime": "transfer.runtime",
    "Sink": "stores.interfaces",
    "Source": "stores.interfaces",
    "Store": "stores.interfaces",
    "StoreWrapper": "stores.wrapping",
    "TreeOptions": "trees.options",
    "connect": "connecting",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
