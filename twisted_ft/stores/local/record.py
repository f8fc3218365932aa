"""What is said, beside what has arrived of a file, of whose that is, and of which file.

It is lines: size (``-`` where nobody knows it) and version, in hexadecimal digits; what the file is
to be called; and whose it is, both in hexadecimal digits of what may be any bytes.  Earlier
versions have written the first line only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from blake3 import blake3

OWNER_MAX = 1024
"""Bytes of an owner's name, in UTF-8: with two digits for each, a record stays small."""
_RECORD = re.compile(rb"((?:\d+|-) [0-9a-f]*\n)(?:([0-9a-f]*)\n([0-9a-f]*)\n)?")


def partial_names(name: bytes) -> tuple[bytes, bytes]:
    """What the data and the record of a file are called while it is on its way."""
    stem = b".ft-" + blake3(name).digest()[:16].hex().encode()
    return stem + b".part", stem + b".from"


def record_of(part: bytes) -> bytes:
    """What the record beside the data called ``part`` is called."""
    return part[: -len(b"part")] + b"from"


@dataclass(frozen=True)
class Record:
    """What is known of a file that is kept."""

    state: bytes
    """a line that names its size and version"""
    name: bytes = b""
    """what it is to be called; empty where that isn't known"""
    owner: str = ""
    """whose it is, in the words of whoever began with it; empty where nobody said so"""

    @classmethod
    def of(cls, size: int | None, version: bytes, name: bytes, owner: str) -> Record:
        """That of a file which begins.

        :param size: None where nobody knows it

        :raises ValueError: its owner's name is too long
        """
        if len(owner.encode(errors="surrogatepass")) > OWNER_MAX:
            raise ValueError(f"an owner's name has at most {OWNER_MAX:,} bytes")
        said = b"-" if size is None else b"%d" % size
        return cls(b"%b %b\n" % (said, version.hex().encode()), name, owner)

    def said(self) -> bytes:
        """It, in bytes."""
        owner = self.owner.encode(errors="surrogatepass")
        return b"%b%b\n%b\n" % (self.state, self.name.hex().encode(), owner.hex().encode())

    @classmethod
    def read(cls, said: bytes) -> Record | None:
        """What such bytes say; None where that can't be made out."""
        found = _RECORD.fullmatch(said)
        if found is None:
            return None
        state, name, owner = found.groups(b"")
        try:
            return cls(state, _bytes(name), _bytes(owner).decode(errors="surrogatepass"))
        except ValueError:
            return None

    def belongs_to(self, part: bytes) -> bool:
        """Whether it says what the data called ``part`` is to be, and that can be so."""
        return bool(self.name) and partial_names(self.name)[0] == part


def _bytes(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode())
