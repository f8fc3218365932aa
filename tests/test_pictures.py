"""docs/protocol.md says what the code does: what is generated is current, the rest is compared."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from twisted_ft.errors import known_codes
from twisted_ft.wire.frames import MAGIC
from twisted_ft.wire.messages import Attributes, Entry, Limits, Message

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "protocol.md").read_text()
PICTURES = runpy.run_path(str(DOCS / "make_pictures.py"))


def test_the_page_is_current() -> None:
    assert PICTURES["current"](PAGE) == PAGE, "run: python docs/make_pictures.py"


def test_every_block_is_in_the_page() -> None:
    assert set(re.findall(r"<!-- generated: (\w+) -->", PAGE)) == set(PICTURES["generated"]())


@pytest.mark.parametrize("code", known_codes())
def test_every_code_is_in_the_page(code: str) -> None:
    assert f"| `{code}` |" in PAGE


def layout(struct: Any) -> str:
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    tag = [] if info.tag is None else [f'"{info.tag}"']
    return f"`[{', '.join([*tag, *(each.name for each in info.fields)])}]`"


@pytest.mark.parametrize("struct", [*get_args(Message), Limits, Attributes, Entry])
def test_every_layout_is_in_the_page(struct: Any) -> None:
    assert layout(struct) in PAGE


def test_the_magic_is_in_the_page() -> None:
    assert f"`{MAGIC.hex(' ')}`" in PAGE
