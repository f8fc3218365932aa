"""What may be asked of a tree's transfer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from twisted_ft.stores.interfaces import Packing
from twisted_ft.stores.names import join
from twisted_ft.transfer.exchanges.tree_plan import Chosen, SendOptions
from twisted_ft.wire.messages import BY_NOTHING, BY_TIME, Described, Item, Settled, Unsendable

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class TreeOptions(msgspec.Struct, frozen=True, dict=True):
    """How a tree is to be moved; patterns are those of gitignore(5).

    :raises ValueError: a pattern isn't one
    """

    include: Sequence[str] = ()
    """what goes although ``exclude`` matches it; by itself, nothing else goes"""
    exclude: Sequence[str] = ()
    """what is left out, with all that is in it"""
    checksum: bool = False
    """a file is the same where size and digest are, and not where size and time are"""
    force: bool = False
    """each file is sent, whatever is there"""
    links: bool = False
    """symbolic links are copied as links; else they are left out"""
    delete: bool = False
    """what the source doesn't have is removed at the end, if nothing has failed"""
    max_delete: int | None = None
    """files and folders that are removed, at most; what is more is kept"""
    parents: bool = False
    """folders above the one that the tree goes into are made, too"""
    dry_run: bool = False
    """nothing is changed: the results say what would be"""

    def __post_init__(self) -> None:
        """Find out whether the patterns are any."""
        _ = self.includes, self.excludes

    @cached_property
    def includes(self) -> GitIgnoreSpec | None:
        """What to take in."""
        return _spec(self.include)

    @cached_property
    def excludes(self) -> GitIgnoreSpec | None:
        """What to leave out."""
        return _spec(self.exclude)

    @property
    def filters(self) -> bool:
        """Whether anything is left out."""
        return bool(self.include or self.exclude)

    @property
    def chosen(self) -> Chosen | None:
        """Whether an item is to go; None, where all are."""
        return self._chosen if self.filters else None

    def send_options(self, says_ends: bool) -> SendOptions:
        """How the sender is to send it.

        :param says_ends: whether the receiver hears of the ends of folders
        """
        packing = Packing(self.links, self.checksum)
        ask = self.filters or self.checksum
        return SendOptions(ask=ask, packing=packing, says_ends=says_ends, force=self.force)

    @property
    def compare(self) -> str:
        """What makes a large file that is there worth comparing, once it is wanted: see Offer."""
        return BY_NOTHING if self.force or self.checksum else BY_TIME

    def only(self, paths: frozenset[bytes]) -> TreeOptions:
        """The same for what is at these paths, or below, and for nothing else."""
        return _Only(**{each: getattr(self, each) for each in self.__struct_fields__}, paths=paths)

    def takes(self, path: bytes, is_folder: bool) -> bool:
        """Whether what is at ``path``, from the tree's root, is to go."""
        name = os.fsdecode(path)
        if self.excludes is not None and self.excludes.match_file(name + "/" * is_folder):
            return self.includes is not None and self.includes.match_file(name + "/" * is_folder)
        if self.includes is None or self.excludes is not None or is_folder:
            return True
        return self.includes.match_file(name)

    def takes_all_of(self, path: bytes, is_folder: bool) -> bool:
        """Whether ``path`` is to go, and no folder above it is left out."""
        above = path
        while self.filters and (above := above.rpartition(b"/")[0]):
            if not self.takes(above, True):
                return False
        return self.takes(path, is_folder)

    def leaves_out(self, folder: bytes, item: Item) -> bool:
        """Whether an item isn't to go, nor to be named; of one that can't be read nobody knows
        whether it is a folder."""
        path = join(folder, item.name)
        if isinstance(item, Unsendable):
            return not (self.takes_all_of(path, False) and self.takes_all_of(path, True))
        return not self.takes_all_of(path, False)

    def _chosen(self, folder: bytes, item: Item) -> bool:
        is_folder = isinstance(item, Settled) or (
            isinstance(item, Described) and item.kind == "directory"
        )
        path = join(folder, item.name)
        return not path or self.takes(path, is_folder)


class _Only(TreeOptions, frozen=True, dict=True):
    """See ``only``."""

    paths: frozenset[bytes] = frozenset()

    @property
    def filters(self) -> bool:
        """See TreeOptions."""
        return True

    @cached_property
    def _ways(self) -> frozenset[bytes]:
        """The folders above."""
        return frozenset(above for path in self.paths for above in folders_above(path))

    def takes(self, path: bytes, is_folder: bool) -> bool:
        """See TreeOptions."""
        if not super().takes(path, is_folder):
            return False
        if is_folder and path in self._ways:
            return True
        return path in self.paths or any(above in self.paths for above in folders_above(path))


def folders_above(path: bytes) -> Iterator[bytes]:
    """The folders that a path is in, the nearest one first, without the root."""
    while path := path.rpartition(b"/")[0]:
        yield path


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec | None:
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except re.error as error:
        raise ValueError(f"a pattern that can't be read: {error}") from None
