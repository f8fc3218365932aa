"""What a LocalStore's packer does with files that change, and with what isn't a plain file."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from twisted_ft.errors import Forbidden
from twisted_ft.stores.conformance.samples import TIME, packed
from twisted_ft.stores.interfaces import Packing
from twisted_ft.stores.local import LocalStore
from twisted_ft.wire.messages import Described, Item, Link, Unsendable, Whole

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these are POSIX's files")
LINKS = Packing(links=True)
_NOBODY = 65534


def kinds(items: dict[bytes, Item]) -> dict[bytes, str]:
    """What each is described as, or what it is in a message."""
    return {
        name: item.kind if isinstance(item, Described) else type(item).__name__.lower()
        for name, item in items.items()
    }


# -- what changes meanwhile ------------------------------------------------------------------


@pytest.mark.parametrize("change", [b"longer than it was", b"short", b"", b"another"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes
) -> None:
    """Whichever way it changes, whether its size does or not."""
    file = tmp_path / "file"
    file.write_bytes(b"content")
    os.utime(file, ns=(TIME, TIME))
    (tmp_path / "other").write_bytes(b"content")
    inode = file.stat().st_ino
    read = os.read

    def changed_before_it_is_read(fd: int, size: int) -> bytes:
        if os.fstat(fd).st_ino == inode:
            file.write_bytes(change)
        return read(fd, size)

    monkeypatch.setattr(os, "read", changed_before_it_is_read)
    packer = LocalStore(tmp_path).packer()
    items = packed(packer, b"", 1000)
    assert isinstance(items[b"other"], Whole)
    os.utime(file, ns=(TIME, TIME))
    for item in (items[b"file"], packer.item(b"", b"file", 1000)):
        assert isinstance(item, Unsendable)
        assert item.code == "changed"
        assert "try again" in item.text
    monkeypatch.undo()
    item = packer.item(b"", b"file", 1000)
    assert isinstance(item, Whole)
    assert item.content == change


@pytest.mark.parametrize("small", [0, 1000])
def test_what_is_gone_since_is_passed_over(tmp_path: Path, small: int) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_text("content")
    found = LocalStore(tmp_path).packer().items(b"", small, Packing())
    first = next(found)
    for each in tmp_path.iterdir():
        each.unlink()
    assert [item.name for item in [first, *found]] == [first.name]


def test_a_folder_that_is_gone_since(tmp_path: Path) -> None:
    """Asked for by a packer that holds it open: it is looked at anew, or has nothing in it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("inner")
    packer = LocalStore(tmp_path).packer()
    assert isinstance(packer.item(b"folder", b"inner", 1000), Whole)
    shutil.rmtree(tmp_path / "folder")
    item = packer.item(b"folder", b"inner", 1000)
    assert isinstance(item, Unsendable)
    assert item.code == "not-found"


# -- what isn't a plain file -------------------------------------------------------------------


