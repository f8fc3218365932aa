"""The tables of bounds in docs/design.md are what the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from twisted_ft.server.budget import COSTS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "twisted_ft"
PAGE = (ROOT / "docs/design.md").read_text().partition("## Every bound")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if "|" in line
]
BOUNDS = {
    (place[1], place[2]): amount
    for _, amount, where, *_ in (row for row in ROWS if len(row) == 4)
    if (place := re.fullmatch(r"`([\w/]+)\.py` `([\w.]+)`", where))
}
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}
ROOMS = ("wire", "stores", "transfer", "server", "trees")
ESTIMATES = {"_ITEM_SIZE", "_ENTRY_SIZE", "_MESSAGE_SIZE", "_ROOM", "_RECORD"}
"""What something takes on the wire, at most: by these is counted, and nothing is refused."""


def number(amount: str) -> float:
    """A figure of the page, in the unit of its constant: ``64 KiB``, ``0.1 s``, ``4,096 bytes``."""
    figure, _, unit = amount.partition(" ")
    return float(figure.replace(",", "")) * UNITS.get(unit, 1)


def bounds_in(path: Path) -> Iterator[str]:
    """The constants whose docstrings say that something is so much at most."""
    for node in ast.walk(ast.parse(path.read_text())):
        body: list[Any] = getattr(node, "body", [])
        if isinstance(node, (ast.Module, ast.ClassDef)):
            for constant, doc in pairwise(body):
                if isinstance(constant, ast.Assign) and "at most" in _text(doc):
                    yield ast.unparse(constant.targets[0])


def _text(node: ast.stmt) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return ast.unparse(node) if is_text else ""


def test_there_are_bounds() -> None:
    assert len(BOUNDS) > 80


@pytest.mark.parametrize(("module", "name"), BOUNDS)
def test_the_page_has_what_the_code_has(module: str, name: str) -> None:
    place = import_module(f"twisted_ft.{module.replace('/', '.')}")
    assert number(BOUNDS[module, name]) == attrgetter(name)(place)


@pytest.mark.parametrize(
    "path", [each for room in ROOMS for each in (PACKAGE / room).rglob("*.py")]
)
def test_the_page_names_every_bound(path: Path) -> None:
    module = str(path.relative_to(PACKAGE).with_suffix(""))
    named = {part for known, name in BOUNDS if known == module for part in name.split(".")}
    assert {*bounds_in(path)} - ESTIMATES <= named, f"docs/design.md lacks bounds of {module}.py"


def test_what_an_exchange_may_hold() -> None:
    said = {
        row[0].partition(",")[0]: (number(row[1]), number(row[2]))
        for row in ROWS
        if len(row) == 3 and row[1][0].isdigit()
    }
    assert said == {word.__name__: (cost.bytes, cost.descriptors) for word, cost in COSTS.items()}
