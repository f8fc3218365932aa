"""The lab exchange, both ends: with the programs of the exercise that this project grew from.

``docs/lab.md`` has what goes over the wire, and its limits.
"""

from twisted_ft.lab.client import lab_location, receive_from_lab
from twisted_ft.lab.server import LabServerFactory
from twisted_ft.lab.stream import Ambiguous

__all__ = ["Ambiguous", "LabServerFactory", "lab_location", "receive_from_lab"]
