"""Places for files: a folder, memory, and the interface for any other.

A store is plain, blocking Python; the transfer layer calls it in threads, one call at a
time for each source and sink, so that the reactor never waits for it.
"""
