"""Many files put into a folder: the receiver's side of a tree.

What has come together is written under other names, synced together, renamed, and synced again: so
a small file is as durable as a large one, and the disk is waited for twice in all and not twice for
each.  ``staging.py`` has what is done in one folder.
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
from twisted_ft.stores.interfaces import Alike, IUnpacker, Source
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.open_folders import OpenFolders
from twisted_ft.stores.local.replacing import check_replaceable, replaceable
from twisted_ft.stores.local.room import Grant, Room, no_room
from twisted_ft.stores.local.staging import HiddenFolder, StagingFolder
from twisted_ft.stores.local.surveying import all_of
from twisted_ft.stores.names import check_link_target, file_components, join
from twisted_ft.stores.refusals import (
    already_exists,
    failure_of,
    file_in_the_way,
    folder_in_the_way,
)
from twisted_ft.stores.sources import digest_of
from twisted_ft.stores.states import MOST_SUMMED, says_nothing
from twisted_ft.terminal import escaped
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
_MOST_MADE = 1 << 17
"""Folders that are remembered as this unpacker's own: some 10 MB.  Where files may not be replaced,
those that it made before them don't get their time."""
_OWNER = 0o700
"""The permissions without which a folder's owner couldn't go into it, nor change it."""
_DONE = Outcome.DONE


