"""``waiting.py GATE READY WORDS...``: the ``ft`` command, which waits when all is imported.

Adds a byte to the file READY, and begins when someone opens the FIFO GATE to write.
"""

from __future__ import annotations

import sys
from importlib import import_module

from twisted_ft.cli.main import main

for name in ("twisted.internet.reactor", "twisted_ft.cli.run", "twisted_ft.cli.transfers"):
    import_module(name)
gate, ready = sys.argv[1:3]
sys.argv[1:3] = []
with open(ready, "ab", buffering=0) as file:
    file.write(b".")
with open(gate, "rb"):
    main()
