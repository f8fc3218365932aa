"""The rooms of docs/design.md: a module imports only what stands above it there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "twisted_ft"
ROOMS = (ROOT / "docs/design.md").read_text().partition("## The rooms")[2].partition("\n## ")[0]
ROWS = [line.split("|")[1] for line in ROOMS.splitlines() if line.startswith("| `")]
FLOOR = {
    place.removesuffix(".py"): floor
    for floor, row in enumerate(ROWS)
    for place in re.findall(r"`([\w/]+\.py)`", row)
}
MODULES = [
    str(path.relative_to(PACKAGE).with_suffix(""))
    for path in sorted(PACKAGE.rglob("*.py"))
    if not path.stem.startswith("__")  # front doors, which lead to what is behind them
]


def imported(module: str) -> set[str]:
    """What a module imports, by full name, wherever in it that stands."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    names = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            named = {f"{node.module}.{name.name}" for name in node.names}
            names |= {name for name in named if own(name) in MODULES} or {node.module or ""}
    return names


def own(name: str) -> str:
    """A module of the package by its place, from its full name."""
    return name.removeprefix("twisted_ft.").replace(".", "/")


def behind(package: str) -> set[str]:
    """The modules that a package's front door leads to."""
    return {own(name) for name in imported(f"{package}/__init__")}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    assert module in FLOOR, f"docs/design.md doesn't say where {module}.py stands"
    for name in imported(module):
        if name.startswith("twisted_ft.") and name != "twisted_ft.version":
            others = {own(name)} if own(name) in FLOOR else behind(own(name))
            for other in others:
                assert FLOOR[other] <= FLOOR[module], f"{module} imports {other}"


def test_what_the_page_names_is_there() -> None:
    assert set(FLOOR) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_the_wire_and_the_errors_know_nothing_of_twisted(module: str) -> None:
    if module.startswith("wire/") or module in ("errors", "terminal", "version"):
        assert not {name for name in imported(module) if re.match(r"(twisted|zope)(\.|$)", name)}
