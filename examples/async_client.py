"""Downloads files, side by side: python async_client.py ft://HOST FOLDER NAME..."""

import sys
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from twisted_ft import Client, FileTransferError, connect


async def fetch(client: Client, name: str, folder: str) -> bool:
    try:
        delivery = await client.get(name, folder + "/")
    except FileTransferError as error:
        print(error.text, file=sys.stderr)
        return False
    print(f"{delivery.path}: {delivery.size} bytes, {delivery.status}")
    return True


async def main(reactor: Any, url: str, folder: str, *names: str) -> None:
    try:
        async with await connect(url, reactor=reactor) as client:
            fetches = [Deferred.fromCoroutine(fetch(client, name, folder)) for name in names]
            fetched = await gatherResults(fetches)
    except (FileTransferError, ValueError) as error:  # no connection, or no URL
        raise SystemExit(str(error)) from None
    raise SystemExit(not all(fetched))


if __name__ == "__main__":
    react(main, sys.argv[1:])
