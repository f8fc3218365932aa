"""A command that finds another transfer of its file under way."""

from __future__ import annotations

import pytest

from twisted_ft.cli.options import CommandOptions
from twisted_ft.cli.run import Command
from twisted_ft.errors import Busy
from twisted_ft.testing import MemoryNetwork

BUSY = Busy("a: another transfer is under way")


def pauses(quiet: bool) -> list[float | None]:
    """What a command waits, up to the end."""
    command = Command(MemoryNetwork().clock, CommandOptions(quiet=quiet))
    return [command.when_busy(BUSY, times) for times in range(7)]


def test_it_waits_ten_seconds_in_all_and_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    *waits, last = pauses(quiet=False)
    growing = [each for each in waits if each is not None]
    assert growing == sorted(growing)
    assert len(growing) == len(waits)
    assert sum(growing) == pytest.approx(10)
    assert last is None
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"ft: waiting for a few seconds: {BUSY.text}\n"


def test_it_waits_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    pauses(quiet=True)
    assert capsys.readouterr().err == ""
