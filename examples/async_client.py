"""Downloads files, side by side: python async_client.py ft://HOST FOLDER NAME..."""

import sys
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.task import react

from twisted_ft import FileTransferError, connect


async def main(reactor: Any, url: str, folder: str, *names: str) -> None:
    try:
        async with await connect(url, reactor=reactor) as client:
            deliveries = await gatherResults(
                [client.get(name, folder + "/") for name in names], consumeErrors=True
            )
    except FileTransferError as error:
        raise SystemExit(error.text) from None
    for delivery in deliveries:
        print(f"{delivery.path}: {delivery.size} bytes, {delivery.status}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
