"""Whole trees: small files together, large ones by themselves, and a stream of results."""

from twisted_ft.trees.deliveries import Deliveries
from twisted_ft.trees.options import TreeOptions

__all__ = ["Deliveries", "TreeOptions"]
