"""A user without rights, and a place for them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.nobody import NOBODY, AsNobody, load_what_is_loaded_late


@pytest.fixture
def anyones_place() -> Iterator[Path]:
    """An empty folder that every user can reach and change; pytest's own are the user's alone."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    yield place
    for below in place.iterdir():
        below.chmod(0o700)
    shutil.rmtree(place)


@pytest.fixture
def as_nobody() -> AsNobody:
    """``with as_nobody():`` is without root's privileges, to whom every permission is given."""

    @contextmanager
    def nobody() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        load_what_is_loaded_late()
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)

    if os.name == "nt":
        pytest.skip("Windows has no users to become")
    return nobody
