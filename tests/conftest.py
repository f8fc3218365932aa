"""For all tests: Ctrl-C can be pressed, wherever they were started."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it runs behind
    signal.signal(signal.SIGINT, signal.default_int_handler)
