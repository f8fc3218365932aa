"""Servers that name things without end: what is only told is counted, the rest has a bound."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from tests.kit.planting import result_of
from tests.kit.saying import ROOT, described
from tests.kit.tree_peers import Fetching
from twisted_ft.cli.options import CommandOptions
from twisted_ft.cli.report import Report
from twisted_ft.cli.tree_report import TreeReport
from twisted_ft.errors import NotAFile, ProtocolError, Unsupported
from twisted_ft.trees import comparing, results
from twisted_ft.trees.deliveries import Tally, failed
from twisted_ft.urls import parse_url
from twisted_ft.wire.messages import Parcel, Part


def test_small_files_that_never_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MOST_AWAITED", 100)
    fetching = Fetching(tmp_path / "t")
    fetching.parcel(ROOT)
    fetching.parcel(*(described(b"%d" % number) for number in range(100)))
    assert not fetching.done.called
    fetching.say(Parcel(6, 1, b"", (Part(b"", (described(b"one more"),)),)))
    with pytest.raises(ProtocolError, match="without end"):
        result_of(fetching.done)


def test_what_is_left_out_is_counted_and_ten_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = TreeReport(
        Report(CommandOptions(), Clock()), "t", parse_url("ft://h/t"), Tally(), dry_run=False
    )
    for number in range(1000):
        report.take([failed(f"link{number}", 0, NotAFile("a link"), "left out")])
    assert max(len(each) for each in vars(report).values() if isinstance(each, list)) == 10
    assert report.summary(None) == 0
    told = capsys.readouterr().out
    assert "1,000 left out" in told
    assert "link9, ..." in told


def test_a_comparison_has_a_bound() -> None:
    found = comparing.Comparison(room=100)
    found.keep(b"name")
    with pytest.raises(Unsupported, match="nothing is removed"):
        found.keep(b"name")
