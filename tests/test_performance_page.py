"""docs/performance.md is as ``python -m bench --write`` would leave it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import page
from bench.scenarios import SCENARIOS

MARKERS = """\
# Page
<!-- generated: targets -->
<!-- end -->
## A large file's way
<!-- generated: get -->
<!-- end -->
"""
TABLE = """\
|  | s, median | to `ft`'s | target | reached |
| --- | --: | --: | --: | --: |
| `ft get` | 2.85 |  |  |  |
| curl | 2.57 | 0.90 | throughput ≥ 1 | **no**, 0.90 |"""
FACT = """\
|  |  | target | reached |
| --- | --: | --: | --: |
| memory | 5 KiB | ≤ 8 KiB | yes |"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with markers, in place of ours."""
    path = tmp_path / "page.md"
    path.write_text(MARKERS)
    monkeypatch.setattr(page, "PAGE", path)
    return path


def test_every_scenario_has_its_place() -> None:
    assert page.lacking(["machine", page.TARGETS, *SCENARIOS]) == []


def test_every_picture_is_shown() -> None:
    shown = re.findall(r"!\[.+\]\(pictures/(.+)\)", page.PAGE.read_text())
    assert sorted(shown) == sorted(path.name for path in (page.PAGE.parent / "pictures").iterdir())


def test_the_table_of_targets_is_current() -> None:
    text = page.PAGE.read_text()
    assert page.with_targets(text) == text


def test_targets_are_listed_from_the_tables(written: Path) -> None:
    page.write("get", f"About it.\n\n{TABLE}\n\n{FACT}")
    lines = written.read_text().splitlines()
    assert [line for line in lines if "(#a-large-files-way)" in line] == [
        "| [A large file's way](#a-large-files-way) | curl | throughput ≥ 1 | **no**, 0.90 |",
        "| [A large file's way](#a-large-files-way) | memory | ≤ 8 KiB | yes, 5 KiB |",
    ]
    assert "Reached: 1 of 2." in lines


def test_prose_is_wrapped_and_tables_are_not(written: Path) -> None:
    long = f"| {'x' * 200} |  |  |"
    page.write("get", f"{'word ' * 50}\n\n{long}")
    lines = written.read_text().splitlines()
    assert long in lines
    assert all(len(line) <= 100 for line in lines if not line.startswith("|"))


def test_to_write_twice_changes_nothing(written: Path) -> None:
    page.write("get", TABLE)
    once = written.read_text()
    page.write("get", TABLE)
    assert written.read_text() == once
