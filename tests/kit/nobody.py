"""Who may do nothing that isn't permitted to everybody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module

NOBODY = 65534
AsNobody = Callable[[], AbstractContextManager[None]]


def load_what_is_loaded_late() -> None:
    """Nobody may be unable to read the checkout."""
    for module in ("downloading", "uploading", "comparing", "finishing"):
        import_module(f"twisted_ft.trees.{module}")
