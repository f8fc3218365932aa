"""A Twisted service of one's own that also takes files, beside a web page that names them.

twistd -ny examples/inbox.tac
"""

import os

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.server import Site
from twisted.web.static import File

from twisted_ft import FileTransferFactory, LocalStore

folder = os.environ.get("INBOX", "inbox")
os.makedirs(folder, exist_ok=True)
files = FileTransferFactory(LocalStore(folder), writable=True, overwrite=False)

application = Application("inbox")
for variable, default, factory in (
    ("INBOX_FILES", "tcp:22222:interface=127.0.0.1", files),
    ("INBOX_WEB", "tcp:8080:interface=127.0.0.1", Site(File(folder))),
):
    endpoint = serverFromString(reactor, os.environ.get(variable, default))
    StreamServerEndpointService(endpoint, factory).setServiceParent(application)
