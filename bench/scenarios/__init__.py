"""All scenarios, by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.report import Report
from bench.scenarios import large, load, small, trees
from bench.settings import Settings


@dataclass(frozen=True)
class Scenario:
    """Something to measure.

    :param title: of its picture
    :param run: measures it
    """

    title: str
    run: Callable[[Settings], Report]


SCENARIOS = {
    "get": Scenario("A large file, downloaded", large.get),
    "put": Scenario("A large file, uploaded", large.put),
    "tls": Scenario("A large file, encrypted", large.tls),
    "held": Scenario("Server CPU for a reader held to 0.7 GB/s", large.held),
    "again": Scenario("Server CPU for an unchanged file, again", large.again),
    "resume": Scenario("A large file, carried on at its half", large.resume),
    "tree-get": Scenario("A folder of small files, downloaded", trees.get),
    "tree-put": Scenario("A folder of small files, uploaded", trees.put),
    "tree-again": Scenario("A folder of small files, again", trees.again),
    "disk": Scenario("A folder of small files, on a disk", trees.disk),
    "real": Scenario("A real folder", trees.real),
    "crowd": Scenario("Many clients at once", load.crowd),
    "idle": Scenario("Idle connections, and a transfer beside them", load.idle),
    "startup": Scenario("Starting up", small.startup),
}
