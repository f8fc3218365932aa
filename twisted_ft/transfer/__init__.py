"""The protocol at work: it moves bytes between a transport, the tables and a store."""
