"""What a place for files must be able to do.

All of it may block, and none of it is called on the reactor's thread, but for a source's
``digest`` and ``remember``, which look at memory only.  A failure is a
FileTransferError, whose code and text go to the other side as they are.  Whoever writes a
store of their own can run ``twisted_ft.stores.conformance`` on it.

Each is a protocol, for annotations, and an interface of zope's with an I before its name, made of
the protocol: to be implemented, provided and asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from twisted_ft.stores.protocols import interface_of
from twisted_ft.stores.states import States
from twisted_ft.wire.messages import Attributes, Entry, Failing, Item, Outcome, Part

Buffer = bytes | memoryview


class Packing(NamedTuple):
    """How a tree is packed."""

    links: bool = False
    """links are read, as Link; else they are Described"""
    digests: bool = False
    """files are described with their digests"""


PLAIN = Packing()
Alike = Callable[[bytes, States], None]
"""Is told of a folder, by its path, of which all plain files are here in the states of the other
side's."""


class Source(Protocol):
    """One file, opened for reading, in the state in which it was opened."""

    @property
    def attributes(self) -> Attributes:
        """Its name, size, mtime, mode and version; no size, where it is only known at the end."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer only at the end of the file."""

    def digest(self) -> bytes | None:
        """The BLAKE3 of the whole file, 32 bytes, where it is known without reading the file."""

    def remember(self, digest: bytes | None) -> None:
        """The digest has been found; None: what ``digest`` gave has proved wrong."""

    def check(self) -> int:
        """How many bytes there are by now; those that ``attributes`` name are as they were.

        Where it has grown, that isn't sure: who has read them reads them again, and compares.

        :raises SourceChanged: the bytes are no longer those that ``attributes`` name
        """

    def close(self) -> None:
        """Give up what is held.  May be called more than once."""


class DescriptorSource(Source, Protocol):
    """A source that is a file of the operating system's: it can be sent without being copied."""

    def fileno(self) -> int:
        """The file's descriptor, to be read at given offsets only."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill ``buffer`` from ``offset`` on; bytes read, fewer only at the end of the file."""


class Sink(Protocol):
    """One file on its way in: under another name, until it is published.

    Of a file without a size (``file.size`` is None) nothing is ever kept: it begins at 0, and what
    ends it without ``publish``, or fails in ``publish``, leaves nothing of it.

    A sink is its name's only one: while it is open, another for the same name is Busy.  It
    ends with the first of ``publish``, ``keep`` and ``discard``, whether that fails or not; a
    ``keep`` or ``discard`` after that changes nothing.
    """

    @property
    def offset(self) -> int:
        """Bytes kept from an earlier run; writing goes on behind them."""

    def kept(self) -> Iterator[bytes]:
        """The bytes kept from an earlier run, in pieces, for the digest."""

    def write(self, pieces: Sequence[Buffer]) -> None:
        """Append the pieces, in order.  Their buffers are the caller's again afterwards."""

    def publish(self) -> None:
        """Make it durable, with its time and permissions, and give it its name, in one step.

        Of the mode only the permission bits, 0o777, are taken.  A failure keeps what there is,
        unless that may be damaged.

        :raises AlreadyExists: a file has appeared, and it may not be replaced
        :raises FileTransferError: IsADirectory, NoSpace, ...
        """

    def keep(self) -> None:
        """End the sink, and keep what there is for a later run to go on from."""

    def discard(self) -> None:
        """End the sink, and leave nothing of it."""


class Store(Protocol):
    """A place for files, which have names joined by ``/`` below one root.

    One that can't do all of this says what it can in its attribute ``capabilities``: see
    ``twisted_ft.stores.capabilities``.
    """

    def source(self, path: bytes) -> Source:
        """Open a file for reading.

        :raises FileTransferError: NotFound, IsADirectory, NotADirectory (for ``file/name``),
            NotAFile, Forbidden, BadName, ...
        """

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True) -> Sink:
        """Begin, or go on with, receiving ``file``.

        :param overwrite: whether a file that has the name may be replaced
        :param durable: whether ``publish`` syncs what it publishes
        :raises AlreadyExists: there is one, and ``overwrite`` is false
        :raises Busy: another sink of this name is open
        :raises NoSpace: it can't fit; where it has no size, ``write`` finds that
        :raises FileTransferError: NotFound (no such folder), IsADirectory, BadName, ...
        """

    def entries(self, path: bytes) -> Iterator[Entry]:
        """What is in a folder, sorted by name; for a file, the file.  Partial files are not named.

        The entry of a link may have its ``target``; where it can't be read, that is empty.

        :raises BadName: at the end, after all others: there are names for which a path has no room
        :raises FileTransferError: NotFound, NotADirectory, Forbidden, ...; on the call or on the
            iterator's first step
        """

    def make_folder(self, path: bytes) -> None:
        """Make a folder, durably; the one that it is in must be there.

        :raises AlreadyExists: there is something of this name
        :raises FileTransferError: NotFound, NotADirectory, BadName, ...
        """

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        """Give a file, or a folder with all that is in it, another name: durably, in one step.

        :param overwrite: whether a file that has the name may be replaced, by what isn't a folder
        :raises AlreadyExists: there is something of this name, and it may not be replaced
        :raises IsADirectory: a file was to take the name of a folder
        :raises BadName: a folder was to go into itself, or either is the root
        :raises FileTransferError: NotFound (also: no such folder to go to), ...
        """

    def remove(self, path: bytes, deep: bool) -> int:
        """Remove a file, or ``deep``: a folder with all that is in it, durably.

        A folder's removal stops at the first failure; what was removed by then is removed.

        :returns: how many files and folders were removed; partial files aren't counted
        :raises IsADirectory: it is a folder, and ``deep`` is false
        :raises Busy: a sink is open in the folder
        :raises FileTransferError: NotFound, Forbidden, BadName (the root), ...
        """


