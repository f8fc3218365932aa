"""Writes the manual pages of ``docs/man/`` from ``manual.md``.

``python docs/make_manpages.py`` does it; ``tests/test_manpages.py`` says whether it is needed, and
``man -l docs/man/ft.1`` shows one.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from twisted_ft.version import VERSION

MANUAL = Path(__file__).with_name("manual.md")
FOLDER = Path(__file__).with_name("man")


class Page(NamedTuple):
    """What a page says beside its part of the manual."""

    name: str
    purpose: str
    related: str


PAGES = {
    "ft": Page(
        "ft",
        "get files from one machine to another, verified and carried on",
        "twistd\\-filetransfer(1), rsync(1), scp(1), curl(1)",
    ),
    "twistd filetransfer": Page(
        "twistd-filetransfer", "serve a folder to ft(1)", "ft(1), twistd(1)"
    ),
}
"""The page that begins at a second-level heading; any other heading goes on with the page.

``man twistd filetransfer`` finds the page of that name, as ``man git commit`` does.
"""
_ELSEWHERE = "Pages that are named here, such as protocol.md, are in docs/ of the source."
_ROFF = {"\\": r"\e", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "-": r"\-"}
"""How what is typed is written, where roff would show a character that is typeset instead."""
_PLACEHOLDER = re.compile(r"(?<![-\w])([A-Z]+)\b")
"""A word in capitals, which isn't an option such as -R."""
_WIDTH = 79
"""Characters of a line of a page's source."""


def pages(manual: str) -> dict[str, str]:
    """Each page by the name of its file: its source, without the title line."""
    parts: dict[str, list[SyntaxTreeNode]] = {}
    heading = None
    for node in SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(manual)).children:
        if node.type == "heading" and _plain(node) in PAGES:
            heading = _plain(node)
            parts[heading] = []
        elif heading is not None:
            parts[heading].append(node)
    return {f"{PAGES[each].name}.1": _page(PAGES[each], part) for each, part in parts.items()}


def current(name: str, source: str, old: str) -> str:
    """The file ``name`` as it should be; the date of ``old`` stays where the rest does."""
    of = f'"twisted-ft {VERSION}" "User Commands"'
    title, _, rest = old.partition("\n")
    if title.endswith(of) and rest == source:
        return old
    today = datetime.now(timezone.utc).date()
    return f".TH {name.removesuffix('.1').upper()} 1 {today} {of}\n{source}"


def _page(page: Page, part: Sequence[SyntaxTreeNode]) -> str:
    synopsis, *rest = part
    lines = [
        '.\\" Made from docs/manual.md by docs/make_manpages.py: change it there.',
        ".ad l",
        ".nh",
        ".SH NAME",
        f"{_typed(page.name)} \\- {page.purpose}",
        ".SH SYNOPSIS",
        *_synopsis(synopsis),
        ".SH DESCRIPTION",
        *_blocks(rest),
        ".SH SEE ALSO",
        page.related,
        ".PP",
        _ELSEWHERE,
    ]
    return "\n".join(lines) + "\n"


def _synopsis(code: SyntaxTreeNode) -> Iterator[str]:
    """Each line; what stands behind two spaces says what it is for."""
    for line in code.content.splitlines():
        command, _, purpose = line.partition("  ")
        yield ".TP"
        yield _with_placeholders(command)
        yield from _filled(_text(purpose.strip()))


def _blocks(nodes: Sequence[SyntaxTreeNode]) -> Iterator[str]:
    separate = False  # from what is above; a heading does so by itself
    for node in nodes:
        if separate and node.type in ("paragraph", "code_block", "fence"):
            yield ".PP"
        yield from _block(node)
        separate = node.type != "heading"


def _block(node: SyntaxTreeNode) -> Iterator[str]:
    if node.type == "heading":
        yield f".SS {_plain(node)}" if node.tag > "h3" else f".SH {_plain(node).upper()}"
    elif node.type == "paragraph":
        yield from _filled(_inline(node))
    elif node.type in ("code_block", "fence"):
        lines = node.content.rstrip("\n").split("\n")
        yield from (".RS 4", ".nf", *(_guarded(_typed(line)) for line in lines), ".fi", ".RE")
    elif node.type == "table":
        for row in node.children[1].children:
            term, *rest = map(_inline, row.children)
            yield from (".TP", term, *_filled("; ".join(filter(None, rest))))
    elif node.type in ("bullet_list", "ordered_list"):
        for number, item in enumerate(node.children, 1):
            mark = r"\(bu" if node.type == "bullet_list" else f"{number}."
            yield from (f".IP {mark} 4", ".RS 4", *_blocks(item.children), ".RE")
    else:
        raise ValueError(f"the manual has a {node.type}, for which pages have no form yet")


def _inline(node: SyntaxTreeNode, font: str = "R") -> str:
    """What stands in a paragraph, in one line; ``font`` is that of the text around it."""
    if node.type == "text":
        return _text(node.content)
    if node.type == "code_inline":
        return _with_placeholders(node.content, font)
    if node.type == "softbreak":
        return " "
    inner = {"strong": "B", "em": "I"}.get(node.type, font)
    said = "".join(_inline(child, inner) for child in node.children)
    return said if inner == font else f"\\f{inner}{said}\\f{font}"


def _with_placeholders(typed: str, font: str = "R") -> str:
    """What is typed, in bold; in italics what stands for something else, as FILE does."""
    parts = _PLACEHOLDER.split(typed)
    said = (f"\\f{'BI'[n % 2]}{_typed(part)}" for n, part in enumerate(parts) if part)
    return "".join(said) + f"\\f{font}"


def _typed(text: str) -> str:
    return "".join(_ROFF.get(each, _text(each)) for each in text)


def _text(text: str) -> str:
    return "".join(
        r"\e" if each == "\\" else each if each.isascii() else f"\\[u{ord(each):04X}]"
        for each in text
    )


def _filled(text: str) -> list[str]:
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """``line`` as text, also where it begins as a request does."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def _plain(node: SyntaxTreeNode) -> str:
    """The words of a heading."""
    return "".join(each.content for each in node.children[0].children)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, source in pages(MANUAL.read_text()).items():
        file = FOLDER / name
        file.write_text(current(name, source, file.read_text() if file.exists() else ""))
