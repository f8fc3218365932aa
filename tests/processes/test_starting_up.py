"""What a command loads: no more than it uses, as nothing takes longer in a short one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import PATIENCE, environment

NOTING = """
import atexit, sys
noted = open(sys.argv.pop(1), "w")
atexit.register(lambda: print(*(name for name in sys.modules if sys.modules[name]), file=noted))
from twisted_ft.cli.main import main
main()
"""
COMPLETING = {"_FT_COMPLETE": "bash_complete", "FT_LINE": "ft g", "FT_WORD": "g"}


def loaded_by(folder: Path, *args: str | Path, status: int = 0) -> set[str]:
    """The modules that ``ft`` with ``args``, started anew and not on a terminal, has at its end.

    Without any, a shell asks it to complete ``ft g``.
    """
    noted = folder / "modules"
    command = [sys.executable, "-c", NOTING, str(noted), *map(str, args)]
    ended = subprocess.run(
        command,
        check=False,
        env=environment(**(COMPLETING if not args else {})),
        capture_output=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == status, ended
    return set(noted.read_text().split())


def packages(modules: set[str]) -> set[str]:
    """The top-level names."""
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("args", [["--help"], ["get", "--help"], ["completion", "bash"], []])
def test_help_and_completion_load_nothing_slow(tmp_path: Path, args: list[str]) -> None:
    loaded = loaded_by(tmp_path, *args)
    assert "click" in loaded
    slow = {"twisted", "zope", "asyncio", "ssl", "OpenSSL", "msgspec", "blake3", "rich"}
    assert not slow & packages(loaded)


def test_a_plain_download_loads_only_what_it_uses(place: Place, tmp_path: Path) -> None:
    loaded = loaded_by(tmp_path, "get", place.file("a", b"hello"), tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"hello"
    assert "twisted.internet.reactor" in loaded
    assert not {"OpenSSL", "cryptography", "service_identity", "rich"} & packages(loaded)
    unused = {"server", "tap", "lab", "testing", "stores.memory", "stores.conformance"}
    assert not {f"twisted_ft.{name}" for name in unused} & loaded
    assert not [name for name in loaded if name.startswith("twisted.web")]
    assert "urllib.request" not in loaded  # which Twisted imports with cookies


@pytest.mark.parametrize(
    "urls",
    [["fts://127.0.0.1:1/a"], ["ft://127.0.0.1:1/a", "fts://127.0.0.1:1/b"]],
)
def test_tls_is_there_where_it_is_asked_for(tmp_path: Path, urls: list[str]) -> None:
    loaded = loaded_by(tmp_path, "get", *urls, f"{tmp_path}/", status=1)
    assert "OpenSSL" in packages(loaded)