class SettlingStore(Store, Protocol):
    """A store that can give a file another time without it being sent."""

    def settle(self, path: bytes, mtime: int, mode: int) -> None:
        """Give a file this time, and these permissions (of which 0o777 are taken), durably.

        :raises FileTransferError: NotFound, Forbidden, ...
        """


class Packer(Protocol):
    """Reads many things of a store for a tree that is sent: see TreeStore."""

    def describe(self, path: bytes) -> Item:
        """What is there: Described, by its whole path.

        :raises FileTransferError: NotFound, ...
        """

    def items(self, folder: bytes, small: int, packing: Packing) -> Iterator[Item]:
        """What is in a folder, in no certain order; partial files are not named.

        :param small: bytes in a file that comes Whole, at most; larger ones are Described
        :raises FileTransferError: NotFound, NotADirectory, Forbidden, ...; on the call or on the
            iterator's first step.  What is wrong with a single thing is an Unsendable
        """

    def states(
        self, folder: bytes, most: int, packing: Packing
    ) -> tuple[States, list[Item]] | None:
        """The states of the plain files in a folder, and what else is in it, as ``items`` has it.

        :returns: None, where there is more in it than ``most``
        :raises FileTransferError: as for ``items``
        """

    def item(self, folder: bytes, name: bytes, small: int) -> Item:
        """One file of a folder: Whole, or where it can't be, Described or Unsendable."""

    def stop(self) -> None:
        """Have a call that is under way in another thread end soon, with Cancelled.

        Nothing more is asked of this packer then but to close.  It looks at memory only.
        """

    def close(self) -> None:
        """Give up what is held.  May be called more than once."""


class Unpacker(Protocol):
    """Puts many things into a store, for a tree that is received: see TreeStore."""

    def unpack(self, parts: Sequence[Part]) -> tuple[list[Outcome], list[Failing]]:
        """Take each item into its folder, in order.

        A Whole is verified, and has its name when this returns, durably where that is asked for.
        The files of a Summed are held, if the folder has exactly these plain files; else they are
        wanted, so also where that would be too much to find out.  Of an empty folder it may be said
        that it is one, to either a Described or a Summed.

        :returns: the outcome of each item of each part; why those failed that did, in order
        """

    def close(self) -> None:
        """Give up what is held.  May be called more than once."""


class TreeStore(Store, Protocol):
    """A store that has ways of its own to read, and to take, many small files at once.

    For other stores ``twisted_ft.stores.piecewise`` goes by sources and sinks.
    """

    def packer(self) -> Packer:
        """To read with, for one tree; its calls are made one at a time."""

    def unpacker(self, overwrite: bool, durable: bool, alike: Alike | None = None) -> Unpacker:
        """To put into the store with, for one tree or several; its calls are made one at a time.

        :param overwrite: whether a file that has the name may be replaced
        :param durable: whether what has its name outlasts a crash
        :param alike: is told of each Summed whose files are held, by the thread that unpacks
        """


class KeepingStore(Store, Protocol):
    """A store that says what it keeps of files that didn't arrive, and that lets go of it.

    What is kept of a file is said as an Entry of kind ``partial``: ``path`` is the file that it is
    to be, ``size`` the bytes that there are, ``mtime`` when they last changed, by the store's own
    clock.  Where nobody knows what it is to be, it has a name of the store's own.
    """

    def sink(
        self, file: Attributes, overwrite: bool, durable: bool = True, *, owner: str = ""
    ) -> Sink:
        """See Store.

        :param owner: whose it is, in the caller's words, of at most 1,024 bytes: it is written down
            beside what is kept
        :raises ValueError: the owner's name is too long
        """

    def kept(self, path: bytes, deep: bool) -> Iterator[Entry]:
        """What is kept in a folder, sorted by name; for a file, what is kept of that.

        What is being written now is among it.

        :param deep: and in all folders below, each after the one that it is in
        :raises FileTransferError: as for ``entries``
        """

    def remove(self, path: bytes, deep: bool) -> int:
        """See Store.  What is kept of a file goes with it.

        Where there is only what is kept, that is removed, and counts; it may be named by the
        store's own name for it, too.

        :raises Busy: it is being written
        """

    def sweep(self, age: float, total: int) -> tuple[int, int]:
        """Let go of what has not changed for ``age`` seconds, and of the oldest beyond ``total``.

        What is being written stays.

        :param total: bytes that may be kept of all files together
        :returns: how many were removed, and their bytes
        :raises FileTransferError: the store can't be looked through
        """


ISource = interface_of(Source)
IDescriptorSource = interface_of(DescriptorSource)
ISink = interface_of(Sink)
IStore = interface_of(Store)
ISettlingStore = interface_of(SettlingStore)
IPacker = interface_of(Packer)
IUnpacker = interface_of(Unpacker)
ITreeStore = interface_of(TreeStore)
IKeepingStore = interface_of(KeepingStore)
