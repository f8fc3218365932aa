"""What the tests share: stores that are watched, trees, peers, sockets and programs."""
