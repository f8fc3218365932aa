"""What a LocalStore's unpacker warrants of the folders that it puts files into."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.stores import PlainLocalStore
from twisted_ft.errors import StorageFailed
from twisted_ft.stores import system
from twisted_ft.stores.conformance.samples import (
    TIME,
    described,
    file_described,
    folder_described,
    unpacked,
    whole,
)
from twisted_ft.stores.interfaces import Unpacker
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.piecewise import unpacker_of
from twisted_ft.wire.messages import Item, Link, Settled

pytestmark = pytest.mark.skipif(
    not system.SYNCS_FILE_SYSTEMS, reason="what happens meanwhile is seen as syncfs is called"
)
FOLDERS = [b"", b"folder", b"new"]
"""The root, a folder that is there with ``inner`` in it, and one that the unpacker makes."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder to unpack into, beside one that nothing may get into."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (tmp_path / "place" / "folder").mkdir(parents=True)
    (tmp_path / "place" / "folder" / "inner").write_text("inner")
    yield tmp_path / "place"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["outside", "place"]
    assert [each.name for each in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"


def unpacker(place: Path, overwrite: bool = True, durable: bool = False) -> Unpacker:
    return LocalStore(place).unpacker(overwrite, durable)


def into(folder: bytes, items: list[Item]) -> list[tuple[bytes, list[Item]]]:
    """The parts that bring ``items`` into one of FOLDERS."""
    first: list[Item] = [folder_described(b"")]
    return [(folder, first), (folder, items)]


def files(*contents: bytes) -> list[Item]:
    return [whole(b"%d" % number, content) for number, content in enumerate(contents)]


def at(place: Path, folder: bytes) -> Path:
    return place / os.fsdecode(folder)


def partial(place: Path) -> list[str]:
    """What there is, anywhere, under other names than its own."""
    return sorted(each.name for each in place.rglob(".ft-*"))


def part(number: int) -> str:
    return f".ft-{number:032x}.part"


class Meanwhile:
    """Does something, once, when an unpacker has written everything and would sync it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._do: Callable[[], None] = lambda: None
        monkeypatch.setattr(system, "sync_file_system", self._called)

    def do(self, what: Callable[[], None]) -> None:
        self._do = what

    def _called(self, fd: int) -> None:
        what, self._do = self._do, lambda: None
        what()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_has_its_name_before_it_is_whole(
    place: Path, meanwhile: Meanwhile, folder: bytes
) -> None:
    if folder != b"new":
        (at(place, folder) / "0").write_text("before")
    seen: list[list[str]] = []

    def look() -> None:
        there = at(place, folder)
        seen.append([each.name for each in there.iterdir()] if there.is_dir() else [])
        if folder != b"new":
            assert (at(place, folder) / "0").read_text() == "before"

    meanwhile.do(look)
    assert (
        unpacked(unpacker(place, durable=True), *into(folder, files(b"a", b"b")))[1:]
        == ["done"] * 2
    )
    (names,) = seen
    assert "1" not in names
    assert ("0" in names) == (folder != b"new")
    assert (at(place, folder) / "0").read_bytes() == b"a"
    assert (at(place, folder) / "1").read_bytes() == b"b"
    assert partial(place) == []


@pytest.mark.parametrize("folder", [b"", b"folder"])
@pytest.mark.parametrize("left", [1, 3, 7])
def test_numbers_count_from_0_and_take_over_what_was_left(
    place: Path, meanwhile: Meanwhile, folder: bytes, left: int
) -> None:
    """Of a process that was killed: also what nobody may write, and more than is written now."""
    for number in range(left):
        (at(place, folder) / part(number)).write_text("left over, and longer than what comes")
        (at(place, folder) / part(number)).chmod(0o400)
    seen: list[list[str]] = []
    meanwhile.do(lambda: seen.append(partial(place)))
    assert (
        unpacked(unpacker(place, durable=True), (folder, files(b"a", b"b", b"c"))) == ["done"] * 3
    )
    assert seen == [[part(number) for number in range(max(left, 3))]]
    assert [(at(place, folder) / str(n)).read_bytes() for n in range(3)] == [b"a", b"b", b"c"]
    assert (at(place, folder) / "0").stat().st_mode & 0o777 == 0o640
    assert partial(place) == []


def test_numbers_count_from_0_in_each_folder(place: Path, meanwhile: Meanwhile) -> None:
    seen: list[list[str]] = []
    meanwhile.do(lambda: seen.append(partial(place)))
    assert (
        unpacked(unpacker(place, durable=True), (b"", files(b"a", b"b")), (b"folder", files(b"c")))
        == ["done"] * 3
    )
    assert seen == [[part(0), part(0), part(1)]]


def test_what_is_left_of_a_new_folder_is_removed(place: Path, meanwhile: Meanwhile) -> None:
    """It stands beside the folder, under another name, with files in it that have theirs."""
    left: list[str] = []
    meanwhile.do(lambda: left.extend(partial(place)))
    assert unpacked(unpacker(place, durable=True), *into(b"new", files(b"a"))) == ["done", "done"]
    assert len(left) == 1
    (place / "new").rename(place / left[0])
    (place / left[0] / "deeper").mkdir()
    again = unpacker(place, durable=True)
    assert unpacked(again, *into(b"new", files(b"b", b"c"))) == ["done", "done", "done"]
    assert sorted(each.name for each in (place / "new").iterdir()) == ["0", "1"]
    assert partial(place) == []


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("overwrite", [True, False])
def test_two_at_once_do_not_mix(
    place: Path, meanwhile: Meanwhile, folder: bytes, overwrite: bool
) -> None:
    one, other = unpacker(place, overwrite, durable=True), unpacker(place, overwrite, durable=True)
    others: list[Item] = [*files(b"A")[:1], whole(b"other", b"O"), folder_described(b"below")]

    def unpack_others() -> None:
        assert set(unpacked(other, *into(folder, others))[1:]) == {"done"}

    meanwhile.do(unpack_others)
    outcomes = unpacked(one, *into(folder, files(b"a", b"b", b"c")))[1:]
    assert outcomes == ["done" if overwrite else "exists", "done", "done"]
    here = at(place, folder)
    assert (here / "0").read_bytes() == (b"a" if overwrite else b"A")
    assert [(here / name).read_bytes() for name in ("1", "2", "other")] == [b"b", b"c", b"O"]
    assert (here / "below").is_dir()
    assert partial(place) == []


@pytest.mark.parametrize(
    ("call", "item"),
    [
        ("open", whole(b"x", b"1234")),
        ("mkdir", folder_described(b"x")),
        ("symlink", Link(b"x", TIME, b"0")),
    ],
)
def test_a_folder_that_another_one_fills_meanwhile(
    place: Path, monkeypatch: pytest.MonkeyPatch, call: str, item: Item
) -> None:
    """It is another folder then, with the same name; everything arrives in that."""
    one, other = unpacker(place), unpacker(place)
    assert unpacked(one, (b"", [folder_described(b"new")])) == ["done"]
    real = getattr(os, call)
    calls: list[tuple[object, ...]] = []

    def called(*args: object, **named: object) -> object:
        names = [each for each in args[:2] if isinstance(each, bytes)]
        if not calls and any(name == b"x" or b".ft-" in name for name in names):
            calls.append(args)
            assert unpacked(one, (b"new", files(b"a"))) == ["done"]
        return real(*args, **named)

    monkeypatch.setattr(os, call, called)
    assert unpacked(other, (b"new", [file_described(b"0", b""), item])) == ["wanted", "done"]
    assert calls
    assert sorted(each.name for each in (place / "new").iterdir()) == ["0", "x"]
    assert partial(place) == []


# -- what is in the way ----------------------------------------------------------------------


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has room for about 100 bytes (unix(7))
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"only root can make a device: {error}")


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (os.mkfifo, "not-a-file"),
        (_socket, "not-a-file"),
        (_device, "not-a-file"),
        (os.mkdir, "is-a-directory"),
    ],
)
def test_only_files_and_links_are_replaced(
    place: Path, make: Callable[[Path], None], code: str, overwrite: bool
) -> None:
    for folder in (b"", b"folder"):
        standing = at(place, folder) / "standing"
        make(standing)
        before = standing.lstat()
        items: list[Item] = [
            whole(b"standing", b"1234"),
            whole(b"other", b"1234"),
            file_described(b"standing", b"1234"),
            Link(b"standing", TIME, b"other"),
        ]
        outcomes = unpacked(unpacker(place, overwrite), (folder, items))
        assert outcomes == [code, "done", code, code]
        assert os.path.samestat(standing.lstat(), before)
        assert partial(place) == []


@pytest.mark.parametrize("target", ["../outside/secret", "nothing", "folder"])
def test_a_link_is_replaced_itself(place: Path, target: str) -> None:
    (place / "link").symlink_to(target)
    items: list[Item] = [file_described(b"link", b"1234"), whole(b"link", b"1234")]
    assert unpacked(unpacker(place, overwrite=False), (b"", items)) == ["exists", "exists"]
    assert (place / "link").is_symlink()
    assert unpacked(unpacker(place), (b"", items)) == ["wanted", "done"]
    assert not (place / "link").is_symlink()
    assert (place / "link").read_bytes() == b"1234"


@pytest.mark.parametrize("target", ["../outside", "folder", "link", "nothing"])
def test_no_link_is_followed(place: Path, target: str) -> None:
    (place / "link").symlink_to(target)
    items: list[Item] = [
        whole(b"x", b"1234"),
        file_described(b"secret", b"1234"),
        folder_described(b"x"),
        Link(b"x", TIME, b"y"),
        Settled(b"x", TIME, 0o700),
    ]
    for folder in (b"link", b"link/below"):
        assert unpacked(unpacker(place), (folder, items)) == ["not-a-file"] * 5
    root: list[Item] = [folder_described(b"link"), Settled(b"link", TIME, 0o700)]
    assert unpacked(unpacker(place), (b"", root)) == ["not-a-directory", "not-a-file"]
    assert os.readlink(place / "link") == target
    assert [each.name for each in (place / "folder").iterdir()] == ["inner"]


# -- permissions -----------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_permissions_are_those_said_whatever_the_umask(place: Path, mask: int) -> None:
    modes = (0o000, 0o200, 0o444, 0o666, 0o777, 0o4755)
    items: list[Item] = [whole(b"%o" % mode, b"1234", mode=mode) for mode in modes]
    (place / "new").mkdir()
    before = os.umask(mask)
    try:
        outcomes = unpacked(unpacker(place), (b"", items), (b"folder", items), (b"new", items))
    finally:
        os.umask(before)
    assert set(outcomes) == {"done"}
    for folder in FOLDERS:
        for mode in modes:
            status = (at(place, folder) / f"{mode:o}").stat()
            assert stat.S_IMODE(status.st_mode) == mode & 0o777
            assert status.st_mtime_ns == TIME


def test_a_folders_group_is_that_of_what_comes_into_it(place: Path) -> None:
    """Where the folder is setgid, which it stays."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to any group")
    for above in (place, place / "folder"):
        os.chown(above, -1, 12345)
        above.chmod(0o2775)
    items: list[Item] = [*files(b"a"), folder_described(b"below")]
    one = unpacker(place)
    for folder in FOLDERS:
        assert unpacked(one, *into(folder, items))[1:] == ["done", "done"]
    root: list[Item] = [Settled(b"new", TIME, 0o750)]
    assert unpacked(one, (b"", root)) == ["done"]
    assert {each.stat().st_gid for each in place.rglob("*") if each.name != "inner"} == {12345}
    assert stat.S_IMODE((place / "new").stat().st_mode) == 0o2750
    assert (place / "new").stat().st_mtime_ns == TIME


