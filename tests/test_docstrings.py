"""What docstrings say of parameters is about parameters that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "twisted_ft"
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(path: Path) -> Iterator[tuple[Documented, set[str]]]:
    """The classes and functions of a module that name parameters, and which they name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Documented):
            named = set(re.findall(r":param (\w+):", ast.get_docstring(node) or ""))
            if named:
                yield node, named


def parameters(node: Documented) -> set[str]:
    """What it takes: a class, what its ``__init__`` does."""
    if isinstance(node, ast.ClassDef):
        made = [each for each in node.body if getattr(each, "name", "") == "__init__"]
        fields = {
            each.target.id
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        }
        return parameters(made[0]) if made and isinstance(made[0], Documented) else fields
    taken = node.args
    rest = [each for each in (taken.vararg, taken.kwarg) if each is not None]
    return {each.arg for each in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs, *rest)}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in PACKAGE.rglob("*.py")],
)
def test_parameters_that_are_named_are_there(path: Path) -> None:
    for node, named in documented(path):
        assert named <= parameters(node), f"{node.name} in {path.name}"
