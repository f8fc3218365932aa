"""Which version of the software this is; ``setup.cfg`` reads it from here."""

VERSION = "0.1.0"
AGENT = f"twisted-ft/{VERSION}"
"""How it introduces itself to its peers."""
