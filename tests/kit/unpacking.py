"""What is unpacked, in tests and in processes that tests kill."""

from __future__ import annotations

from twisted_ft.stores.conformance.samples import folder_described, unpacked, whole
from twisted_ft.stores.interfaces import Unpacker
from twisted_ft.wire.messages import Item


def files(count: int, size: int = 4) -> list[Item]:
    """Small files, named by numbers."""
    return [whole(b"%d" % number, b"%04d" % number * (size // 4)) for number in range(count)]


def made(unpacker: Unpacker, folder: bytes) -> None:
    """Have one of FOLDERS."""
    unpacked(unpacker, (folder, [folder_described(b"")]))
