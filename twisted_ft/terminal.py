"""Names and texts from elsewhere, made fit for a terminal."""

from __future__ import annotations

import os
import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that control, reorder or hide what a terminal shows."""


def shown(name: bytes | str) -> str:
    """``name`` with everything that isn't plainly visible escaped, as ``\\x1b`` or ``\\u202e``.

    Bytes that aren't UTF-8 come out as ``\\xNN``, and a backslash is doubled, so that two
    different names never look the same.
    """
    text = os.fsdecode(name) if isinstance(name, bytes) else name
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
