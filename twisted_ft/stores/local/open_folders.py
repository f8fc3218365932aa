"""The way down to a folder, kept open, so that the next folder is mostly a single step away."""

from __future__ import annotations

from collections.abc import Callable

from twisted_ft.stores.local.folder import Folder

_MOST_KEPT = 32
"""Folders that are held open, beside the root, at most; a path may have more."""


class OpenFolders:
    """Opens folders below a root, each from the one that it is in.

    A tree is gone through folder by folder, so two that follow one another mostly have the same
    folders above them.  Those are held open until the way leads elsewhere.

    :param root: opens the root
    :param names: the names in a path; raises BadName where it may have none
    """

    def __init__(self, root: Callable[[], Folder], names: Callable[[bytes], list[bytes]]) -> None:
        self._open_root, self._names = root, names
        self._root: Folder | None = None
        self._kept: list[tuple[bytes, Folder]] = []

    def open(self, path: bytes) -> Folder:
        """The folder at ``path``; the caller's own, to be closed.

        :raises OSError: as ``Folder.below``
        :raises FileTransferError: the root can't be opened, or the path is none
        """
        names = self._names(path)
        if self._root is None:
            self._root = self._open_root()
        above = names[:-1][:_MOST_KEPT]
        common = 0
        for (kept, _), name in zip(self._kept, above, strict=False):
            if kept != name:
                break
            common += 1
        self._let_go(common)
        for name in above[common:]:
            self._kept.append((name, self._last.below([name])))
        return self._last.below(names[len(above) :])

    def close(self) -> None:
        """Hold nothing open; may be called more than once."""
        self._let_go(0)
        if self._root is not None:
            self._root.close()
            self._root = None

    @property
    def _last(self) -> Folder:
        assert self._root is not None
        return self._kept[-1][1] if self._kept else self._root

    def _let_go(self, keep: int) -> None:
        while len(self._kept) > keep:
            self._kept.pop()[1].close()
