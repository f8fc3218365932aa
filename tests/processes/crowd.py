"""A hundred downloads at once from one program: ``python crowd.py URL FOLDER COUNT``."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from twisted_ft import connect
from twisted_ft.urls import parse_url


async def _get(reactor: Any, url: str, dest: str) -> str:
    client = await connect(url, reactor=reactor)
    async with client:
        return (await client.get(parse_url(url).path, dest)).status


async def _main(reactor: Any, url: str, folder: str, count: str) -> None:
    gets = [
        Deferred.fromCoroutine(_get(reactor, url, f"{folder}/{number}"))
        for number in range(int(count))
    ]
    statuses = await gatherResults(gets, consumeErrors=True)
    sys.stdout.write(" ".join(statuses))


if __name__ == "__main__":
    react(lambda reactor, *args: Deferred.fromCoroutine(_main(reactor, *args)), sys.argv[1:])
