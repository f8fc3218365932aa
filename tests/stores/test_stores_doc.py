"""The stores that docs/stores.md shows are what it says."""

from __future__ import annotations

import os
import re
import stat
import warnings
from calendar import timegm
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.kit.planting import gathered
from twisted_ft import Attributes, FileTransferFactory, LocalStore, MemoryStore, StoreWrapper
from twisted_ft.errors import BadName, NotFound, ReadOnly, SourceChanged, StorageFailed
from twisted_ft.server import EVERYTHING, READING, Session
from twisted_ft.stores.conformance.samples import content_of, opened, unpacked, whole
from twisted_ft.stores.piecewise import packer_of, unpacker_of
from twisted_ft.stores.tree import entries_below
from twisted_ft.testing import MemoryNetwork

_PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
_BLOCKS = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
_NAMES: dict[str, Any] = {"__name__": __name__}
for _block in _BLOCKS:
    exec(compile(_block, str(_PAGE), "exec"), _NAMES)

TestAnnouncingStore = _NAMES["TestAnnouncingStore"]
TestZipStore = _NAMES["TestZipStore"]
ZipStore = _NAMES["ZipStore"]


def test_the_inbox_tells_of_what_has_arrived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Reactor:
        def callFromThread(self, function: Callable[..., Any], *args: object) -> None:
            function(*args)

    factory = _NAMES["inbox"](Reactor(), str(tmp_path))
    sink = factory.store.sink(Attributes(b"new", 0, 0, 0o644, b"1"), True)
    sink.publish()
    assert capsys.readouterr().out == "arrived: b'new'\n"


def test_it_is_told_of_each_file_of_a_tree_on_the_fast_ways(tmp_path: Path) -> None:
    """Large ones, which come by themselves, and small ones; and of each once."""
    (tmp_path / "here").mkdir()
    for name, size in (("a", 3), ("b", 4), ("large", 3 << 20)):
        (tmp_path / "here" / name).write_bytes(bytes(size))
        os.utime(tmp_path / "here" / name, ns=(5, 5))
    for inner in (LocalStore(tmp_path / "there", makes_root=True), MemoryStore()):
        arrived: list[bytes] = []
        store = _NAMES["AnnouncingStore"](inner, arrived.append)
        assert type(packer_of(store)) is type(packer_of(inner))
        unpacker: Any = unpacker_of(store, True, True)
        assert type(unpacker.inner) is type(unpacker_of(inner, True, True))
        (tmp_path / "there").mkdir(exist_ok=True)
        network = MemoryNetwork()
        factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
        client = network.client(factory)
        for _ in range(2):
            network.run(gathered(client.put_tree(tmp_path / "here", "new")))
        assert sorted(arrived) == [b"new/a", b"new/b", b"new/large"]


def test_the_archive_stays_as_it_is() -> None:
    inner = MemoryStore({b"archive/old": b"old"})
    unpacker = unpacker_of(_NAMES["ArchivingStore"](inner), True, True)
    new, old = whole(b"new", b"new"), whole(b"old", b"new")
    assert unpacked(unpacker, (b"archive", [old]), (b"", [new])) == ["read-only", "done"]
    assert inner.files[b"archive/old"].content == b"old"


# -- the zip file's store ------------------------------------------------------------------


def test_what_isnt_one_name_of_one_file_is_left_out(tmp_path: Path) -> None:
    """Names that lead out, or that programs understand in different ways; and what isn't a file."""
    link = ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with warnings.catch_warnings(), ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name in (
            *("../up", "a/../../up", "/etc/passwd", "//host/share", "C:\\up", "a\\b", "..\\up"),
            *("./here", "a//b", "n" * 256, ".ft-0123456789abcdef0123456789abcdef.part"),
            *("twice", "twice", "both", "both/inner", "good/deep/file", "\x1b[2J", "empty/"),
        ):
            archive.writestr(name, b"" if name.endswith("/") else b"content")
        archive.writestr(link, "/etc/passwd")
    store = ZipStore(tmp_path / "a.zip")
    assert [each.path for each in entries_below(store, b"")] == [
        *(b"\x1b[2J", b"both", b"empty", b"good", b"both/inner", b"good/deep", b"good/deep/file"),
    ]
    for path in (b"twice", b"link", b"a\\b", b"up", b"a"):
        with pytest.raises(NotFound):
            store.source(path)
    for path in (b"../up", b"/etc/passwd", b"a//b", b"./here"):
        with pytest.raises(BadName):
            store.source(path)


