"""``twistd filetransfer``."""

from twisted.application.service import ServiceMaker

filetransfer = ServiceMaker(
    "File transfer",
    "twisted_ft.tap",
    "Serve files over TCP: resumed, verified, atomic.",
    "filetransfer",
)
