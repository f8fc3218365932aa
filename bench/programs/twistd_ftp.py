"""``twistd``, whose ftp server, which knows of no addresses, listens on 127.0.0.1 only."""

from __future__ import annotations

from functools import partial

from twisted.application import internet
from twisted.scripts.twistd import run

setattr(internet, "TCPServer", partial(internet.TCPServer, interface="127.0.0.1"))  # noqa: B010
run()
