"""One ``ft`` command in a process that was forked with everything imported.

It is started like this and not anew because it takes Python longer to import Twisted than most
tests take.  What has to do with how a program starts, is interrupted or killed, or with what it is
connected to, is tried on programs that are started anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

State = Literal["closed", "full", "left", "ascii"]
"""What may be the matter with a standard stream; ``left`` is a pipe that nobody reads."""
_NAMES = ("stdin", "stdout", "stderr")

_forking = get_context("forkserver")
_forking.set_forkserver_preload(["twisted_ft.cli.transfers", "twisted_ft.cli.listings"])


def run(
    args: list[str],
    cwd: Path,
    out: Path,
    err: Path,
    seconds: float,
    states: Mapping[int, State] | None = None,
) -> int:
    """Run ``ft`` with ``args``; its exit status.

    :param out: a file for what it says on standard output
    :param err: the same for standard error
    :param seconds: to wait for it, before it is killed
    :param states: what is the matter with a standard stream, by its descriptor
    """
    process = _forking.Process(target=_be_ft, args=(args, cwd, out, err, dict(states or {})))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
    process.join()
    status = process.exitcode
    process.close()
    assert status is not None
    return status


def _be_ft(args: list[str], cwd: Path, out: Path, err: Path, states: dict[int, State]) -> None:
    os.chdir(cwd)
    for number, path in enumerate((Path(os.devnull), out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(encoding="utf-8")
    for number, state in states.items():
        _spoil(number, state)
    sys.argv = ["ft", *args]
    from twisted_ft.cli.main import main

    main()


def _spoil(number: int, state: State) -> None:
    """Have something be the matter with a standard stream, as Python finds it when it starts."""
    stream = getattr(sys, _NAMES[number])
    if state == "closed":
        os.close(number)
        setattr(sys, _NAMES[number], None)
    elif state == "full":
        os.dup2(os.open("/dev/full", os.O_RDWR), number)
    elif state == "left":
        reading, writing = os.pipe()
        os.dup2(writing, number)
        os.close(writing)
        os.close(reading)
    else:
        stream.reconfigure(encoding="ascii")
