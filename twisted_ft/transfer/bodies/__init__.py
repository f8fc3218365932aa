"""The bytes of a file, on their way out of a store and into one."""
