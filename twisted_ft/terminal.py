"""Names and texts from elsewhere, made fit for a terminal."""

from __future__ import annotations

import codecs

ENCODING_ERRORS = "twisted_ft.escaped"
"""For a stream's ``errors``: what its encoding doesn't have is escaped as ``escaped`` does it."""


def escaped(name: bytes | str) -> str:
    """``name`` with everything that isn't plainly visible escaped, as ``\\x1b`` or ``\\u202e``.

    Bytes that aren't UTF-8 come out as ``\\xNN``, and a backslash is doubled, so that two
    different names never come out as the same text.
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return printable(text.replace("\\", "\\\\"))


def printable(text: str) -> str:
    """A sentence, from here or from a peer, with what isn't plainly visible escaped.

    Backslashes stay as they are, as the names in a sentence have been through ``escaped``.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


shown = escaped
"""Its name until 0.1, which programs may have imported."""


def _escaped(character: str) -> str:
    if character.isprintable():  # neither of the categories C* nor Z*, or a space
        return character
    return _code(character)


def _code(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that isn't UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    """See codecs.register_error.  Not as "backslashreplace", whose ``\\xe9`` is a byte here."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_code, error.object[error.start : error.end])), error.end


codecs.register_error(ENCODING_ERRORS, _escape_unencodable)
