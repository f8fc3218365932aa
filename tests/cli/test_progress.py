"""The line on a terminal while files move: at each width, plain, without colour, and stalled."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from twisted_ft.cli.columns import STALLED_AFTER
from twisted_ft.cli.options import CommandOptions
from twisted_ft.cli.progress import PRINTED_EVERY
from twisted_ft.cli.report import Report
from twisted_ft.errors import NotFound
from twisted_ft.transfer.bodies.tracker import Progress, TransferProgress
from twisted_ft.trees.deliveries import Tally
from twisted_ft.urls import parse_url
from twisted_ft.wire.messages import Attributes

SIZE = 100_000_000
NAME = "a-file-with-a-name.bin"


class Screen:
    """A terminal that is standard error, and a report on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm", **environment}.items():
            monkeypatch.setenv(name, value)
        self._file = io.TextIOWrapper(os.fdopen(theirs, "wb", 0), encoding, "twisted_ft.escaped")
        monkeypatch.setattr(sys, "stderr", self._file)
        os.set_blocking(self._ours, False)
        self.clock = Clock()
        self.report = Report(CommandOptions(), self.clock)
        self._sent = ""

    def sent(self) -> str:
        """What it was sent since it was asked last."""
        self._take()
        sent, self._sent = self._sent, ""
        return sent

    def _take(self) -> None:
        """A terminal that takes nothing soon blocks who writes to it."""
        self._file.flush()
        try:
            while more := os.read(self._ours, 1 << 16):
                self._sent += more.decode()
        except BlockingIOError:
            pass

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        for _ in range(round(seconds / 0.2)):
            self.clock.advance(0.2)
            self._take()

    def line(self) -> str:
        """What is on its last line, without colours."""
        last = self.sent().rpartition("\r")[2]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).rstrip()

    def close(self) -> None:
        self.report.end_bar()
        self._file.close()
        os.close(self._ours)

    def watch(self, name: str = NAME) -> Progress:
        """A file is next."""
        watch = self.report.begin(name).watch
        assert watch is not None
        return watch

    def move(self, watch: Progress, seconds: int, rate: int = 1_000_500, sent: int = 0) -> int:
        """``seconds`` go by in which a file moves; how much of it has been sent."""
        for _ in range(seconds * 5):
            sent += rate // 5
            watch(TransferProgress(Attributes(b"a", SIZE, 0, 0o644, b""), sent))
            self.wait(0.2)
        return sent


