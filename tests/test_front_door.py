"""What users import, and what that costs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import twisted_ft


def test_what_is_at_the_front_door() -> None:
    assert sorted(twisted_ft.__all__) == [
        "Attributes",
        "Capabilities",
        "Client",
        "Delivery",
        "Entry",
        "FileTransferError",
        "FileTransferFactory",
        "ISink",
        "ISource",
        "IStore",
        "LocalStore",
        "MemoryFile",
        "MemoryStore",
        "PersistentClient",
        "ReadOnlyStore",
        "Runtime",
        "Sink",
        "Source",
        "Store",
        "StoreWrapper",
        "TreeOptions",
        "__version__",
        "connect",
    ]


@pytest.mark.parametrize("name", twisted_ft.__all__)
def test_all_of_it_is_there(name: str) -> None:
    assert getattr(twisted_ft, name) is not None


def test_nothing_else_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Manager'"):
        _ = twisted_ft.Manager


def loaded_by(program: str) -> set[str]:
    """The modules that a new process has loaded at the end of ``program``."""
    shown = f"{program}\nimport sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "module", ["twisted_ft", "twisted_ft.cli.main", "twisted_ft.wire.messages"]
)
def test_what_is_slow_to_load_is_loaded_late(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert module in loaded
    assert not {"twisted.internet.reactor", "OpenSSL"} & loaded


def test_no_import_installs_a_reactor() -> None:
    loaded = loaded_by("from twisted_ft import *; from twisted_ft import tap, testing")
    assert "twisted_ft.connecting" in loaded
    assert "twisted.internet.reactor" not in loaded
