"""FT/1 as plain Python: bytes in, events out, and back.  No sockets, clocks or disks."""