class Screens:
    """Makes screens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.made: list[Screen] = []

    def __call__(self, columns: int = 80, encoding: str = "utf-8", **environment: str) -> Screen:
        self.made.append(Screen(self._monkeypatch, encoding, COLUMNS=str(columns), **environment))
        return self.made[-1]


@pytest.fixture
def screens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screens]:
    """Makes screens that are closed in the end."""
    screens = Screens(monkeypatch)
    yield screens
    for screen in screens.made:
        screen.close()


BAR, LEFT, RATE, SHARE, PART = "━", "0:01:36", "1.0 MB/s", " 4%", "4.0/100.0 MB"


@pytest.mark.parametrize(
    ("columns", "shown", "left_out"),
    [
        (200, [NAME, BAR * 39, SHARE, PART, RATE, LEFT], []),
        (80, [NAME, BAR * 9, SHARE, PART, RATE, LEFT], []),
        (64, [NAME, SHARE, PART, RATE, LEFT], [BAR]),
        (40, ["a-file-", SHARE, PART, RATE], [BAR, LEFT]),
        (32, ["a-file-", SHARE, PART], [BAR, LEFT, RATE]),
        (20, ["a-file-", SHARE], [BAR, LEFT, RATE, PART]),
        (10, ["a-f"], [BAR, LEFT, RATE, PART, SHARE]),
    ],
)
def test_what_is_left_out_where_it_is_narrow(
    screens: Screens, columns: int, shown: list[str], left_out: list[str]
) -> None:
    screen = screens(columns)
    screen.move(screen.watch(), 4)
    sent = screen.sent()
    assert "\n" not in sent
    assert "\x1b[?25l" not in sent
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent).rpartition("\r")[2].rstrip()
    assert len(line) < columns - 2, "^C has its place behind it"
    line = line.replace("╺", BAR).replace("╸", BAR)
    for each in shown:
        assert each in line
    for each in left_out:
        assert each not in line


@pytest.mark.parametrize("columns", [1, 5, 40, 80, 200])
def test_a_tree_on_one_line(screens: Screens, columns: int) -> None:
    screen, tally = screens(columns), Tally()
    screen.report.follow("some/folder", tally)
    for number in range(50):
        tally.known(b"many/files/%d" % number, 1000)
        tally.ended(1, 1000)
        screen.wait(0.2)
    sent = screen.sent()
    assert "\n" not in sent
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent).rpartition("\r")[2].rstrip()
    assert len(line) <= max(1, columns - 3)
    assert ("50/50+ files" in line) is (columns >= 40)
    assert ("many/files/49" in line) is (columns >= 80)


def test_a_server_that_stalls(screens: Screens) -> None:
    screen = screens()
    watch = screen.watch()
    sent = screen.move(watch, 4)
    assert RATE in screen.line()
    screen.wait(STALLED_AFTER + 0.2)
    line = screen.line()
    assert line.endswith("MB stalled")
    screen.move(watch, 1, sent=sent)
    line = screen.line()
    assert "stalled" not in line
    assert "kB/s" in line


def test_a_server_that_is_waited_for(screens: Screens) -> None:
    screen = screens()
    screen.watch()
    screen.wait(0.2)
    assert "waiting" not in screen.line()
    screen.wait(STALLED_AFTER + 0.2)
    assert screen.line().endswith(" waiting")


def test_all_there_and_not_verified(screens: Screens) -> None:
    screen = screens(40)
    screen.move(screen.watch(), 1, SIZE)
    assert screen.line().endswith("verifying")


def test_a_line_now_and_then(screens: Screens) -> None:
    screen = screens(TERM="dumb")
    watch = screen.watch()
    sent = screen.move(watch, round(PRINTED_EVERY) - 1)
    assert screen.sent() == ""
    screen.move(watch, 12, sent=sent)
    sent_to = screen.sent()
    assert "\x1b" not in sent_to
    assert len(sent_to.splitlines()) == 2
    assert re.fullmatch(rf"{NAME}  10% 10.2/100.0 MB 1.0 MB/s 0:01:30 *", sent_to.splitlines()[0])
    error = NotFound("no such file").at("there", "a")
    screen.report.failed("a", error, parse_url("ft://host/a"))
    assert screen.sent() == "ft: ft://host/a: no such file\r\n"


def test_without_colour(screens: Screens) -> None:
    screen = screens(NO_COLOR="1")
    screen.move(screen.watch(), 4)
    codes = set(re.findall(r"\x1b\[[0-9;?]*[A-Za-z]", screen.sent()))
    assert codes == {"\x1b[0K"}


def test_a_terminal_of_ascii(screens: Screens) -> None:
    screen = screens(64, "ascii")
    screen.move(screen.watch("é" * 5), 4)
    line = screen.line()
    assert line.startswith("\\u00e9\\u00e9")
    assert "\\u2026" not in line
    assert len(line) < 62


def test_something_is_said_meanwhile(screens: Screens) -> None:
    """It stands on a line of its own, and the bar is below it again."""
    screen = screens()
    watch = screen.watch()
    screen.move(watch, 1)
    screen.sent()
    screen.report.say("something")
    assert screen.sent() == "\r\x1b[2Kft: something\r\n"
    screen.move(watch, 1)
    assert NAME in screen.line()


def test_it_is_gone_at_the_end(screens: Screens) -> None:
    screen = screens()
    screen.move(screen.watch(), 1)
    screen.sent()
    screen.report.end_bar()
    assert screen.sent() == "\r\x1b[2K"
    screen.wait(60)
    assert screen.sent() == ""
    assert not screen.clock.getDelayedCalls()
