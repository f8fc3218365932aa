"""Standard input, output and error, whatever they are: open or closed, full, ASCII, or left early.

What a command does isn't stopped by that; its exit status tells of it.
"""

from __future__ import annotations

import io
import locale
import os
import select
import sys
from typing import Any, TextIO

from twisted_ft.terminal import ENCODING_ERRORS, printable

_STREAMS = (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_RDONLY))
"""By descriptor: the name in ``sys``, and how /dev/null is opened in place of a closed one, so that
its use fails as before (as gnulib's stdopen does it)."""
_NAMES = {1: "standard output", 2: "standard error"}


class Output(io.FileIO):
    """A descriptor for output that never fails: what it couldn't take is dropped, and known of."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.failure: OSError | None = None
        """the first; from then on all is dropped"""
        self.excused = False
        """whether nothing need be said of it"""

    def write(self, data: Any) -> int:
        """See RawIOBase; waits where somebody has made the descriptor non-blocking."""
        size = memoryview(data).nbytes
        while self.failure is None:
            try:
                written: int | None = super().write(data)
            except OSError as error:
                self.failure = error
                break
            if written is not None:
                return written
            select.select([], [self], [])
        return size


def open_streams() -> None:
    """Have all three, before anything else is opened and takes the place of a closed one.

    Output goes through an ``Output``; characters that its encoding doesn't have are escaped.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free: this one
        if number in _NAMES:
            setattr(sys, name, _text(number, getattr(sys, name)))


def _text(number: int, before: TextIO | None) -> TextIO:
    """What is in ``sys`` in place of ``before``, which is None where it was closed."""
    encoding = before.encoding if before is not None else locale.getpreferredencoding(False)
    raw = Output(number)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding,
        ENCODING_ERRORS,
        line_buffering=number == 2 or raw.isatty(),
    )


def encodable(text: str) -> str:
    """``text`` as standard error shows it, where its width counts."""
    encoding = sys.stderr.encoding or "utf-8"
    return text.encode(encoding, ENCODING_ERRORS).decode(encoding)


def leave_off() -> bool:
    """Whether no more need be printed: whoever read standard output has enough, or it is full."""
    output = _output(sys.stdout)
    if output is None or output.failure is None:
        return False
    output.excused = isinstance(output.failure, BrokenPipeError)
    return True


def status_with_output(status: int) -> int:
    """``status``, or 1 where it would be 0, and something couldn't be said: that is said."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        output = _output(stream)
        if output is None or output.failure is None:
            continue
        status = status or 1
        if not output.excused:
            reason = printable(output.failure.strerror or str(output.failure))
            print(f"ft: {_NAMES[output.fileno()]}: {reason}", file=sys.stderr)
    return status


def _output(stream: TextIO) -> Output | None:
    """What is below a stream that ``open_streams`` has opened."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Output) else None