@pytest.fixture
def odd_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing is a plain file but one."""
    monkeypatch.chdir(tmp_path)  # a socket's path has room for about 100 bytes (unix(7))
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("content")
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "to-nothing").symlink_to("nothing")
    return tmp_path


@pytest.mark.parametrize("small", [0, 1000])
def test_only_plain_files_are_opened(
    odd_place: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    """So nothing waits for a FIFO's other end, and no device does anything."""
    opened: list[bytes] = []
    real = os.open

    def watched(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & os.O_DIRECTORY:
            opened.append(path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", watched)
    packer = LocalStore(odd_place).packer()
    for packing in (Packing(), Packing(digests=True)):
        assert kinds(packed(packer, b"", small, packing)) == {
            b"fifo": "other",
            b"socket": "other",
            b"folder": "directory",
            b"file": "whole" if small else "file",
            b"to-file": "link",
            b"to-folder": "link",
            b"to-nothing": "link",
        }
    for name in (b"fifo", b"socket"):
        item = packer.item(b"", name, 1000)
        assert isinstance(item, Described)
        assert item.kind == "other"
        item = packer.describe(name)
        assert isinstance(item, Described)
        assert item.kind == "other"
    assert set(opened) == {b"file"}


def test_a_device(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "zero", 0o20666, os.makedev(1, 5))
    except OSError as error:
        pytest.skip(f"only root can make a device: {error}")
    packer = LocalStore(tmp_path).packer()
    for small in (0, 1000):
        assert kinds(packed(packer, b"", small)) == {b"zero": "other"}
    assert not isinstance(packer.item(b"", b"zero", 1000), Whole)


def _to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("secret")


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("become", [_to_fifo, _to_link, _to_folder])
def test_a_file_that_becomes_something_else(tmp_path: Path, become: Callable[[Path], None]) -> None:
    """After it was seen in the listing: it isn't read, nor waited for."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("content")
    found = LocalStore(tmp_path).packer().items(b"", 1000, Packing())
    first = next(found)
    (other,) = {b"one", b"two"} - {first.name}
    become(tmp_path / os.fsdecode(other))
    (tmp_path / "secret").write_text("secret")
    (item,) = (each for each in found if each.name == other)
    assert not isinstance(item, Whole)


# -- links -----------------------------------------------------------------------------------


def test_links_are_read_where_they_are_asked_for(odd_place: Path) -> None:
    """What they lead to never is."""
    os.utime(odd_place / "to-file", ns=(TIME, TIME), follow_symlinks=False)
    packer = LocalStore(odd_place).packer()
    for small in (0, 1000):
        items = packed(packer, b"", small, LINKS)
        assert items[b"to-file"] == Link(b"to-file", TIME, b"file")
        targets = {item.name: item.target for item in items.values() if isinstance(item, Link)}
        assert targets == {b"to-file": b"file", b"to-folder": b"folder", b"to-nothing": b"nothing"}
    for name in (b"to-file", b"to-folder", b"to-nothing"):
        item = packer.item(b"", name, 1000)
        assert isinstance(item, Described)
        assert item.kind == "link"


def test_names_and_targets_that_are_no_text(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path)
    os.mkdir(place + b"/\xff")
    os.symlink(b"\xfe/\n", place + b"/\xff/\xfd")
    with open(place + b"/\xff/\xfc\n", "wb") as file:
        file.write(b"content")
    packer = LocalStore(tmp_path).packer()
    items = packed(packer, b"\xff", 1000, LINKS)
    assert kinds(items) == {b"\xfd": "link", b"\xfc\n": "whole"}
    assert getattr(items[b"\xfd"], "target", None) == b"\xfe/\n"
    assert isinstance(packer.item(b"\xff", b"\xfc\n", 1000), Whole)
    assert packer.describe(b"\xff/\xfd").name == b"\xff/\xfd"


# -- what may not be read --------------------------------------------------------------------


@pytest.fixture
def anyones_place() -> Iterator[Path]:
    """A folder that every user can reach; nothing but ``file`` in it may be read."""
    place = Path(tempfile.mkdtemp())
    for name in ("file", "secret"):
        (place / name).write_text("content")
    (place / "secret").chmod(0)
    (place / "closed").mkdir()
    (place / "closed").chmod(0)
    place.chmod(0o755)
    yield place
    (place / "closed").chmod(0o700)
    shutil.rmtree(place)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Without root's privileges, to whom every permission is given."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("nobody")
def test_a_file_that_may_not_be_read(anyones_place: Path) -> None:
    """It is named, with why; the others come."""
    packer = LocalStore(anyones_place).packer()
    for item in (
        packed(packer, b"", 1000)[b"secret"],
        packed(packer, b"", 0, Packing(digests=True))[b"secret"],
        packer.item(b"", b"secret", 1000),
    ):
        assert item == Unsendable(b"secret", "forbidden", "secret: permission denied")
    assert kinds(packed(packer, b"", 1000)) == {
        b"file": "whole",
        b"secret": "unsendable",
        b"closed": "directory",
    }
    assert kinds(packed(packer, b"", 0))[b"secret"] == "file"
    with pytest.raises(Forbidden, match="closed: permission denied"):
        packed(packer, b"closed", 1000)