# -- whose folders they are ------------------------------------------------------------------


def settled_in(place: Path, name: bytes, overwrite: bool, *parts: tuple[bytes, list[Item]]) -> str:
    """What becomes of a Settled without permissions, for ``name`` in the root, after ``parts``."""
    one = unpacker(place, overwrite)
    return unpacked(one, *parts, (b"", [Settled(name, TIME, 0o000)]))[-1]


@pytest.mark.parametrize("overwrite", [True, False])
def test_the_root_is_nobodys(place: Path, overwrite: bool) -> None:
    """Not even where it was empty, or was said to be made."""
    before = place.stat()
    root: list[Item] = [folder_described(b"")]
    assert settled_in(place, b"", overwrite) == "held"
    assert settled_in(place, b"", overwrite, (b"", root)) == "held"
    (place / "folder" / "inner").unlink()
    (place / "folder").rmdir()
    empty = place.stat()
    assert settled_in(place, b"", overwrite, (b"", root)) == "held"
    after = place.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, empty.st_mtime_ns)
    (place / "folder").mkdir()


@pytest.mark.parametrize("way", ["in the root", "as a tree's root"])
def test_a_folder_that_was_there_is_settled_only_where_files_may_be_replaced(
    place: Path, way: str
) -> None:
    before = (place / "folder").stat()
    item = Settled(b"folder" if way == "in the root" else b"", TIME, 0o700)
    above = b"" if item.name else b"folder"
    assert unpacked(unpacker(place, False), (above, [item])) == ["held"]
    there: list[Item] = [folder_described(b"folder"), folder_described(b"empty")]
    (place / "empty").mkdir()
    ends: list[Item] = [item, Settled(b"empty", TIME, 0o700)]
    parts: list[tuple[bytes, list[Item]]] = [(b"", there), (above, ends[:1]), (b"", ends[1:])]
    assert unpacked(unpacker(place, False), *parts)[2:] == ["held", "held"]
    assert (place / "folder").stat().st_mode == before.st_mode
    assert (place / "folder").stat().st_mtime_ns == before.st_mtime_ns
    assert unpacked(unpacker(place, True), (above, [item])) == ["done"]
    assert (place / "folder").stat().st_mtime_ns == TIME


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_stays_its_owners(place: Path, overwrite: bool) -> None:
    """Whatever is said: who has the folder can go into it, and change it."""
    new = folder_described(b"new")
    assert settled_in(place, b"new", overwrite, (b"", [new]), (b"new", files(b"a"))) == "done"
    assert stat.S_IMODE((place / "new").stat().st_mode) == 0o700
    assert (place / "new").stat().st_mtime_ns == TIME


