"""What two ends do with each other: each exchange is a coroutine that says and hears."""
