"""What one peer may do to a server, in small: see ``hostile``, which does it in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.attacks import ATTACKS
from tests.kit.scene import Sizes
from tests.processes.hostile import plant, run

SMALL = Sizes(
    names=20_000,
    large=256 << 20,
    connections=2,
    seconds=0.3,
    timeout=1,
    places=5,
    repeats=20,
    tiny=10_000,
    parcels=2,
    latency=5.0,
    settling=5.0,
    patience=6.0,
    ft=False,
)
"""Generous in time, for busy machines; what needs minutes, or whole processors, isn't here."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served to those who may only read."""
    root = tmp_path_factory.mktemp("planted") / "root"
    plant(root, SMALL)
    return root


@pytest.mark.parametrize(
    "name",
    [
        "get-large",
        "list-flat",
        "fetch",
        "all-kinds",
        "resets",
        "cancelled",
        "offers",
        "parcels",
        "takes-nothing-working",
        "takes-nothing-asking",
        "half-closed",
        "dribbling-to-the-impatient",
        "full-house",
        "house-full-of-strangers",
        "hashing",
        "bad-names",
        "tiny-requests",
        "tiny-words",
        "root-settled",
        "folder-settled",
        "folder-locked",
        "root-gone",
    ],
)
def test_what_holds(planted: Path, name: str) -> None:
    failed = run(ATTACKS[name], planted, SMALL).failed
    assert not failed, "\n".join(f"{each.what}: {each.must}, not {each.seen}" for each in failed)
