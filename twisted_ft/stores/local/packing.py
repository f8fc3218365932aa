"""Many files read out of a folder: the sender's side of a tree.

A folder is held open while its files are read, and a small file costs five system calls, so what a
file costs is little more than what the kernel takes for it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from blake3 import blake3
from zope.interface import implementer

from twisted_ft.errors import Cancelled, FileTransferError, NotFound
from twisted_ft.stores.interfaces import IPacker, Packing, Source
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.local.open_folders import OpenFolders
from twisted_ft.stores.local.surveying import states_of, survey
from twisted_ft.stores.names import PARTIAL, file_components, join
from twisted_ft.stores.refusals import failure_of, os_errors_named
from twisted_ft.stores.sources import digest_of
from twisted_ft.stores.states import States
from twisted_ft.stores.system import kind_of, mtime_of
from twisted_ft.wire.messages import Described, Item, Link, Unsendable, Whole, shortened


@implementer(IPacker)
class LocalPacker:
    """See IPacker.

    :param folders: opens a folder by its path
    :param source: opens a file by its path, to have its digest
    """

    def __init__(self, folders: OpenFolders, source: Callable[[bytes], Source]) -> None:
        self._folders, self._source = folders, source
        self._path = b""
        self._folder: Folder | None = None
        """the folder at ``_path``, while it is open"""
        self._stopped = False

    def stop(self) -> None:
        """See IPacker."""
        self._stopped = True

    def _check(self) -> None:
        if self._stopped:
            raise Cancelled("it is no longer wanted")

    def describe(self, path: bytes) -> Item:
        """See IPacker."""
        with os_errors_named(path):
            if not path:
                with self._folders.open(path) as root:
                    return _described(path, root.status())
            *above, name = file_components(path)
            return _described(path, self._at(b"/".join(above)).stat(name))

    def items(self, folder: bytes, small: int, packing: Packing) -> Iterator[Item]:
        """See IPacker."""
        with os_errors_named(folder), self._folders.open(folder) as here:
            for name, is_file in here.scan():
                if name.startswith(b".ft-") and PARTIAL.fullmatch(name):
                    continue
                if is_file and small:
                    whole = self._whole(here, folder, name, small)
                    if type(whole) is not Unsendable or whole.code != NotFound.code:
                        yield whole  # else it is gone since
                elif (item := self._other(here, folder, name, packing)) is not None:
                    yield item

    def states(
        self, folder: bytes, most: int, packing: Packing
    ) -> tuple[States, list[Item]] | None:
        """See IPacker."""
        with os_errors_named(folder), self._folders.open(folder) as here:
            if (found := survey(here, most)) is None:
                return None
            states = states_of(here, found[0])
            others = found[1]
            if len(states) < len(found[0]):  # some are gone since, or can't be looked at
                others += sorted({*found[0]}.difference(states.names))
            items = [self._other(here, folder, name, packing) for name in others]
            return states, [item for item in items if item is not None]

    def item(self, folder: bytes, name: bytes, small: int) -> Item:
        """See IPacker."""
        try:
            with os_errors_named(join(folder, name)):
                here = self._at(folder)
                if not stat.S_ISREG((status := here.stat(name)).st_mode):
                    return _described(name, status)
        except FileTransferError as error:
            return Unsendable(name, error.code, shortened(error.text))
        return self._whole(here, folder, name, small)

    def close(self) -> None:
        """See IPacker."""
        self._let_go()
        self._folders.close()

    def _at(self, path: bytes) -> Folder:
        if self._folder is None or self._path != path:
            self._let_go()
            self._folder, self._path = self._folders.open(path), path
        return self._folder

    def _let_go(self) -> None:
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _whole(self, here: Folder, folder: bytes, name: bytes, small: int) -> Item:
        """A small file with its content; what is larger is described."""
        try:
            content, status = here.read_whole(name, small)
        except OSError as error:
            return _unsendable(error, folder, name)
        mtime, mode = mtime_of(status), stat.S_IMODE(status.st_mode)
        if content is None:
            return Described(name, "file", max(status.st_size, small + 1), mtime, mode)
        return Whole(name, mtime, mode, content, blake3(content).digest())

    def _other(self, here: Folder, folder: bytes, name: bytes, packing: Packing) -> Item | None:
        """Anything as its status tells; None where it is gone since."""
        try:
            item = _described(name, here.stat(name))
            if item.kind == "link" and packing.links:
                return Link(name, item.mtime, here.read_link(name))
        except FileNotFoundError:
            return None
        except OSError as error:
            return _unsendable(error, folder, name)
        if item.kind == "file" and packing.digests:
            return self._with_digest(join(folder, name), item)
        return item

    def _with_digest(self, path: bytes, item: Described) -> Item:
        try:
            source = self._source(path)
            try:
                digest = digest_of(source, self._check)
            finally:
                source.close()
        except Cancelled:
            raise
        except FileTransferError as error:
            return Unsendable(item.name, error.code, shortened(error.text))
        return Described(item.name, item.kind, item.size, item.mtime, item.mode, digest)


def _described(name: bytes, status: os.stat_result) -> Described:
    mode = status.st_mode
    return Described(name, kind_of(mode), status.st_size, mtime_of(status), stat.S_IMODE(mode))


def _unsendable(error: OSError, folder: bytes, name: bytes) -> Unsendable:
    failure = failure_of(error, join(folder, name))
    return Unsendable(name, failure.code, shortened(failure.text))
