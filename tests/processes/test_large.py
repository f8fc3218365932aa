"""A file past 4 GiB, really moved: no length in it fits 32 bits."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import ft

SIZE = (4 << 30) + 5
MARKS = {0: b"begin", (1 << 32) - 2: b"edge", SIZE - 3: b"end"}


def _memory() -> int:
    """Bytes that programs can still have (MemAvailable in proc(5))."""
    match = re.search(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text())
    return int(match[1]) << 10 if match else 0


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for it; in memory, where there is enough, as a disk takes long to sync."""
    in_memory = Path("/dev/shm")
    folder = tmp_path
    if in_memory.is_dir() and min(_memory(), shutil.disk_usage(in_memory).free) > 2 * SIZE:
        folder = in_memory
    if shutil.disk_usage(folder).free < SIZE:
        pytest.skip("there is no room for 4 GiB")
    with tempfile.TemporaryDirectory(dir=folder) as path:
        yield Path(path)


@pytest.mark.slow
def test_more_than_4_gib(place: Place, roomy: Path) -> None:
    with (place.folder / "large").open("wb") as file:
        for position, mark in MARKS.items():
            file.seek(position)
            file.write(mark[: SIZE - position])
    line = ft("get", "--json", place.url("large"), roomy).ok().line
    assert (line["status"], line["size"], line["sent"]) == ("done", SIZE, SIZE)
    assert (roomy / "large").stat().st_size == SIZE
    with (roomy / "large").open("rb") as file:
        for position, mark in MARKS.items():
            file.seek(position)
            assert file.read(len(mark)) == mark
