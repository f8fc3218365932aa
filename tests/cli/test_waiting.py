"""A command that tries again: what it says, how long it waits, and when it gives up."""

from __future__ import annotations

import pytest

from twisted_ft.cli.options import CommandOptions
from twisted_ft.cli.run import Command
from twisted_ft.errors import Busy, ConnectionFailed, FileTransferError
from twisted_ft.testing import MemoryNetwork
from twisted_ft.urls import parse_url

PLACE = parse_url("ft://host/d")
BUSY = Busy("another transfer is under way; try again").at("there", "d/a")
LOST = ConnectionFailed("the connection was lost; run again to resume")


def pauses(error: FileTransferError, **options: bool | int) -> list[float | None]:
    """What a command waits, up to the end."""
    command = Command(MemoryNetwork().clock, CommandOptions(**options))  # type: ignore[arg-type]
    return [command.retrying(PLACE).pause(error, times) for times in range(7)]


def test_the_pauses_grow_and_each_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert pauses(LOST, retries=6) == [1, 2, 4, 8, 16, 30, None]
    said = capsys.readouterr()
    assert said.out == ""
    first, second, *_ = said.err.splitlines()
    assert first == "ft: host:22222: the connection was lost; trying again in 1 s (1 of 6)"
    assert second == "ft: host:22222: the connection was lost; trying again in 2 s (2 of 6)"


def test_a_file_that_is_waited_for_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    pauses(BUSY, retries=1)
    said = "ft: ft://host/d/a: another transfer is under way; trying again in 1 s (1 of 1)\n"
    assert capsys.readouterr().err == said


def test_it_waits_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    assert pauses(BUSY, quiet=True, retries=2) == [1, 2, *(None,) * 5]
    assert capsys.readouterr().err == ""


def test_without_retry_nothing_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert pauses(BUSY, retries=0) == [None] * 7
    assert capsys.readouterr().err == ""
