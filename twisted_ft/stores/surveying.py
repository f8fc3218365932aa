"""What is in a folder, looked at all at once: the states of its plain files."""

from __future__ import annotations

from bisect import bisect_left

from twisted_ft.stores.folder import Folder
from twisted_ft.stores.names import PARTIAL
from twisted_ft.stores.states import States
from twisted_ft.stores.system import TIME_MAX, time_said
from twisted_ft.wire.messages import SUM_LIMIT, Summed

_FORMAT, _PLAIN = 0o170000, 0o100000
"""S_IFMT and S_IFREG; stat.S_ISREG takes as long as all else that is done with a file here."""


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
    found = States(names)
    sizes, mtimes, modes = found.sizes, found.mtimes, found.modes
    stat, other = folder.stat_each, set()
    for name in names:
        try:
            status = stat(name)
        except OSError:
            other.add(name)
            continue
        mode = status.st_mode
        if mode & _FORMAT != _PLAIN:
            other.add(name)
            continue
        modes.append(mode)
        sizes.append(status.st_size)
        mtimes.append(status.st_mtime_ns)
    if other:
        found.names = [name for name in names if name not in other]
    if mtimes and not -TIME_MAX <= min(mtimes) <= max(mtimes) <= TIME_MAX:
        found.mtimes = [time_said(mtime) for mtime in mtimes]
    return found


def all_of(folder: Folder, item: Summed) -> States | None:
    """The states of the plain files in a folder, if they are those that were summed, and no more.

    Where there are more or fewer of them, none is looked at.
    """
    found = survey(folder, SUM_LIMIT)
    if found is None or len(found[0]) != item.files:
        return None
    states = states_of(folder, found[0])
    return states if states.summed(item.name) == item else None