@implementer(IUnpacker)
class LocalUnpacker:
    """See IUnpacker.

    :param new_root: the store's folder, where it may be made if it is missing
    :param folders: opens a folder by its path
    :param source: opens a file by its path, to compare it by its digest
    :param room: has what is to be written, or it isn't
    :param alike: see ITreeStore
    """

    def __init__(
        self,
        new_root: str | None,
        folders: OpenFolders,
        source: Callable[[bytes], Source],
        room: Room,
        overwrite: bool,
        durable: bool,
        alike: Alike | None = None,
    ) -> None:
        self._new_root, self._folders, self._source = new_root, folders, source
        self._room = room
        self._overwrite, self._durable = overwrite, durable
        self._alike = alike
        self._sums_left = 0
        self._to_write = 0
        """bytes of all small files that have come together"""
        self._grants: dict[int, Grant] = {}
        """what of that fits, by file system"""
        self._stagings: OrderedDict[bytes, StagingFolder] = OrderedDict()
        self._new: OrderedDict[bytes, None] = OrderedDict()
        """folders that this unpacker has made, or found empty"""
        self._made: OrderedDict[int, None] = OrderedDict()
        """folders that this unpacker has made, by the hash of their paths, which can be long"""
        self._hidden: list[HiddenFolder] = []
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
        self._to_write = sum(
            len(item.content) for part in parts for item in part.items if type(item) is Whole
        )
        try:
            for part in parts:
                self._take(part)
            self._publish()
            self._settle_all()
            self._sync_names()
        finally:
            self.close()
            while self._grants:
                self._grants.popitem()[1].end()
        if self._unsynced is not None:
            raise failure_of(self._unsynced, b"") from self._unsynced
        failures = [Failing(each.code, each.text) for _, each in sorted(self._failures.items())]
        return self._outcomes, failures

    def close(self) -> None:
        """See IUnpacker."""
        while self._stagings:
            self._stagings.popitem()[1].close()
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
                self._fail(len(self._outcomes), failure_of(error, join(folder, item.name)))
                outcome = Outcome.FAILED
            self._outcomes.append(outcome)

    def _take_odd(self, folder: bytes, item: Item) -> Outcome:
        """The root, or what has a name that has to be looked at more closely: a peer's word."""
        if not item.name:
            return self._take_root(folder, item)
        if b"/" in item.name:
            raise BadName(f"{escaped(join(folder, item.name))}: a name can't contain a slash")
        file_components(item.name)
        return self._take_into(folder, item)

    def _fail(self, position: int, error: FileTransferError) -> None:
        self._failures[position] = error

    def _take_into(self, folder: bytes, item: Item) -> Outcome:
        staging = self._stagings.get(folder) or self._staging(folder)
        if type(item) is Whole:
            return self._write(staging, item)
        if type(item) is Described and item.kind == "file":
            return self._compare(staging, item)
        if isinstance(item, Link):
            return self._link(staging, item)
        return self._take_folder(staging, item)

    # -- folders -------------------------------------------------------------------------

    def _take_folder(self, staging: StagingFolder, item: Item) -> Outcome:
        """A folder, or what is said of one; nothing else is taken."""
        if isinstance(item, Settled):
            return self._settle(staging.path, item)
        if isinstance(item, Summed):
            return self._sum(join(staging.path, item.name), item)
        if isinstance(item, Described) and item.kind == "directory":
            return self._make(staging, item.name)
        return Outcome.DECLINED

    def _staging(self, path: bytes) -> StagingFolder:
        """The folder at ``path``, open."""
        staging = self._stagings.get(path)
        if staging is None:
            if len(self._stagings) >= _MOST_OPEN:
                self._publish()
                self._sync_names()
                self.close()
            staging = StagingFolder(self._folders.open(path), path, path in self._new)
            self._stagings[path] = staging
        return staging

    def _take_root(self, folder: bytes, item: Item) -> Outcome:
        """The root of a tree: the store's own, or any folder in it, whose name is its path's."""
        if isinstance(item, Settled):
            return self._settle(folder, item)
        if isinstance(item, Summed):
            return self._sum(folder, item)
        if isinstance(item, Unsendable):
            return Outcome.DECLINED
        if not isinstance(item, Described) or item.kind != "directory":
            raise NotADirectory(f"{escaped(folder)}: the root of a tree is a folder")
        if folder:
            *above, name = file_components(folder)
            try:
                staging = self._staging(b"/".join(above))
            except FileNotFoundError:
                missing = escaped(b"/".join(above))
                raise NotFound(
                    f"{escaped(folder)}: there is no folder {missing} to make it in; "
                    "make that first"
                ) from None
            return self._make(staging, name)
        if self._new_root is not None and not os.path.isdir(self._new_root):
            os.makedirs(self._new_root, exist_ok=True)
            self._note_made(folder)
            return Outcome.DONE
        return self._held(self._staging(folder).folder, folder)

    def _make(self, staging: StagingFolder, name: bytes) -> Outcome:
        """Have a folder."""
        path = join(staging.path, name)
        if not staging.hidden and staging.folder.has(name):
            if not staging.folder.has_folder(name):
                raise file_in_the_way(path)
            if path in self._new:
                return self._held(self._staging(path).folder, path)
            return Outcome.HELD  # whether it is empty is found out when its files are compared
        if len(self._stagings) < _MOST_OPEN:
            self._open_new(staging, name, path)
        else:
            staging.folder.make_folder(name)
        if not staging.hidden:
            self._changed.add(staging.path)
        self._note_made(path)
        return Outcome.DONE

    def _open_new(self, staging: StagingFolder, name: bytes, path: bytes) -> None:
        """Make a folder that nobody sees yet, and have it open."""
        if staging.hidden:
            staging.folder.make_folder(name)
            within = next(new for new in self._hidden if staging in new.stagings)
            folder = staging.folder.below([name])
        else:
            try:
                within = HiddenFolder(staging.folder, name, len(self._outcomes))
            except FileExistsError:  # another one is making it
                staging.folder.make_folder(name)
                return
            self._hidden.append(within)
            folder = within.folder
        self._stagings[path] = StagingFolder(folder, path, new=True, hidden=True)
        within.stagings.append(self._stagings[path])

    def _held(self, folder: Folder, path: bytes) -> Outcome:
        """The outcome for a folder that is there; in an empty one nothing can be in the way."""
        if not folder.is_empty():
            self._new.pop(path, None)
            if path in self._stagings:
                self._stagings[path].new = False
            return Outcome.HELD
        self._note_new(path)
        return Outcome.EMPTY

    def _note_made(self, path: bytes) -> None:
        self._made[hash(path)] = None
        if len(self._made) > _MOST_MADE:
            self._made.popitem(last=False)
        self._note_new(path)

    def _forget(self, path: bytes) -> None:
        """A folder is another one's, or none has come of it."""
        self._made.pop(hash(path), None)
        self._new.pop(path, None)

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
            path = join(folder, item.name)
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
        mode, here = item.mode & 0o777 | _OWNER, self._staging(folder).folder
        if not self._may_settle(join(folder, item.name)):
            return False
        if not item.name:
            return here.settle(mode, item.mtime)
        return here.settle_below(item.name, mode, item.mtime)

    def _may_settle(self, path: bytes) -> bool:
        """Whether a folder is ours: the root is its owner's, and others where none is replaced."""
        return hash(path) in self._made or bool(path and self._overwrite)

    # -- files ---------------------------------------------------------------------------

    def _sum(self, path: bytes, item: Summed) -> Outcome:
        """Whether all files of a folder are here already, and no more."""
        staging = self._stagings.get(path) or self._staging(path)
        self._sums_left -= item.files
        if staging.staged or self._sums_left < 0:
            return Outcome.WANTED
        states = all_of(staging.folder, item)
        if states is None:
            is_empty = self._held(staging.folder, path) is Outcome.EMPTY
            return Outcome.EMPTY if is_empty else Outcome.WANTED
        if self._alike is not None:
            self._alike(path, states)
        return Outcome.HELD

    def _compare(self, staging: StagingFolder, item: Described) -> Outcome:
        """Whether a file is here already."""
        if staging.new:
            return Outcome.WANTED
        try:
            standing = staging.folder.stat(item.name)
        except FileNotFoundError:
            return Outcome.WANTED
        if standing.st_size == item.size and stat.S_ISREG(standing.st_mode):
            if not item.blake3:
                mtime = system.mtime_of(standing)
                same = mtime == item.mtime and not says_nothing(mtime)
            else:
                same = self._digest(join(staging.path, item.name)) == item.blake3
            if same:
                return Outcome.HELD
        if stat.S_ISDIR(standing.st_mode):
            raise folder_in_the_way(join(staging.path, item.name))
        check_replaceable(staging.folder, item.name, standing, join(staging.path, item.name))
        if not self._overwrite:
            raise already_exists(join(staging.path, item.name))
        if item.blake3 and system.mtime_of(standing) == item.mtime:
            # It must not be taken for the same by its time, now or in a later run.
            staging.folder.set_link_times(item.name, item.mtime - 1)
        return Outcome.WANTED

    def _digest(self, path: bytes) -> bytes:
        source = self._source(path)
        try:
            return digest_of(source)
        finally:
            source.close()

    def _check_free(self, staging: StagingFolder, name: bytes) -> None:
        """Whether what comes may have the name."""
        standing = replaceable(staging.folder, name, join(staging.path, name))
        if standing is not None and not self._overwrite:
            raise already_exists(join(staging.path, name))

    def _write(self, staging: StagingFolder, item: Whole) -> Outcome:
        """Write a small file under another name."""
        if blake3(item.content).digest() != item.blake3:
            path = escaped(join(staging.path, item.name))
            raise Corrupt(f"{path}: the data was damaged on the way; run again to get the file")
        if not staging.new:
            self._check_free(staging, item.name)
        self._take_room(staging, item)
        exact = bool(item.mode & 0o777 & self._mask)
        staging.write(item, len(self._outcomes), exact, self._syncs_each)
        return _DONE

    def _take_room(self, staging: StagingFolder, item: Whole) -> None:
        """See that a file fits, before any of those that have come together is written."""
        grant = self._grants.get(staging.device)
        if grant is None:
            grant = self._room.grant(staging.folder, self._to_write)
            self._grants[staging.device] = grant
        if len(item.content) > grant.left:
            raise no_room(join(staging.path, item.name), len(item.content), grant.left)
        grant.use(len(item.content))

    def _link(self, staging: StagingFolder, item: Link) -> Outcome:
        """Make a link under another name; one that leads out is refused."""
        path = join(staging.path, item.name)
        check_link_target(path, item.target)
        if not staging.new and _is_link_to(staging.folder, item.name, item.target):
            return Outcome.HELD
        if not staging.new:
            self._check_free(staging, item.name)
        staging.link(item, len(self._outcomes))
        return Outcome.DONE

    # -- names, and the disk -------------------------------------------------------------

    def _publish(self) -> None:
        """Sync what has been written, and give it its names."""
        hidden, self._hidden = self._hidden, []
        there = [
            staging for staging in self._stagings.values() if staging.staged and not staging.hidden
        ]
        if not hidden and not there:
            return
        try:
            self._sync([*there, *(staging for new in hidden for staging in new.stagings)])
        except OSError as error:  # nobody knows what of it is on the disk (fsync(2))
            self._drop(there, hidden, error)
            return
        for staging in there:
            staging.publish(self._overwrite, partial(self._lost, staging.path))
            self._changed.add(staging.path)
        for new in hidden:
            if not new.appear():
                self._merge(new)

    def _merge(self, new: HiddenFolder) -> None:
        """Have what is in a new folder in one that has appeared under its name meanwhile."""
        for staging in new.stagings:
            lost = partial(self._lost, staging.path)
            *above, name = staging.path.split(b"/")
            try:
                with self._folders.open(b"/".join(above)) as folder, suppress(FileExistsError):
                    folder.make_folder(name)
                with self._folders.open(staging.path) as there:
                    staging.move(there, self._overwrite, lost)
            except (OSError, FileTransferError) as error:
                cause = error if isinstance(error, OSError) else NotADirectoryError(ENOTDIR, "")
                for name, position in staging.staged:
                    lost(name, position, cause)
            self._forget(staging.path)
            self._changed.add(b"/".join(above))
            self._stagings.pop(staging.path).close()
        new.discard()

    def _drop(self, there: list[StagingFolder], hidden: list[HiddenFolder], error: OSError) -> None:
        for staging in there:
            staging.drop(partial(self._lost, staging.path), error)
        for new in hidden:
            self._lost(new.stagings[0].path, b"", new.position, error)
            for staging in new.stagings:
                for name, position in staging.staged:
                    self._lost(staging.path, name, position, error)
                self._forget(staging.path)
                self._stagings.pop(staging.path).close()
            new.discard()

    def _lost(
        self, folder: bytes, name: bytes, position: int, error: OSError | FileTransferError
    ) -> None:
        """Something hasn't got its name."""
        path = join(folder, name)
        failure = failure_of(error, path) if isinstance(error, OSError) else error
        if isinstance(failure, AlreadyExists):
            failure = already_exists(path)
        self._outcomes[position] = Outcome.FAILED
        self._fail(position, failure)

    def _sync(self, stagings: Iterable[StagingFolder]) -> None:
        """Have all that was written in some places on the disk, where it isn't already."""
        if self._durable and system.SYNCS_FILE_SYSTEMS:
            for staging in {staging.device: staging for staging in stagings}.values():
                staging.folder.sync_file_system()

    def _sync_names(self) -> None:
        """Make the names in the folders durable in which some have changed."""
        changed, self._changed = self._changed, set()
        if not self._durable or not changed:
            return
        try:
            if len(changed) > 1 and system.SYNCS_FILE_SYSTEMS:
                self._sync(self._stagings.values())
            else:
                for path in changed:
                    self._staging(path).folder.sync()
        except OSError as error:  # it concerns everything, and no single item
            self._unsynced = error


def _is_link_to(folder: Folder, name: bytes, target: bytes) -> bool:
    try:
        return folder.read_link(name) == target
    except OSError:  # nothing is there, or no link (EINVAL)
        return False
