"""One connection: the protocol, its two sides, its timers, and who takes part in it."""
