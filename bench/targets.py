"""What is aimed at: one number in comparison with another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.race import Row


@dataclass(frozen=True)
class Target:
    """A bound for a figure that is made of our median and another's.

    :param words: what the figure is; ``{}`` stands for the bound
    :param bound: the bound, in the figure's unit
    :param least: whether the bound is the least (or else the most) that will do
    :param quantity: of ``Taken``
    :param figure: from our median and the other's
    """

    words: str
    bound: float
    least: bool
    quantity: str
    figure: Callable[[float, float], float]

    def of(self, ours: Row, theirs: Row) -> float | None:
        """The figure; None where one side has nothing."""
        mine, other = ours.median(self.quantity), theirs.median(self.quantity)
        return None if mine is None or other is None else self.figure(mine, other)

    def __str__(self) -> str:
        return f"{self.words} {'≥' if self.least else '≤'} {self.bound:g}"

    def reached(self, figure: float) -> str:
        """Whether the figure will do, and the figure."""
        good = figure >= self.bound if self.least else figure <= self.bound
        return f"{'yes' if good else '**no**'}, {figure:.2f}"


def _ratio(mine: float, other: float) -> float:
    return mine / other if other else float("inf")


def throughput(least: float) -> Target:
    """At least so many times the other's bytes a second."""
    return Target("throughput", least, True, "wall", lambda mine, other: _ratio(other, mine))


def seconds(most: float) -> Target:
    """At most so many times the other's time."""
    return Target("time", most, False, "wall", _ratio)


def server_cpu(most: float) -> Target:
    """At most so many times the CPU of the other's server."""
    return Target("server CPU", most, False, "server_cpu", _ratio)


def more_seconds(most: float, per: float = 1, unit: str = "") -> Target:
    """At most so many seconds more than the other, for each of ``per`` units."""
    words = f"s more {unit}".strip()
    return Target(words, most, False, "wall", lambda mine, other: (mine - other) / per)
