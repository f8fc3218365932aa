"""Uploads a file, and lists where it went: python inline_callbacks_client.py FILE ft://HOST"""

import sys
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import react

from twisted_ft import FileTransferError, connect


@inlineCallbacks
def main(reactor: Any, path: str, url: str) -> Generator[Deferred[Any], Any, None]:
    try:
        client = yield connect(url, reactor=reactor)
        try:
            delivery = yield client.put(path, progress=lambda now: print(f"{now.position} bytes"))
            print(f"{delivery.path}: {delivery.status}, {delivery.blake3}")
            for entry in (yield client.list()):
                print(entry.path.decode(errors="backslashreplace"), entry.size)
        finally:
            yield client.close()
    except (FileTransferError, ValueError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    react(main, sys.argv[1:])
