"""The server's end: the factory, who is at the other end, what they may, and what is told of it."""

from twisted_ft.server.factory import FileTransferFactory

__all__ = ["FileTransferFactory"]
