"""Many files put into a folder: the receiver's side of a tree.

What has come together is written under other names, synced together, renamed, and synced again: so
a small file is as durable as a large one, and the disk is waited for twice in all and not twice for
each.  Until a file is renamed it is called ``.ft-NUMBER.part``, in the folder where it goes.
Numbers count from 0 in each folder, and files are renamed last number first: so what a killed
process leaves are the lowest numbers, which the next run, as it lacks those files, uses again.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from blake3 import blake3
from zope.interface import implementer

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Corrupt,
    FileTransferError,
    NotADirectory,
)
from twisted_ft.stores import system
from twisted_ft.stores.folder import Folder, failure_of
from twisted_ft.stores.interfaces import ISource, IUnpacker
from twisted_ft.stores.names import check_link_target, file_components
from twisted_ft.stores.packing import below, digest_of
from twisted_ft.stores.partial import already_exists, replaceable
from twisted_ft.terminal import shown
from twisted_ft.wire.messages import (
    Described,
    Failing,
    Item,
    Link,
    Outcome,
    Part,
    Settled,
    Whole,
)

_MOST_OPEN = 128
"""Folders that are held open at once."""
_MOST_NEW = 1 << 14
"""New folders that are remembered as such."""


@dataclass
class _Place:
    """A folder, and what is written in it that hasn't got its name."""

    folder: Folder
    path: bytes
    new: bool
    """whether it was empty when this unpacker came, so nothing in it can be in the way"""
    device: int
    """the file system that it is on"""
    first: int = -1
    """the number of the first file under another name; -1 before there is one"""
    staged: list[tuple[bytes, int]] = field(default_factory=list)
    """names, each with where its outcome stands"""


def _part_name(number: int) -> bytes:
    return b".ft-%032x.part" % number