def test_a_folder_that_another_one_made_meanwhile_is_not_settled(
    place: Path, meanwhile: Meanwhile
) -> None:
    """Where files may not be replaced."""
    one = unpacker(place, False, durable=True)

    def another() -> None:
        (place / "new").mkdir(mode=0o750)
        (place / "new" / "theirs").write_text("theirs")

    meanwhile.do(another)
    assert unpacked(one, *into(b"new", files(b"a"))) == ["done", "done"]
    assert unpacked(one, (b"", [Settled(b"new", TIME, 0o777)])) == ["held"]
    assert stat.S_IMODE((place / "new").stat().st_mode) == 0o750


# -- a root that has vanished ----------------------------------------------------------------


@pytest.mark.parametrize("makes_root", [True, False])
def test_only_whoever_says_so_makes_the_root(tmp_path: Path, makes_root: bool) -> None:
    """A server's is gone if its disk is, and what came would go to another one."""
    place = tmp_path / "mount" / "served"
    store = LocalStore(place, makes_root=makes_root)
    end: list[Item] = [Settled(b"", TIME, 0o750)]
    outcomes = unpacked(store.unpacker(True, True), *into(b"", files(b"a")), (b"", end))
    if makes_root:
        assert outcomes == ["done"] * 3
        assert stat.S_IMODE(place.stat().st_mode) == 0o750
    else:
        assert outcomes == ["storage"] * 3
        assert list(tmp_path.iterdir()) == []


def test_nothing_makes_a_root_that_has_vanished(tmp_path: Path) -> None:
    """The sentence says what has happened, and what to do; not where the folder was."""
    store = LocalStore(tmp_path / "served", makes_root=True)
    plain = unpacker_of(PlainLocalStore(tmp_path / "served"), True, False)
    calls: list[Callable[[], object]] = [
        lambda: store.sink(described(b"new", b"1"), True),
        lambda: store.make_folder(b"new"),
        lambda: list(store.entries(b"")),
        lambda: store.rename(b"a", b"b", True),
        lambda: store.remove(b"a", True),
    ]
    for call in calls:
        with pytest.raises(StorageFailed, match=r"^the root: this folder is gone; .* mounted"):
            call()
    assert unpacked(plain, *into(b"", files(b"a"))) == ["storage"] * 2
    assert list(tmp_path.iterdir()) == []
