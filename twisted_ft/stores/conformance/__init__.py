"""The suite that any store must pass: see ``suite.py``."""

from twisted_ft.stores.conformance.suite import StoreConformance

__all__ = ["StoreConformance"]