@implementer(IUnpacker)
class LocalUnpacker:
    """See IUnpacker.

    :param root: the store's folder, which is made where it is missing
    :param open_folder: opens a folder by its path
    :param source: opens a file by its path, to compare it by its digest
    """

    def __init__(
        self,
        root: str,
        open_folder: Callable[[bytes], Folder],
        source: Callable[[bytes], ISource],
        overwrite: bool,
        durable: bool,
    ) -> None:
        self._root, self._open_folder, self._source = root, open_folder, source
        self._overwrite, self._durable = overwrite, durable
        self._places: OrderedDict[bytes, _Place] = OrderedDict()
        self._new: OrderedDict[bytes, None] = OrderedDict()
        self._changed: set[bytes] = set()
        """folders in which names have changed that aren't durable yet"""
        self._outcomes: list[Outcome] = []
        self._failures: dict[int, FileTransferError] = {}
        self._random = int.from_bytes(os.urandom(12), "big") << 24
        """where numbers begin while another unpacker, or another process, is at a folder"""
        self._masked = 0o777
        """permission bits that the process may not give (umask(2)), as far as has been seen"""

    def unpack(self, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        """See IUnpacker."""
        self._outcomes, self._failures = [], {}
        try:
            for part in parts:
                for item in part.items:
                    self._take(part.folder, item)
            self._publish()
            self._sync_names()
        finally:
            self.close()
        failures = [Failing(each.code, each.text) for _, each in sorted(self._failures.items())]
        return self._outcomes, failures

    def close(self) -> None:
        """See IUnpacker."""
        while self._places:
            self._places.popitem()[1].folder.close()

    def _take(self, folder: bytes, item: Item) -> None:
        """Take one item, and note its outcome."""
        try:
            if not item.name:
                outcome = self._take_root(folder, item)
            else:
                _check_name(folder, item.name)
                outcome = self._take_into(folder, item)
        except FileTransferError as error:
            self._fail(len(self._outcomes), error)
            outcome = Outcome.FAILED
        except OSError as error:
            self._fail(len(self._outcomes), failure_of(error, below(folder, item.name)))
            outcome = Outcome.FAILED
        self._outcomes.append(outcome)

    def _fail(self, position: int, error: FileTransferError) -> None:
        self._failures[position] = error

    def _take_into(self, folder: bytes, item: Item) -> Outcome:
        place = self._place(folder)
        if isinstance(item, Whole):
            return self._write(place, item)
        if isinstance(item, Link):
            return self._link(place, item)
        if isinstance(item, Settled):
            return self._settle(below(folder, item.name), item)
        if not isinstance(item, Described):
            return Outcome.DECLINED
        if item.kind == "directory":
            return self._make(place, item.name)
        return self._compare(place, item) if item.kind == "file" else Outcome.DECLINED

    # -- folders -------------------------------------------------------------------------

    def _place(self, path: bytes) -> _Place:
        place = self._places.get(path)
        if place is None:
            if len(self._places) >= _MOST_OPEN:
                self._publish()
                self._sync_names()
                self.close()
            folder = self._open_folder(path)
            place = _Place(folder, path, path in self._new, folder.status().st_dev)
            self._places[path] = place
        return place

    def _next_part(self, place: _Place) -> bytes:
        """What one more file is called before it has its name."""
        if place.first < 0:
            place.first = 0 if place.folder.lock() else self._random
        return _part_name(place.first + len(place.staged))

    def _take_root(self, folder: bytes, item: Item) -> Outcome:
        """The root of a tree: the store's own, or any folder in it, whose name is its path's."""
        if isinstance(item, Settled):
            return self._settle(folder, item)
        if not isinstance(item, Described) or item.kind != "directory":
            raise NotADirectory(f"{shown(folder)}: the root of a tree is a folder")
        if folder:
            *above, name = file_components(folder)
            return self._make(self._place(b"/".join(above)), name)
        if os.path.isdir(self._root):
            return Outcome.HELD
        os.makedirs(self._root, exist_ok=True)
        self._note_new(folder)
        return Outcome.DONE

    def _make(self, place: _Place, name: bytes) -> Outcome:
        """Have a folder."""
        try:
            place.folder.make_folder(name)
        except FileExistsError:
            if place.folder.has_folder(name):
                return Outcome.HELD
            path = shown(below(place.path, name))
            raise NotADirectory(f"{path}: a folder must be here, and this is none") from None
        self._changed.add(place.path)
        self._note_new(below(place.path, name))
        return Outcome.DONE

    def _note_new(self, path: bytes) -> None:
        self._new[path] = None
        if len(self._new) > _MOST_NEW:
            self._new.popitem(last=False)

    def _settle(self, path: bytes, item: Settled) -> Outcome:
        """Give a folder its time and permissions, where it has others."""
        if any(place.staged for place in self._places.values()):
            self._publish()
        folder = self._place(path).folder
        if not folder.settle(item.mode & 0o777, item.mtime):
            return Outcome.HELD
        self._changed.add(path)
        return Outcome.DONE

    # -- files ---------------------------------------------------------------------------

    def _compare(self, place: _Place, item: Described) -> Outcome:
        """Whether a file is here already."""
        if place.new:
            return Outcome.WANTED
        standing = replaceable(place.folder, item.name, below(place.path, item.name))
        if standing is None:
            return Outcome.WANTED
        if stat.S_ISREG(standing.st_mode) and standing.st_size == item.size:
            same = system.mtime_of(standing) == item.mtime
            if item.blake3:
                same = self._digest(below(place.path, item.name)) == item.blake3
            if same:
                return Outcome.HELD
        if not self._overwrite:
            raise already_exists(below(place.path, item.name))
        return Outcome.WANTED

    def _digest(self, path: bytes) -> bytes:
        source = self._source(path)
        try:
            return digest_of(source)
        finally:
            source.close()

    def _check_free(self, place: _Place, name: bytes) -> None:
        """Whether what comes may have the name."""
        if place.new:
            return
        standing = replaceable(place.folder, name, below(place.path, name))
        if standing is not None and not self._overwrite:
            raise already_exists(below(place.path, name))

    def _write(self, place: _Place, item: Whole) -> Outcome:
        """Write a small file under another name."""
        if blake3(item.content).digest() != item.blake3:
            path = shown(below(place.path, item.name))
            raise Corrupt(f"{path}: what arrived isn't what was sent; run again to have it")
        self._check_free(place, item.name)
        mode = item.mode & 0o777
        part = self._next_part(place)
        fd = place.folder.create(part, mode)
        try:
            if item.content:
                system.write_all(fd, (item.content,))
            if mode & self._masked:
                self._set_mode(fd, mode)
            place.folder.set_times(part, fd, item.mtime)
            if self._durable and not system.SYNCS_FILE_SYSTEMS:
                os.fsync(fd)
        except BaseException:
            os.close(fd)
            place.folder.remove(part)
            raise
        os.close(fd)
        place.staged.append((item.name, len(self._outcomes)))
        return Outcome.DONE

    def _set_mode(self, fd: int, mode: int) -> None:
        """Give a new file its permissions, where the process's mask has taken some."""
        given = stat.S_IMODE(os.fstat(fd).st_mode)
        self._masked &= ~(given & mode)
        if given != mode:
            system.set_mode(fd, mode)

    def _link(self, place: _Place, item: Link) -> Outcome:
        """Make a link under another name; one that leads out is refused."""
        path = below(place.path, item.name)
        check_link_target(path, item.target)
        if not place.new and _is_link_to(place.folder, item.name, item.target):
            return Outcome.HELD
        self._check_free(place, item.name)
        part = self._next_part(place)
        with suppress(FileNotFoundError):
            place.folder.remove(part)
        place.folder.make_link(part, item.target, item.mtime)
        place.staged.append((item.name, len(self._outcomes)))
        return Outcome.DONE

    # -- names, and the disk -------------------------------------------------------------

    def _publish(self) -> None:
        """Sync what has been written, and give it its names."""
        places = [place for place in self._places.values() if place.staged]
        if not places:
            return
        try:
            self._sync(places)
        except OSError as error:
            for place in places:
                self._drop(place, error)
            return
        for place in places:
            self._name(place)
            self._changed.add(place.path)

    def _sync(self, places: Iterable[_Place]) -> None:
        """Have all that was written in some places on the disk, where it isn't already."""
        if self._durable and system.SYNCS_FILE_SYSTEMS:
            for place in {place.device: place for place in places}.values():
                place.folder.sync_file_system()

    def _name(self, place: _Place) -> None:
        staged, place.staged = place.staged, []
        rename = place.folder.replace if self._overwrite else place.folder.rename_new
        for number in range(len(staged) - 1, -1, -1):
            name, position = staged[number]
            part = _part_name(place.first + number)
            try:
                rename(part, name)
            except OSError as error:
                self._not_named(place, name, position, error)
                with suppress(OSError):
                    place.folder.remove(part)
        self._let_go(place)

    def _not_named(self, place: _Place, name: bytes, position: int, error: OSError) -> None:
        path = below(place.path, name)
        failure = failure_of(error, path)
        if isinstance(failure, AlreadyExists):
            failure = already_exists(path)
        self._outcomes[position] = Outcome.FAILED
        self._fail(position, failure)

    def _drop(self, place: _Place, error: OSError) -> None:
        """Nothing that was written has reached the disk for sure: it goes (fsync(2))."""
        staged, place.staged = place.staged, []
        for number, (name, position) in enumerate(staged):
            with suppress(OSError):
                place.folder.remove(_part_name(place.first + number))
            self._not_named(place, name, position, error)
        self._let_go(place)

    def _let_go(self, place: _Place) -> None:
        if place.first == 0:
            place.folder.unlock()
        place.first = -1

    def _sync_names(self) -> None:
        """Make the names in the folders durable in which some have changed."""
        changed, self._changed = self._changed, set()
        if not self._durable or not changed:
            return
        if len(changed) > 1 and system.SYNCS_FILE_SYSTEMS:
            self._sync(self._places.values())
        else:
            for path in changed:
                self._place(path).folder.sync()


def _is_link_to(folder: Folder, name: bytes, target: bytes) -> bool:
    try:
        return folder.read_link(name) == target
    except OSError:  # nothing is there, or no link (EINVAL)
        return False


def _check_name(folder: bytes, name: bytes) -> None:
    """One name, of a peer's: what a folder can hold, and nothing that leads elsewhere."""
    if b"/" in name or name[0] == 0x2E or b"\0" in name:
        if b"/" in name:
            raise BadName(f"{shown(below(folder, name))}: a name can't hold a slash")
        file_components(name)
