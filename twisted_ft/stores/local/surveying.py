"""What is in a folder, looked at all at once: the states of its plain files."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from stat import S_ISREG

from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.names import PARTIAL
from twisted_ft.stores.states import TIME_MAX, States, time_said
from twisted_ft.wire.messages import SUM_LIMIT, Summed


def survey(folder: Folder, most: int) -> tuple[list[bytes], list[bytes]] | None:
    """The names of the plain files in a folder, sorted, and of what else is in it.

    Partial files are not named.

    :returns: None, where there are over ``most`` of both
    """
    found = folder.survey(most)
    if found is None:
        return None
    plain, others = found
    return _finished(plain), _finished(others)


def _finished(names: list[bytes]) -> list[bytes]:
    """Those that are not of partial files, sorted."""
    names.sort()
    first = bisect_left(names, b".ft-")
    if not (first < len(names) and names[first].startswith(b".ft-")):
        return names
    return [name for name in names if not (name.startswith(b".ft-") and PARTIAL.fullmatch(name))]


def states_of(folder: Folder, names: list[bytes]) -> States:
    """The states of the plain files that have these names, which are sorted; of others none."""
    try:
        found = folder.states(names)
    except OSError:  # mostly: one is gone since
        names, found = _those_that_are_there(folder, names)
    if not found:
        return States([], (), (), ())
    modes, sizes, mtimes = zip(*found, strict=True)
    if not all(map(S_ISREG, {*modes})):
        return states_of(
            folder, [name for name, mode in zip(names, modes, strict=True) if S_ISREG(mode)]
        )
    if not -TIME_MAX <= min(mtimes) <= max(mtimes) <= TIME_MAX:
        mtimes = tuple(map(time_said, mtimes))
    return States(names, sizes, mtimes, modes)


def _those_that_are_there(
    folder: Folder, names: list[bytes]
) -> tuple[list[bytes], list[tuple[int, int, int]]]:
    """The names of those that can be looked at, and how they are."""
    found = {}
    for name in names:
        with suppress(OSError):
            (found[name],) = folder.states((name,))
    return [*found], [*found.values()]


def all_of(folder: Folder, item: Summed) -> States | None:
    """The states of the plain files in a folder, if they are those that were summed, and no more.

    Where there are more or fewer of them, none is looked at; nor where they may not be listed.
    """
    try:
        found = survey(folder, SUM_LIMIT)
    except PermissionError:
        return None
    if found is None or len(found[0]) != item.files:
        return None
    states = states_of(folder, found[0])
    return states if states.summed(item.name) == item and not states.any_says_nothing else None
