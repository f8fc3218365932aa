"""What tests look at that a client keeps to itself."""

from __future__ import annotations

from twisted_ft import Client
from twisted_ft.client_connection import ClientConnection


def connection_of(client: Client) -> ClientConnection:
    """What is under way on a client's connection."""
    return client._connection
