"""The page that the results go into, between its markers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def lacking(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that have no markers in the page."""
    there = {found[2] for found in _BLOCK.finditer(PAGE.read_text())}
    return [name for name in names if name not in there]


def write(name: str, text: str) -> None:
    """Put a text between the markers of its name, if the page has them."""

    def current(found: re.Match[str]) -> str:
        return f"{found[1]}{text}\n{found[3]}" if found[2] == name else found[0]

    PAGE.write_text(_BLOCK.sub(current, PAGE.read_text()))


def write_picture(name: str, title: str, picture: str) -> str:
    """Write a picture into ``pictures`` beside the page; what shows it there."""
    pictures = PAGE.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    (pictures / f"{name}.svg").write_text(picture)
    return f"![{title}](pictures/{name}.svg)"
