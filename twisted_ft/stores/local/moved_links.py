"""Links that are moved: a place that is less deep may be one from which they lead out."""

from __future__ import annotations

from contextlib import closing

from twisted_ft.stores.local.descent import folders_below
from twisted_ft.stores.local.folder import Folder
from twisted_ft.stores.names import check_link_move, join


def check_moved_links(here: Folder, name: bytes, path: bytes, new: bytes) -> None:
    """Whether no link that stays below the root at ``path`` would lead out of it at ``new``.

    :param name: what is to be moved, in the folder ``here``: a link, or a folder with links in it
    :param path: its path; whatever a folder has below is looked at, in bounded memory
    :raises BadName: this link would, and is named
    """
    if path.count(b"/") <= new.count(b"/"):
        return
    if not here.has_folder(name):
        if here.is_link(name):
            check_link_move(path, new, here.read_link(name))
        return
    with here.below([name]) as top, closing(folders_below(top)) as folders:
        for within, folder in folders:
            with closing(folder.links()) as links:
                for link in links:
                    below = join(within, link)
                    check_link_move(join(path, below), join(new, below), folder.read_link(link))
