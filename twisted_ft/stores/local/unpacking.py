"""Many files put into a folder: the receiver's side of a tree.

What has come together is written under other names, synced together, renamed, and synced again: so
a small file is as durable as a large one, and the disk is waited for twice in all and not twice for
each.  ``placing.py`` has what is done in one folder.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from errno import ENOTDIR
from functools import cached_property, partial

from blake3 import blake3
from zope.interface import implementer

from twisted_ft.errors import (
    AlreadyExists,
    BadName,
    Corrupt,
    FileTransferError,
    NotADirectory,
    NotFound,
)
from twisted_ft.stores import system
from twisted_ft.stores.interfaces import Alike, ISource, IUnpacker
from twisted_ft.stores.local.chain import Chain
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.partial import check_replaceable, replaceable
from twisted_ft.stores.local.placing import NewFolder, Place
from twisted_ft.stores.local.surveying import all_of
from twisted_ft.stores.names import below, check_link_target, file_components
from twisted_ft.stores.refusals import already_exists, failure_of
from twisted_ft.stores.sources import digest_of
from twisted_ft.stores.states import MOST_SUMMED
from twisted_ft.terminal import shown
from twisted_ft.wire.messages import (
    Described,
    Failing,
    Item,
    Link,
    Outcome,
    Part,
    Settled,
    Summed,
    Unsendable,
    Whole,
)

_MOST_OPEN = 256
"""Folders that are held open at once."""
_MOST_NEW = 1 << 14
"""New folders that are remembered as such."""
_DONE = Outcome.DONE


@implementer(IUnpacker)
class LocalUnpacker:
    """See IUnpacker.

    :param root: the store's folder, which is made where it is missing
    :param folders: opens a folder by its path
    :param source: opens a file by its path, to compare it by its digest
    :param alike: see ITreeStore
    """

    def __init__(
        self,
        root: str,
        folders: Chain,
        source: Callable[[bytes], ISource],
        overwrite: bool,
        durable: bool,
        alike: Alike | None = None,
    ) -> None:
        self._root, self._folders, self._source = root, folders, source
        self._overwrite, self._durable = overwrite, durable
        self._alike = alike
        self._sums_left = 0
        self._places: OrderedDict[bytes, Place] = OrderedDict()
        self._new: OrderedDict[bytes, None] = OrderedDict()
        """folders that this unpacker has made, or found empty"""
        self._hidden: list[NewFolder] = []
        self._changed: set[bytes] = set()
        """folders in which names have changed that aren't durable yet"""
        self._settled: list[tuple[int, bytes, Settled]] = []
        """what is said of folders that are complete: where its outcome stands, and the folder that
        it is in, or of the tree's root that one"""
        self._outcomes: list[Outcome] = []
        self._failures: dict[int, FileTransferError] = {}
        self._unsynced: OSError | None = None
        """why names couldn't be made durable"""
        self._syncs_each = durable and not system.SYNCS_FILE_SYSTEMS

    @cached_property
    def _mask(self) -> int:
        """Permission bits that a new file doesn't get (umask(2)).  Blocks, when first asked."""
        return system.file_mode_mask()

    def unpack(self, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        """See IUnpacker."""
        self._outcomes, self._failures, self._unsynced = [], {}, None
        self._settled.clear()
        self._sums_left = MOST_SUMMED
        try:
            for part in parts:
                self._take(part)
            self._publish()
            self._settle_all()
            self._sync_names()
        finally:
            self.close()
        if self._unsynced is not None:
            raise failure_of(self._unsynced, b"") from self._unsynced
        failures = [Failing(each.code, each.text) for _, each in sorted(self._failures.items())]
        return self._outcomes, failures

    def close(self) -> None:
        """See IUnpacker."""
        while self._places:
            self._places.popitem()[1].close()
        self._folders.close()

    def _take(self, part: Part) -> None:
        """Take each item of a part, and note its outcome."""
        folder = part.folder
        for item in part.items:
            try:
                name = item.name
                if b"/" in name or b"\0" in name or name[:1] in (b".", b""):
                    outcome = self._take_odd(folder, item)
                else:
                    outcome = self._take_into(folder, item)
            except FileTransferError as error:
                self._fail(len(self._outcomes), error)
                outcome = Outcome.FAILED
            except OSError as error:
                self._fail(len(self._outcomes), failure_of(error, below(folder, item.name)))
                outcome = Outcome.FAILED
            self._outcomes.append(outcome)

    def _take_odd(self, folder: bytes, item: Item) -> Outcome:
        """The root, or what has a name that has to be looked at more closely: a peer's word."""
        if not item.name:
            return self._take_root(folder, item)
        if b"/" in item.name:
            raise BadName(f"{shown(below(folder, item.name))}: a name can't hold a slash")
        file_components(item.name)
        return self._take_into(folder, item)

    def _fail(self, position: int, error: FileTransferError) -> None:
        self._failures[position] = error

    def _take_into(self, folder: bytes, item: Item) -> Outcome:
        place = self._places.get(folder) or self._place(folder)
        if type(item) is Whole:
            return self._write(place, item)
        if type(item) is Described and item.kind == "file":
            return self._compare(place, item)
        if isinstance(item, Link):
            return self._link(place, item)
        return self._take_folder(place, item)

    # -- folders -------------------------------------------------------------------------

    def _take_folder(self, place: Place, item: Item) -> Outcome:
        """A folder, or what is said of one; nothing else is taken."""
        if isinstance(item, Settled):
            return self._settle(place.path, item)
        if isinstance(item, Summed):
            return self._sum(below(place.path, item.name), item)
        if isinstance(item, Described) and item.kind == "directory":
            return self._make(place, item.name)
        return Outcome.DECLINED

    def _place(self, path: bytes) -> Place:
        """The folder at ``path``, open."""
        place = self._places.get(path)
        if place is None:
            if len(self._places) >= _MOST_OPEN:
                self._publish()
                self._sync_names()
                self.close()
            place = Place(self._folders.open(path), path, path in self._new)
            self._places[path] = place
        return place

    def _take_root(self, folder: bytes, item: Item) -> Outcome:
        """The root of a tree: the store's own, or any folder in it, whose name is its path's."""
        if isinstance(item, Settled):
            return self._settle(folder, item)
        if isinstance(item, Summed):
            return self._sum(folder, item)
        if isinstance(item, Unsendable):
            return Outcome.DECLINED
        if not isinstance(item, Described) or item.kind != "directory":
            raise NotADirectory(f"{shown(folder)}: the root of a tree is a folder")
        if folder:
            *above, name = file_components(folder)
            try:
                place = self._place(b"/".join(above))
            except FileNotFoundError:
                missing = shown(b"/".join(above))
                raise NotFound(
                    f"{shown(folder)}: there is no folder {missing} to make it in; make that first"
                ) from None
            return self._make(place, name)
        if os.path.isdir(self._root):
            return self._held(self._place(folder).folder, folder)
        os.makedirs(self._root, exist_ok=True)
        self._note_new(folder)
        return Outcome.DONE

    def _make(self, place: Place, name: bytes) -> Outcome:
        """Have a folder."""
        path = below(place.path, name)
        if not place.hidden and self._is_there(place, name):
            if not place.folder.has_folder(name):
                raise NotADirectory(f"{shown(path)}: a folder must be here, and this is none")
            if path in self._new:
                return self._held(self._place(path).folder, path)
            return Outcome.HELD  # whether it is empty is found out when its files are compared
        if len(self._places) < _MOST_OPEN:
            self._open_new(place, name, path)
        else:
            place.folder.make_folder(name)
        if not place.hidden:
            self._changed.add(place.path)
        self._note_new(path)
        return Outcome.DONE

    def _open_new(self, place: Place, name: bytes, path: bytes) -> None:
        """Make a folder that nobody sees yet, and have it open."""
        if place.hidden:
            place.folder.make_folder(name)
            within = next(new for new in self._hidden if place in new.places)
            folder = place.folder.below([name])
        else:
            try:
                within = NewFolder(place.folder, name, len(self._outcomes))
            except FileExistsError:  # another one is making it
                place.folder.make_folder(name)
                return
            self._hidden.append(within)
            folder = within.folder
        self._places[path] = Place(folder, path, new=True, hidden=True)
        within.places.append(self._places[path])

    @staticmethod
    def _is_there(place: Place, name: bytes) -> bool:
        try:
            place.folder.stat(name)
        except FileNotFoundError:
            return False
        return True

    def _held(self, folder: Folder, path: bytes) -> Outcome:
        """The outcome for a folder that is there; in an empty one nothing can be in the way."""
        if not folder.is_empty():
            self._new.pop(path, None)
            if path in self._places:
                self._places[path].new = False
            return Outcome.HELD
        self._note_new(path)
        return Outcome.EMPTY

    def _note_new(self, path: bytes) -> None:
        self._new[path] = None
        if len(self._new) > _MOST_NEW:
            self._new.popitem(last=False)

    def _settle(self, folder: bytes, item: Settled) -> Outcome:
        """Note a folder that is complete: what is in it has its names first."""
        self._settled.append((len(self._outcomes), folder, item))
        return Outcome.DONE

    def _settle_all(self) -> None:
        """Give those folders their times and permissions, where they have others."""
        for position, folder, item in self._settled:
            path = below(folder, item.name)
            try:
                if self._settle_one(folder, item):
                    self._changed.add(path)
                else:
                    self._outcomes[position] = Outcome.HELD
            except OSError as error:
                self._lost(folder, item.name, position, error)
            except FileTransferError as error:
                self._outcomes[position] = Outcome.FAILED
                self._fail(position, error)

    def _settle_one(self, folder: bytes, item: Settled) -> bool:
        mode, here = item.mode & 0o777, self._place(folder).folder
        if not item.name:
            return here.settle(mode, item.mtime)
        return here.settle_below(item.name, mode, item.mtime)

    # -- files ---------------------------------------------------------------------------

    def _sum(self, path: bytes, item: Summed) -> Outcome:
        """Whether all files of a folder are here already, and no more."""
        place = self._places.get(path) or self._place(path)
        self._sums_left -= item.files
        if place.staged or self._sums_left < 0:
            return Outcome.WANTED
        states = all_of(place.folder, item)
        if states is None:
            is_empty = self._held(place.folder, path) is Outcome.EMPTY
            return Outcome.EMPTY if is_empty else Outcome.WANTED
        if self._alike is not None:
            self._alike(path, states)
        return Outcome.HELD

    def _compare(self, place: Place, item: Described) -> Outcome:
        """Whether a file is here already."""
        if place.new:
            return Outcome.WANTED
        try:
            standing = place.folder.stat(item.name)
        except FileNotFoundError:
            return Outcome.WANTED
        if standing.st_size == item.size and stat.S_ISREG(standing.st_mode):
            if not item.blake3:
                same = system.mtime_of(standing) == item.mtime
            else:
                same = self._digest(below(place.path, item.name)) == item.blake3
            if same:
                return Outcome.HELD
        check_replaceable(standing, below(place.path, item.name))
        if not self._overwrite:
            raise already_exists(below(place.path, item.name))
        if item.blake3 and system.mtime_of(standing) == item.mtime:
            # It must not be taken for the same by its time, now or in a later run.
            place.folder.set_link_times(item.name, item.mtime - 1)
        return Outcome.WANTED

    def _digest(self, path: bytes) -> bytes:
        source = self._source(path)
        try:
            return digest_of(source)
        finally:
            source.close()

    def _check_free(self, place: Place, name: bytes) -> None:
        """Whether what comes may have the name."""
        standing = replaceable(place.folder, name, below(place.path, name))
        if standing is not None and not self._overwrite:
            raise already_exists(below(place.path, name))

    def _write(self, place: Place, item: Whole) -> Outcome:
        """Write a small file under another name."""
        if blake3(item.content).digest() != item.blake3:
            path = shown(below(place.path, item.name))
            raise Corrupt(f"{path}: what arrived isn't what was sent; run again to have it")
        if not place.new:
            self._check_free(place, item.name)
        exact = bool(item.mode & 0o777 & self._mask)
        place.write(item, len(self._outcomes), exact, self._syncs_each)
        return _DONE

    def _link(self, place: Place, item: Link) -> Outcome:
        """Make a link under another name; one that leads out is refused."""
        path = below(place.path, item.name)
        check_link_target(path, item.target)
        if not place.new and _is_link_to(place.folder, item.name, item.target):
            return Outcome.HELD
        if not place.new:
            self._check_free(place, item.name)
        place.link(item, len(self._outcomes))
        return Outcome.DONE

    # -- names, and the disk -------------------------------------------------------------

    def _publish(self) -> None:
        """Sync what has been written, and give it its names."""
        hidden, self._hidden = self._hidden, []
        there = [place for place in self._places.values() if place.staged and not place.hidden]
        if not hidden and not there:
            return
        try:
            self._sync([*there, *(place for new in hidden for place in new.places)])
        except OSError as error:  # nobody knows what of it is on the disk (fsync(2))
            self._drop(there, hidden, error)
            return
        for place in there:
            place.publish(self._overwrite, partial(self._lost, place.path))
            self._changed.add(place.path)
        for new in hidden:
            if not new.appear():
                self._merge(new)

    def _merge(self, new: NewFolder) -> None:
        """Have what is in a new folder in one that has appeared under its name meanwhile."""
        for place in new.places:
            lost = partial(self._lost, place.path)
            *above, name = place.path.split(b"/")
            try:
                with self._folders.open(b"/".join(above)) as folder, suppress(FileExistsError):
                    folder.make_folder(name)
                with self._folders.open(place.path) as there:
                    place.move(there, self._overwrite, lost)
            except (OSError, FileTransferError) as error:
                cause = error if isinstance(error, OSError) else NotADirectoryError(ENOTDIR, "")
                for name, position in place.staged:
                    lost(name, position, cause)
            self._new.pop(place.path, None)
            self._changed.add(b"/".join(above))
            self._places.pop(place.path).close()
        new.discard()

    def _drop(self, there: list[Place], hidden: list[NewFolder], error: OSError) -> None:
        for place in there:
            place.drop(partial(self._lost, place.path), error)
        for new in hidden:
            self._lost(new.places[0].path, b"", new.position, error)
            for place in new.places:
                for name, position in place.staged:
                    self._lost(place.path, name, position, error)
                self._new.pop(place.path, None)
                self._places.pop(place.path).close()
            new.discard()

    def _lost(self, folder: bytes, name: bytes, position: int, error: OSError) -> None:
        """Something hasn't got its name."""
        path = below(folder, name)
        failure = failure_of(error, path)
        if isinstance(failure, AlreadyExists):
            failure = already_exists(path)
        self._outcomes[position] = Outcome.FAILED
        self._fail(position, failure)

    def _sync(self, places: Iterable[Place]) -> None:
        """Have all that was written in some places on the disk, where it isn't already."""
        if self._durable and system.SYNCS_FILE_SYSTEMS:
            for place in {place.device: place for place in places}.values():
                place.folder.sync_file_system()

    def _sync_names(self) -> None:
        """Make the names in the folders durable in which some have changed."""
        changed, self._changed = self._changed, set()
        if not self._durable or not changed:
            return
        try:
            if len(changed) > 1 and system.SYNCS_FILE_SYSTEMS:
                self._sync(self._places.values())
            else:
                for path in changed:
                    self._place(path).folder.sync()
        except OSError as error:  # it concerns everything, and no single item
            self._unsynced = error


def _is_link_to(folder: Folder, name: bytes, target: bytes) -> bool:
    try:
        return folder.read_link(name) == target
    except OSError:  # nothing is there, or no link (EINVAL)
        return False
