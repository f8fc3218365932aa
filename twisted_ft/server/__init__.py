"""The server: who is at the other end, what they may, what they hold, and who is told of it."""

from twisted_ft.server.events import Event
from twisted_ft.server.factory import FileTransferFactory
from twisted_ft.server.journal import AuditTrail
from twisted_ft.server.rights import CHANGING, EVERYTHING, NOTHING, READING, Right
from twisted_ft.server.session import Peer, Session

__all__ = [
    "AuditTrail",
    "CHANGING",
    "EVERYTHING",
    "Event",
    "FileTransferFactory",
    "NOTHING",
    "Peer",
    "READING",
    "Right",
    "Session",
]
