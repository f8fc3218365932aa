"""A thread has the socket for a while: what goes past the reactor, and comes past it."""