def zip_of(place: Path, **files: bytes) -> Path:
    with ZipFile(place / "a.zip", "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(ZipInfo(name, (2024, 5, 6, 7, 8, 10)), content, ZIP_DEFLATED)
    return place / "a.zip"


def test_a_member_is_carried_on_with_and_keeps_its_time(tmp_path: Path) -> None:
    content = content_of(3 << 20)
    store = ZipStore(zip_of(tmp_path, big=content))
    network, here = MemoryNetwork(), MemoryStore()
    with opened(store, b"big") as source:
        sink = here.sink(source.attributes, True)
        sink.write([content[: 1 << 20]])
        sink.keep()
    client = network.client(FileTransferFactory(store, runtime=network.runtime))
    delivery = network.run(client.fetch("big", here, "big"))
    assert (delivery.resumed_from, delivery.sent) == (1 << 20, 2 << 20)
    assert here.files[b"big"].content == content
    assert here.files[b"big"].mtime == timegm((2024, 5, 6, 7, 8, 10, 0, 0, 0)) * 10**9


def test_a_whole_zip_file_is_fetched_and_nothing_is_put(tmp_path: Path) -> None:
    store = ZipStore(zip_of(tmp_path, **{"a": b"one", "b/c": b"two", "large": bytes(1 << 20)}))
    network = MemoryNetwork()
    with capturedLogs() as log:
        factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
        factory.doStart()
        factory.doStop()
    assert [formatEvent(each) for each in log] == [
        "this store can't be written to: it is served read-only"
    ]
    client = network.client(factory)
    for status in ("done", "skipped"):
        got = network.run(gathered(client.get_tree("", tmp_path / "here")))
        assert {each.status for each in got.values()} == {status}
    assert (tmp_path / "here/b/c").read_bytes() == b"two"
    changes: list[Callable[[], Any]] = [
        lambda: client.put(tmp_path / "here/a", "new"),
        lambda: client.mkdir("new"),
        lambda: client.rename("a", "new"),
        lambda: client.remove("a"),
        lambda: gathered(client.put_tree(tmp_path / "here", "b")),
    ]
    for change in changes:
        with pytest.raises(ReadOnly, match="this server is read-only"):
            network.run(change())


def test_who_may_everything_may_only_read_it(tmp_path: Path) -> None:
    session = Session(ZipStore(zip_of(tmp_path)), EVERYTHING)
    assert session.rights == READING
    assert Session(MemoryStore(), EVERYTHING).rights == EVERYTHING
    assert Session(StoreWrapper(session.store), EVERYTHING).rights == READING


def test_what_is_damaged_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A member, the whole file, and none at all; the reasons are of zipfile's, or zlib's."""
    path = zip_of(tmp_path, a=content_of(5000))
    whole = path.read_bytes()
    place = whole.index(b"a", 30) + 5
    for damaged in (whole[:place] + b"\xff\xff\xff" + whole[place + 3 :], whole[:100], b""):
        path.write_bytes(damaged)
        store = ZipStore(path)
        with (
            pytest.raises(StorageFailed, match="can't be had from the zip file") as caught,
            opened(store, b"a") as source,
        ):
            source.read(0, 5000)
        assert caught.value.text.isprintable()
    path.unlink()
    with pytest.raises(StorageFailed):
        list(ZipStore(path).entries(b""))


def test_a_zip_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """In its place, which is noticed; replaced by another it is read to its end."""
    path = zip_of(tmp_path, a=b"one")
    store = ZipStore(path)
    with opened(store, b"a") as source:
        path.replace(tmp_path / "old.zip")
        zip_of(tmp_path, a=b"another")
        assert source.read(0, 10) == b"one"
        source.check()
        with opened(store, b"a") as later:
            assert later.read(0, 10) == b"another"
            with path.open("ab") as file:
                file.write(b"more")
            with pytest.raises(SourceChanged):
                later.check()
