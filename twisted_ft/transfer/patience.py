"""What an end announces of itself in its greeting."""

from __future__ import annotations

from msgspec.structs import replace

from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.messages import Limits

_LONGEST = 2**31 - 1


def limits(timeout: object) -> Limits:
    """The limits of an end that waits ``timeout`` seconds for the other side's word.

    :raises ValueError: that is no whole number of seconds, or less than one
    """
    if not isinstance(timeout, int) or not 1 <= timeout <= _LONGEST:
        raise ValueError(f"a timeout is a whole number of seconds, 1 or more, not {timeout!r}")
    return replace(DEFAULT_LIMITS, silence=timeout)
