"""Who may do nothing that isn't permitted to everybody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

NOBODY = 65534
AsNobody = Callable[[], AbstractContextManager[None]]
