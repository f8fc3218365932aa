"""What holds for a whole command, once it has been typed."""

from __future__ import annotations

from dataclasses import dataclass

INTERRUPTED = 130
"""The exit status after Ctrl-C: 128 + SIGINT, as shells count."""


@dataclass(frozen=True)
class CommandOptions:
    """What holds for a whole command."""

    quiet: bool = False
    json: bool = False
    verbose: bool = False
    """whether each step to a connection is told of"""
    progress: bool = True
    timeout: int = 30
    """seconds"""
    tls_ca: str | None = None
    limit_rate: float | None = None
    """bytes a second"""
    retries: int = 0
    """tries in a row that may bring nothing"""
    durable: bool = True
    """whether files are synced before they are called done"""
