"""Texts from elsewhere do nothing to a terminal, and don't hide what they are."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_ft.terminal import escaped


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"report.txt", "report.txt"),
        (b"with spaces ", "with spaces "),
        ("caf\u00e9 \u65e5\u672c\u8a9e \u0416 \U0001f600".encode(), "café 日本語 Ж 😀"),
        ("cafe\u0301", "cafe\u0301"),
        (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b2J", "\\u009b2J"),
        (b"fine\rgone", "fine\\x0dgone"),
        (b"two\nlines\ttab\0\x7f", "two\\x0alines\\x09tab\\x00\\x7f"),
        ("txt.\u202eexe", "txt.\\u202eexe"),
        ("a\u2066b\u2069\u200f", "a\\u2066b\\u2069\\u200f"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("no-break\u00a0space", "no-break\\u00a0space"),
        ("private\ue000\U000f0000", "private\\ue000\\U000f0000"),
        ("tag\U000e0041", "tag\\U000e0041"),
        (b"latin-1 \xe9", "latin-1 \\xe9"),
        (b"\xff\xc3", "\\xff\\xc3"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\ud800"),
        ("C:\\x1b", "C:\\\\x1b"),
        (b"", ""),
    ],
)
def test_what_is_shown(name: bytes | str, text: str) -> None:
    assert escaped(name) == text


def test_a_byte_and_the_control_character_of_its_number_differ() -> None:
    """U+0080 is two bytes in UTF-8, and neither is the byte 0x80."""
    assert escaped(b"\x80") == "\\x80"
    assert escaped("\x80".encode()) == "\\u0080"


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_it_is_printable_and_can_be_told_back(name: bytes) -> None:
    """So that no two names come out as the same text."""
    text = escaped(name)
    assert text.isprintable()
    assert _name(text) == name


def _name(text: str) -> bytes:
    """The name of which ``text`` is what is shown."""
    name = b""
    while text:
        length = {"\\\\": 2, "\\x": 4, "\\u": 6, "\\U": 10}.get(text[:2], 1)
        each, text = text[:length], text[length:]
        if each.startswith("\\x") and int(each[2:], 16) >= 0x80:
            name += bytes([int(each[2:], 16)])
        else:
            name += str(ast.literal_eval(f'"{each}"') if length > 1 else each).encode()
    return name
