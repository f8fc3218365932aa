"""The page that the results go into, between its markers."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
TARGETS = "targets"
"""The markers of the table of all targets, which is made of the page's other tables."""
_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COLUMNS = 100
"""In a line of prose, as in all of our pages."""
_CELLS_OF_FACT = 4
"""What a figure is, its value, its target, whether that was reached; a row of a race has more."""


def lacking(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that have no markers in the page."""
    there = {found[2] for found in _BLOCK.finditer(PAGE.read_text())}
    return [name for name in names if name not in there]


def write(name: str, text: str) -> None:
    """Put a text between the markers of its name, if the page has them, and list all targets."""
    PAGE.write_text(with_targets(filled(PAGE.read_text(), name, _wrapped(text))))


def write_picture(name: str, title: str, picture: str) -> str:
    """Write a picture into ``pictures`` beside the page; what shows it there."""
    pictures = PAGE.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    (pictures / f"{name}.svg").write_text(picture)
    return f"![{title}](pictures/{name}.svg)"


def filled(page: str, name: str, text: str) -> str:
    """The page, with a text between the markers of its name, if it has them."""

    def current(found: re.Match[str]) -> str:
        return f"{found[1]}{text}\n{found[4]}" if found[2] == name else found[0]

    return _BLOCK.sub(current, page)


def with_targets(page: str) -> str:
    """The page, with the table of its targets as the other tables have them."""
    rows = list(_targets(page))
    reached = sum(row[-1].startswith("yes") for row in rows)
    table = [["what", "beside", "target", "reached"], ["---"] * 4, *rows]
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return filled(page, TARGETS, f"Reached: {reached} of {len(rows)}.\n\n" + "\n".join(lines))


def _targets(page: str) -> Iterator[list[str]]:
    """For each target: where it stands, beside what, the target, and whether it was reached."""
    for block in _BLOCK.finditer(page):
        if block[2] == TARGETS:
            continue
        heading = _HEADING.findall(page, 0, block.start())[-1]
        for cells in _aimed_at(block[3]):
            figure = f", {cells[1]}" if len(cells) == _CELLS_OF_FACT else ""
            yield [_link(heading), cells[0], cells[-2], cells[-1] + figure]


def _aimed_at(text: str) -> Iterator[list[str]]:
    """The rows with a target, of tables whose last columns are the target and what was reached."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and cells[-2] and cells[-2] not in ("target", "--:"):
            yield cells


def _link(heading: str) -> str:
    """A link to a heading of the same page, as GitHub names it."""
    name = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
    return f"[{heading}](#{name})"


def _wrapped(text: str) -> str:
    """A text with its prose wrapped; tables have a line for each row, however long."""
    return "\n".join(
        line if line.startswith("|") else textwrap.fill(line, _COLUMNS, break_on_hyphens=False)
        for line in text.splitlines()
    )
