"""A command that goes on after its server was killed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tests.kit.programs import Server, outcome, start_ft, wait_until


def test_a_server_is_killed_amid_a_tree_and_started_again(tmp_path: Path) -> None:
    """The command that was running ends with exit status 0, and has told of each file once."""
    root, tree = tmp_path / "root", tmp_path / "tree"
    root.mkdir()
    # what is told of so few fits into a pipe that nobody reads yet
    names = [f"d{folder}/f{file}" for folder in range(5) for file in range(40)]
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(os.urandom(20_000))
    (tree / "large").write_bytes(os.urandom(4 << 20))
    with Server(root, "--writable") as server:
        url, port = server.url("up"), server.port
        process = start_ft("put", "-r", "--json", "--limit-rate", "3M", tree, url)
        wait_until((root / "up" / "d1").exists)
        server.process.kill()
    assert process.stderr is not None
    said = [process.stderr.readline(), process.stderr.readline()]
    with Server(root, "--writable", listen=f"tcp:{port}:interface=127.0.0.1"):
        done = outcome(process)
    assert done.status == 0, done
    assert said[0].endswith("; trying again in 1 s (1 of 5)\n")
    assert "refused; trying again in 2 s (2 of 5)" in said[1]
    *files, account = map(json.loads, done.out.splitlines())
    assert sorted(each["path"] for each in files) == sorted(f"up/{n}" for n in [*names, "large"])
    assert account["done"] + account["skipped"] == len(names) + 1
    for name in [*names, "large"]:
        assert (root / "up" / name).read_bytes() == (tree / name).read_bytes()


def test_a_mistyped_port_fails_soon(tmp_path: Path) -> None:
    began = time.monotonic()
    failed = outcome(start_ft("get", "ft://127.0.0.1:1/a", tmp_path))
    assert time.monotonic() - began < 2
    assert failed.sentence.startswith("127.0.0.1:1: the connection was refused")
