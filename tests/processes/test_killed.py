"""SIGKILL at random points, and the command run again: see ``endurance``, which does it in full."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.processes.endurance import DIRECTIONS, VICTIMS, TreeTrial, Trial, random_points

SIZE = 48 << 20
KILLS = 4


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_killed_and_run_again(tmp_path: Path, direction: str, victim: str) -> None:
    seed = random.randrange(10**6)
    sys.stdout.write(f"seed {seed}")
    trial = Trial(tmp_path, direction, victim, SIZE, "200M")
    trial.check(trial.run(random_points(KILLS, seed)))


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_tree_killed_and_moved_again(tmp_path: Path, direction: str, victim: str) -> None:
    trial = TreeTrial(tmp_path, direction, victim, 1500, "40M")
    trial.run([0.01, 0.3, 0.7])
    assert trial.kills >= 2, "it is done before it can be killed"
    trial.check()
