"""What is left in folders of files that didn't arrive: found, let go of, and swept away.

That is what is kept for a later run (``partial.py``), and what killed processes have left of small
files and of new folders (``staging.py``).  What somebody is at work on is locked, and stays; and
what isn't this user's own isn't part of it.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from heapq import heappop, heappush
from typing import NamedTuple

from twisted_ft.errors import Busy, FileTransferError
from twisted_ft.stores import system
from twisted_ft.stores.local.descent import folders_below
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.joined import apart, joined
from twisted_ft.stores.local.own import is_ours, read_record
from twisted_ft.stores.local.record import Record, record_of
from twisted_ft.stores.local.removal import Removal
from twisted_ft.stores.names import PARTIAL
from twisted_ft.terminal import escaped

OWN_NAME = re.compile(rb"\.ft-[0-9a-f]{32}\.part")
"""What files are called here while they are on their way."""
_OWN = re.compile(rb"\.ft-[0-9a-f]{32}\.(part|from)")
_STAGED = re.compile(rb"\.ft-0{26}[0-9a-f]{6}\.part")
"""Small files that who has the lock on their folder writes; see StagingFolder."""
_MOST_OLDEST = 1024
"""Things that are remembered, at once, as the oldest: some MB, where their paths are long."""
_AT_WORK = 600 * 10**9
"""Nanoseconds for which nobody can tell whether something without a record is still being written:
small files are, under names like those, where several trees go into one folder at once.  A sync of
theirs can take minutes."""


class Kept(NamedTuple):
    """One thing that is left in a folder."""

    part: bytes
    """what it is called itself"""
    name: bytes
    """what it is to be called; where that isn't known, what it is called itself"""
    size: int
    """bytes"""
    changed: int
    """when it last did, in nanoseconds since 1970, by this system's clock"""
    mode: int

    @property
    def is_unsure(self) -> bool:
        """Whether it may be written by somebody who has no lock on it."""
        if self.name != self.part or stat.S_ISDIR(self.mode) or _STAGED.fullmatch(self.part):
            return False
        return self.changed > time.time_ns() - _AT_WORK


def look(folder: Folder, part: bytes) -> Kept | None:
    """What is called ``part`` in a folder; None where it is none of ours, or gone."""
    try:
        status = folder.stat(part)
        if not _is_ours(folder, status):
            return None
        name, size = part, status.st_size
        if stat.S_ISDIR(status.st_mode):
            size = _size_below(folder, part)
        elif not stat.S_ISREG(status.st_mode):
            return None
        elif OWN_NAME.fullmatch(part):
            record = Record.read(read_record(folder, record_of(part)))
            if record is not None and record.belongs_to(part):
                name = record.name
        elif folder.has(part[: -len(b"from")] + b"part"):
            return None  # a record goes with what it is of
    except OSError:
        return None
    return Kept(part, name, size, system.last_change(status), status.st_mode)


def kept_in(folder: Folder) -> Iterator[Kept]:
    """What is left in one folder, in no order."""
    for name in apart(joined(name for name, _ in folder.scan() if _OWN.fullmatch(name))):
        if (found := look(folder, name)) is not None:
            yield found


def kept_sorted(folder: Folder) -> Iterator[Kept]:
    """What is kept in one folder, by what it is to be called; what waits is names only."""
    found = sorted(
        (each.name, each.part) for each in kept_in(folder) if OWN_NAME.fullmatch(each.part)
    )
    for pair in apart(joined(b"%b/%b" % names for names in found)):
        if (each := look(folder, pair.rpartition(b"/")[2])) is not None:
            yield each


def kept_below(top: Folder, deep: bool) -> Generator[tuple[bytes, Kept]]:
    """What is kept in a folder, and where ``deep`` in all below; with the path of its folder.

    :raises OSError: as ``folders_below``
    """
    with closing(folders_below(top)) as folders:
        for path, here in folders:
            if not _is_hidden(path):
                for each in kept_sorted(here):
                    yield path, each
            if not deep:
                return


def let_go(folder: Folder, part: bytes, path: bytes) -> bool:
    """Remove what is kept as ``part``, for a file at ``path``; False where there is nothing.

    :raises Busy: somebody is at work on it
    """
    each = look(folder, part)
    if each is None:
        return False
    with _alone(folder, each) as still:
        if still is not None:
            _remove(folder, still)
            return True
    if look(folder, part) is None:  # it has arrived meanwhile
        return False
    raise Busy(f"{escaped(path)}: a transfer to this name is running; try again when it has ended")


def sweep(
    top: Folder, before: float, total: int, concerns: Callable[[Folder], bool] = lambda _: True
) -> tuple[int, int]:
    """Remove what has last changed before some time, and the oldest of what is beyond ``total``.

    What can't be removed stays.  Where a folder is moved meanwhile, it ends there; the next one
    sees the rest.

    :param before: nanoseconds since 1970
    :param total: bytes
    :param concerns: whether what is in a folder counts
    :returns: how many things were removed, and their bytes
    """
    count = freed = 0
    while True:
        gone, left, oldest, all_seen = _sweep_once(top, before, concerns)
        for changed, path, part in oldest:
            if left <= total:
                break
            size = _remove_at(top, path, part, changed)
            if size is not None:
                gone.append(size)
                left -= size
        count, freed = count + len(gone), freed + sum(gone)
        if all_seen or left <= total or not gone:
            return count, freed


