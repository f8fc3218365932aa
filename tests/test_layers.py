"""The floors of docs/design.md: a module imports only what stands above it there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "twisted_ft"
TABLE = (ROOT / "docs/design.md").read_text().partition("## The floors")[2].partition("\n## ")[0]
FLOOR = {
    place.removesuffix("/").removesuffix(".py"): row
    for row, line in enumerate(TABLE.splitlines())
    for place in re.findall(r"`([\w/.]+)`", line.split("|")[1] if line.startswith("|") else "")
}
MODULES = [
    str(path.relative_to(PACKAGE).with_suffix(""))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent != PACKAGE or not path.stem.startswith("__")  # the front door leads everywhere
]


def imported(module: str) -> set[str]:
    """What a module imports, by full name, wherever in it that stands."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    names = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    return names | {
        node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_above_it(module: str) -> None:
    top = module.partition("/")[0]
    assert top in FLOOR, f"docs/design.md doesn't say where {top} stands"
    for name in imported(module):
        if name.startswith("twisted_ft."):
            other = name.removeprefix("twisted_ft.").replace(".", "/")
            if other.partition("/")[0] != top:
                assert FLOOR[other.partition("/")[0]] <= FLOOR[top], f"{module} imports {other}"
            elif module in FLOOR and other in FLOOR:
                assert FLOOR[other] <= FLOOR[module], f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES)
def test_the_wire_and_the_errors_know_nothing_of_twisted(module: str) -> None:
    if module.startswith("wire/") or module in ("errors", "terminal", "version"):
        assert not {name for name in imported(module) if re.match(r"(twisted|zope)(\.|$)", name)}
