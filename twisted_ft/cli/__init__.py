"""The ``ft`` command."""
