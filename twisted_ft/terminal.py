"""Names and texts from elsewhere, made fit for a terminal."""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
"""Unicode categories that control, reorder or hide what a terminal shows, or look like a space."""


def shown(name: bytes | str) -> str:
    """``name`` with everything that isn't plainly visible escaped, as ``\\x1b`` or ``\\u202e``.

    Bytes that aren't UTF-8 come out as ``\\xNN``, and a backslash is doubled, so that two
    different names never come out as the same text.
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return "".join(map(_shown, text))


def printable(text: str) -> str:
    """A sentence, from here or from a peer, with what isn't plainly visible escaped.

    Backslashes stay as they are, as the names in a sentence have been through ``shown``.
    """
    return "".join(map(_escaped, text))


def _shown(character: str) -> str:
    return "\\\\" if character == "\\" else _escaped(character)


def _escaped(character: str) -> str:
    if character == " " or unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that isn't UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
