"""Names never lead out of the root, whatever a peer makes of them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twisted_ft.errors import BadName, FileTransferError
from twisted_ft.stores.conformance.samples import BAD_NAMES, GOOD_NAMES, described
from twisted_ft.stores.local import LocalStore
from twisted_ft.stores.local import store as local
from twisted_ft.stores.local.record import partial_names
from twisted_ft.stores.names import check_for_windows, components, file_components

PATHS = st.lists(
    st.sampled_from([b"..", b".", b"", b"/", b"a", b"secret", b"\\", b"\0", b"...", b" "])
    | st.binary(max_size=3),
    max_size=6,
).map(b"/".join)
"""Paths as someone would write them who wants to get out."""


@given(PATHS | st.binary(max_size=300))
@example(b"")
def test_an_accepted_path_stays_below_the_root(path: bytes) -> None:
    """And is what it says, so that no two paths are one file."""
    try:
        names = components(path)
    except BadName:
        return
    assert b"/".join(names) == path
    whole = os.path.normpath(os.path.join(b"/root", *names))
    assert whole == b"/root" + (b"/" + path if path else b"")
    assert len(PurePosixPath(os.fsdecode(whole)).parts) == 2 + len(names)


@given(PATHS)
def test_a_store_stays_below_its_root(path: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place, "secret").write_text("secret")
        root = Path(place, "root")
        root.mkdir()
        store = LocalStore(root)
        for use in (store.source, lambda path: next(iter(store.entries(path)))):
            try:
                use(path)
            except (FileTransferError, StopIteration):
                continue
            pytest.fail("something was found in an empty folder")
        try:
            sink = store.sink(described(path, b"x"), True)
        except FileTransferError:
            pass
        else:
            sink.write([b"x"])
            sink.publish()
            assert len(list(root.iterdir())) == 1
        assert sorted(os.listdir(place)) == ["root", "secret"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(name: bytes) -> None:
    assert file_components(b"folder/" + name) == [b"folder", name]


@pytest.mark.parametrize("name", [*BAD_NAMES, b""])
def test_bad_names(name: bytes) -> None:
    with pytest.raises(BadName):
        file_components(name)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/etc/passwd", r"/etc/passwd: names are relative to the served folder; leave the first"),
        (b"a/../b", r"a/\.\./b: a path can't contain '\.' or '\.\.'"),
        (b"a//b", "a//b: there is an empty name in this path"),
        (b"a\0", r"a\\x00: a name can't contain a NUL byte"),
        (b"n" * 256, r"n{40}\.\.\.: a name has at most 255 bytes, not 256"),
        (b"", "no file is named"),
    ],
)
def test_a_refusal_says_what_is_wrong(path: bytes, text: str) -> None:
    with pytest.raises(BadName, match=f"^{text}"):
        file_components(path)


def test_the_names_of_partial_files_are_reserved() -> None:
    """Also as folders, and in any case of letters."""
    for name in partial_names(b"any"):
        for path in (name, name.upper(), b"folder/" + name, name + b"/inner"):
            with pytest.raises(BadName, match="reserved"):
                file_components(path)
        assert file_components(name + b"x")
        assert file_components(b"x" + name)


# -- Windows ---------------------------------------------------------------------------------

NOT_ON_WINDOWS = [
    b"..\\..\\secret",
    b"folder\\..\\..\\secret",
    b"c:",
    b"c:secret",
    b"file:stream",
    b"a?",
    b"a*",
    b'a"',
    b"a<b",
    b"a>b",
    b"a|b",
    b"tab\t",
    b"stripped.",
    b"stripped ",
    b".. ",
    b"...",
    b"NUL",
    b"nul.txt",
    b"Con",
    b"com1.tar.gz",
    b"lpt9 .txt",
    "com\u00b9".encode(),
    b"CONIN$",
    b"latin-1 \xe9",
]


@pytest.mark.parametrize("name", NOT_ON_WINDOWS)
def test_names_that_mean_something_else_on_windows(
    name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_ON_WINDOWS", True)
    (tmp_path / "folder").mkdir()
    store = LocalStore(tmp_path)
    for path in (name, b"folder/" + name, name + b"/x"):
        with pytest.raises(BadName, match="Windows"):
            store.source(path)
        with pytest.raises(BadName, match="Windows"):
            store.sink(described(path, b""), True)
        with pytest.raises(BadName, match="Windows"):
            next(store.entries(path))


def test_names_that_windows_has() -> None:
    names = [b"null", b"console", b".hidden", b"a.b", b"com10", "\u00e9".encode(), b"a b", b"com"]
    check_for_windows(names)
