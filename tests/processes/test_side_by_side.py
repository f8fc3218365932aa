"""Several programs at once: none gets in another's way, and none mixes with another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.kit.places import Place
from tests.kit.programs import kept_in, outcome, start_ft, wait_until


def test_two_uploads_of_one_name(place: Place, tmp_path: Path) -> None:
    contents = [os.urandom(3_000_000), os.urandom(2_000_000)]
    processes = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
        source = tmp_path / str(number)
        processes.append(start_ft("put", "--json", "--limit-rate", "4M", source, place.url("a")))
    outcomes = [outcome(each) for each in processes]
    statuses = [each.line["status"] for each in outcomes]
    assert "done" in statuses
    for each in outcomes:
        assert each.line["status"] == "done" or each.line["code"] == "busy"
    assert (place.folder / "a").read_bytes() in [
        content for content, status in zip(contents, statuses, strict=True) if status == "done"
    ]
    assert os.listdir(place.folder) == ["a"]


def test_an_upload_of_a_name_that_is_on_its_way(place: Place, tmp_path: Path) -> None:
    """The second waits for the first, and says so."""
    (tmp_path / "a").write_bytes(os.urandom(3 << 20))
    (tmp_path / "b").write_bytes(b"b")
    first = start_ft("put", "--limit-rate", "2M", tmp_path / "a", place.url("name"))
    wait_until(lambda: kept_in(place.folder) > 0)
    second = start_ft("put", "--json", tmp_path / "b", place.url("name"))
    outcome(first).ok()
    waited = outcome(second)
    assert waited.line["status"] == "done"
    assert "trying again in 1 s (1 of 5)" in waited.err
    assert "another transfer to this name is running" in waited.err
    assert (place.folder / "name").read_bytes() == b"b"


def test_an_upload_that_has_gone_silent_is_carried_on(place: Place, tmp_path: Path) -> None:
    """Within five seconds, though its client is there still and says nothing."""
    (tmp_path / "a").write_bytes(os.urandom(8 << 20))
    silent = start_ft("put", "--limit-rate", "2M", tmp_path / "a", place.url("name"))
    wait_until(lambda: kept_in(place.folder) > 0)
    silent.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        again = outcome(start_ft("put", "--json", tmp_path / "a", place.url("name")))
        assert time.monotonic() - began < 5
        assert again.line["status"] == "done"
        assert again.line["resumed_from"] > 0
        assert (place.folder / "name").read_bytes() == (tmp_path / "a").read_bytes()
    finally:
        silent.kill()
        silent.communicate()


def test_two_downloads_to_one_name(place: Place, tmp_path: Path) -> None:
    """The second waits for the first, and finds the file there."""
    content = os.urandom(3 << 20)
    url = place.file("a", content)
    first = start_ft("get", "--limit-rate", "2M", url, tmp_path)
    wait_until(lambda: kept_in(tmp_path) > 0)
    second = start_ft("get", "--json", url, tmp_path)
    outcome(first).ok()
    waited = outcome(second)
    assert waited.line["status"] == "skipped"
    assert "another transfer to this name is running" in waited.err
    assert (tmp_path / "a").read_bytes() == content


def test_a_hundred_downloads(place: Place, tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    url = place.file("a", content)
    crowd = subprocess.run(
        [sys.executable, Path(__file__).with_name("crowd.py"), url, tmp_path, "100"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert crowd.stdout.split() == ["done"] * 100
    assert len(os.listdir(tmp_path)) == 100
    assert all((tmp_path / each).read_bytes() == content for each in os.listdir(tmp_path))
