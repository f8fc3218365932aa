"""A Twisted service of one's own that also takes files, beside a web page that names them.

twistd -ny examples/inbox.tac
"""

import os

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.web.server import Site
from twisted.web.static import File

from twisted_ft import FileTransferFactory, LocalStore


class Arrived(File):
    """A folder without the files that are still on their way: their names begin with .ft-"""

    def listNames(self):
        return [name for name in super().listNames() if not name.startswith(".ft-")]

    def getChild(self, path, request):
        return self.childNotFound if path.startswith(b".ft-") else super().getChild(path, request)


folder = os.environ.get("INBOX", "inbox")
os.makedirs(folder, exist_ok=True)
files = FileTransferFactory(LocalStore(folder), writable=True, overwrite=False)
application = Application("inbox")
for variable, default, factory in (
    ("INBOX_FILES", "tcp:22222:interface=127.0.0.1", files),
    ("INBOX_WEB", "tcp:8080:interface=127.0.0.1", Site(Arrived(folder))),
):
    service(os.environ.get(variable, default), factory).setServiceParent(application)
