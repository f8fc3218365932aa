"""Links that are made lead nowhere but to what is below the root, whatever else is there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_ft.errors import BadName
from twisted_ft.stores.conformance.samples import TIME, folder_described, unpacked
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local.folder import HAS_DIR_FD
from twisted_ft.stores.names import check_link_target
from twisted_ft.wire.messages import Item, Link

pytestmark = pytest.mark.skipif(not HAS_DIR_FD, reason="no links are made here")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"link", b"file"),
        (b"link", b"folder/file"),
        (b"link", b"./file"),
        (b"link", b"."),
        (b"link", b"folder/."),
        (b"link", b"folder/"),
        (b"link", b"folder//file"),
        (b"link", b"..."),
        (b"link", b"..file"),
        (b"link", b"nothing"),
        (b"link", b"link"),
        (b"link", b"\xff"),
        (b"a/link", b".."),
        (b"a/link", b"../"),
        (b"a/link", b"../file"),
        (b"a/link", b"..//file"),
        (b"a/b/link", b"../../c/file"),
        (b"a/b/link", b"../.."),
    ],
)
def test_inside(path: bytes, target: bytes) -> None:
    check_link_target(path, target)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"link", b".."),
        (b"link", b"../"),
        (b"link", b"../file"),
        (b"link", b"./.."),
        (b"link", b"folder/.."),
        (b"a/link", b"../.."),
        (b"a/link", b"../../file"),
        (b"a/link", b"..//.."),
        (b"a/link", b".././.."),
        (b"a/link", b"../b/.."),
        (b"a/link", b"./../x"),
        (b"a/link", b"b/../../file"),
        (b"a/b/link", b"../../.."),
        (b"link", b""),
        (b"link", b"nul\0byte"),
        (b"a/link", b"..\0"),
        (b"link", b"/"),
        (b"link", b"/etc/passwd"),
        (b"a/link", b"//a"),
        (b"a/link", b"/.."),
    ],
)
def test_outside(path: bytes, target: bytes) -> None:
    with pytest.raises(BadName) as caught:
        check_link_target(path, target)
    assert caught.value.text.isprintable()


NAMES = [b"a", b"b", b"c"]
FOLDERS = [b"", b"a", b"b", b"a/a", b"a/b", b"a/a/a", b"b/a"]
"""The real folders, of which each but the first may also be a link, where it isn't one yet."""
TARGETS = st.lists(st.sampled_from([b"..", b"..", *NAMES, b".", b"", b"/"]), max_size=6).map(
    b"/".join
)


def is_endless(path: bytes) -> bool:
    """Whether its links lead in a circle, and so nowhere."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@given(
    st.sets(st.sampled_from(FOLDERS[1:])),
    st.lists(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES), TARGETS), max_size=12),
    st.lists(st.sampled_from(NAMES), max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_whatever_links_are_taken_none_leads_out(
    folders: set[bytes], links: list[tuple[bytes, bytes, bytes]], beyond: list[bytes]
) -> None:
    """Alone, one through another, and on from where they lead to."""
    with tempfile.TemporaryDirectory() as above:
        root = os.path.realpath(os.path.join(above, "root"))
        os.mkdir(root)
        unpacker = LocalStore(root).unpacker(True, False)
        for folder in sorted(folders):
            path, _, name = folder.rpartition(b"/")
            unpacked(unpacker, (path, [folder_described(name)]))
        taken: list[bytes] = []
        for folder, name, target in links:
            item: Item = Link(name, TIME, target)
            if unpacked(unpacker, (folder, [item])) in (["done"], ["held"]):
                taken.append(os.path.join(folder, name))
        for path in [*taken, *FOLDERS]:
            place = os.path.join(os.fsencode(root), path)
            assert os.path.islink(place) == (path in taken) or path in FOLDERS
            for there in (place, os.path.join(place, *beyond)):
                if not is_endless(there):
                    assert Path(os.fsdecode(os.path.realpath(there))).is_relative_to(root)
        assert os.listdir(above) == ["root"]


def test_a_link_that_is_there_is_held(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    items: list[Item] = [Link(b"link", TIME, b"x"), Link(b"\xff", TIME, b"\xfe")]
    for overwrite in (True, False):
        unpacker = store.unpacker(overwrite, False)
        assert unpacked(unpacker, (b"", items)) == (["done"] if overwrite else ["held"]) * 2
    assert os.readlink(os.fsencode(tmp_path / "link")) == b"x"
    assert (tmp_path / "link").lstat().st_mtime_ns == TIME
    other: list[Item] = [Link(b"link", TIME, b"y")]
    assert unpacked(store.unpacker(False, False), (b"", other)) == ["exists"]
    assert unpacked(store.unpacker(True, False), (b"", other)) == ["done"]
    assert os.readlink(tmp_path / "link") == "y"
    assert sorted(os.listdir(os.fsencode(tmp_path))) == [b"link", b"\xff"]
