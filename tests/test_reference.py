"""The reference shows as public what the front door has, and what the pages name."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import twisted_ft

ROOT = Path(__file__).parent.parent
PRIVACY = re.findall(
    r'^    "([A-Z]+):([^"]+)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
)
PAGES = ("embedding", "stores", "testing")


def privacy_of(name: str) -> str:
    """What pydoctor takes it for: the last line that fits, where one star is one name."""
    depth = name.count(".")
    fitting = [
        kind
        for kind, pattern in PRIVACY
        if pattern.count(".") == depth and fnmatchcase(name, pattern)
    ]
    return fitting[-1] if fitting else "PUBLIC"


def named_by(page: str) -> set[str]:
    """The modules that a page imports from, or speaks of."""
    text = (ROOT / f"docs/{page}.md").read_text()
    return {
        name
        for name in re.findall(r"\btwisted_ft(?:\.[a-z_]+)+", text)
        if (ROOT / (name.replace(".", "/") + ".py")).exists()
        or (ROOT / name.replace(".", "/")).is_dir()
    }


def test_the_pages_name_modules() -> None:
    assert {"twisted_ft.errors", "twisted_ft.server"} <= named_by("embedding")


@pytest.mark.parametrize("name", sorted({name for page in PAGES for name in named_by(page)}))
def test_what_a_page_names_is_public(name: str) -> None:
    parts = name.split(".")
    for depth in range(2, len(parts) + 1):
        assert privacy_of(".".join(parts[:depth])) == "PUBLIC"


@pytest.mark.parametrize("name", sorted({*twisted_ft.__all__} - {"__version__"}))
def test_what_is_at_the_front_door_is_public(name: str) -> None:
    assert privacy_of(f"twisted_ft.{name}") == "PUBLIC"


def test_all_else_is_not() -> None:
    for name in ("transfer", "client", "cli", "server.door", "wire.frames", "stores.piecewise"):
        assert privacy_of(f"twisted_ft.{name}") != "PUBLIC"
