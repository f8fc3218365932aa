"""``idle.py PORT COUNT``: connect so often to a server, greet, say ``ready``, and do nothing."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.task import react

from twisted_ft import Client, connect

_AT_ONCE = 50
"""Connections that are being made at any time."""


async def main(reactor: Any, port: str, count: str) -> None:
    """Connect, and stay."""
    url = f"ft://127.0.0.1:{port}/"
    places = DeferredSemaphore(_AT_ONCE)

    def one() -> Deferred[Client]:
        return connect(url, reactor=reactor)

    clients = await gatherResults([places.run(one) for _ in range(int(count))])
    print("ready", flush=True)
    await Deferred()
    del clients


react(main, sys.argv[1:])
