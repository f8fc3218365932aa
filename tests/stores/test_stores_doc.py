"""The store that docs/stores.md shows is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
_BLOCKS = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
_NAMES: dict[str, Any] = {"__name__": __name__}
for _block in _BLOCKS:
    exec(compile(_block, str(_PAGE), "exec"), _NAMES)

TestAnnouncingStore = _NAMES["TestAnnouncingStore"]


def test_the_factory_serves_it() -> None:
    assert _NAMES["factory"].store is _NAMES["store"]