def room_in(top: Folder, concerns: Callable[[Folder], bool]) -> int:
    """Bytes of all that could be removed."""
    size = 0
    with suppress(OSError), closing(_idle(top, concerns)) as idle:
        for _, _, each in idle:
            size += each.size
    return size


def _sweep_once(
    top: Folder, before: float, concerns: Callable[[Folder], bool]
) -> tuple[list[int], int, list[tuple[int, bytes, bytes]], bool]:
    """The sizes of what was old enough to go; bytes of all else, the oldest of it, and whether
    that is all."""
    gone, left, all_seen = list[int](), 0, True
    heap: list[tuple[int, bytes, bytes]] = []
    with suppress(OSError), closing(_idle(top, concerns)) as idle:
        for path, here, each in idle:
            if each.changed <= before:
                with suppress(OSError, FileTransferError):
                    _remove(here, each)
                    gone.append(each.size)
                continue
            left += each.size
            heappush(heap, (-each.changed, path, each.part))
            if len(heap) > _MOST_OLDEST:
                heappop(heap)  # the newest of them
                all_seen = False
    return gone, left, sorted((-changed, path, part) for changed, path, part in heap), all_seen


def _idle(top: Folder, concerns: Callable[[Folder], bool]) -> Generator[tuple[bytes, Folder, Kept]]:
    """All that nobody is at work on, with the folder that it is in; it stays so until the next."""
    with closing(folders_below(top)) as folders:
        for path, here in folders:
            if _is_hidden(path) or not concerns(here):
                continue
            for each in kept_in(here):
                if not each.is_unsure:
                    with _alone(here, each) as still:
                        if still is not None:
                            yield path, here, still


def _remove_at(top: Folder, path: bytes, part: bytes, changed: int) -> int | None:
    """Remove something that hasn't changed since; its bytes, or None where it stays."""
    with (
        suppress(OSError, FileTransferError),
        top.below(path.split(b"/") if path else []) as here,
    ):
        each = look(here, part)
        if each is not None:
            with _alone(here, each) as still:
                if still is not None and still.changed == changed:
                    _remove(here, still)
                    return still.size
    return None


@contextmanager
def _alone(folder: Folder, each: Kept) -> Generator[Kept | None]:
    """It, as it is now, while nobody else is at work on it; None where somebody is."""
    if stat.S_ISDIR(each.mode):
        with folder.below([each.part]) as hidden:
            yield look(folder, each.part) if hidden.lock() else None
    elif _STAGED.fullmatch(each.part):
        with _locked_folder(folder) as locked:
            yield look(folder, each.part) if locked else None
    else:
        with _locked_file(folder, each.part) as locked:
            yield look(folder, each.part) if locked else None


@contextmanager
def _locked_folder(folder: Folder) -> Generator[bool]:
    locked = folder.lock()
    try:
        yield locked
    finally:
        if locked:
            folder.unlock()


@contextmanager
def _locked_file(folder: Folder, name: bytes) -> Generator[bool]:
    """Whether the lock on it could be taken; which Windows has to let go of again at once."""
    try:
        fd, status = folder.open_file(name)
    except PermissionError:  # a small file's own: who is at work on that has no lock on it
        yield True
        return
    except FileNotFoundError:
        yield False
        return
    try:
        locked = system.lock(fd) and folder.is_still(name, status)
        if not system.MOVES_OPEN_FILES:
            os.close(fd)
            fd = -1
        yield locked
    finally:
        if fd >= 0:
            os.close(fd)


def _remove(folder: Folder, each: Kept) -> None:
    """Remove what is locked: the record first, so that none is left alone."""
    if stat.S_ISDIR(each.mode):
        Removal(folder, each.part).run()
        return
    if OWN_NAME.fullmatch(each.part):
        with suppress(OSError):  # somebody else's, or a folder
            folder.remove(record_of(each.part))
    folder.remove(each.part)


def _size_below(folder: Folder, name: bytes) -> int:
    """Bytes in the files of a folder, and of all below it."""
    size = 0
    with folder.below([name]) as top, closing(folders_below(top)) as folders:
        for _, here in folders:
            for below, is_plain in here.scan():
                if is_plain:
                    with suppress(FileNotFoundError):
                        size += here.stat(below).st_size
    return size


def _is_hidden(path: bytes) -> bool:
    """Whether it is, or is in, a folder that is still on its way."""
    return any(PARTIAL.fullmatch(name) for name in path.split(b"/"))


def _is_ours(folder: Folder, status: os.stat_result) -> bool:
    """Whether it is this user's, be it a second name of a file that was about to be published."""
    return (hasattr(os, "geteuid") and status.st_uid == os.geteuid()) or is_ours(folder, status)
