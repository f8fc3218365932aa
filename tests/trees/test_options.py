"""Which things of a tree go, by patterns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_ft.transfer.exchanges.tree_plan import SendOptions
from twisted_ft.trees.options import TreeOptions
from twisted_ft.wire.messages import Described, Item, Settled, Whole

TREE = [
    b"a.py",
    b"b.txt",
    b"src/",
    b"src/c.py",
    b"src/d.o",
    b"src/build/",
    b"src/build/e.o",
    b"build",
]
"""Files and folders; the latter end in a slash."""


def taken(options: TreeOptions) -> list[bytes]:
    """What of TREE goes."""
    return [path for path in TREE if options.takes_all_of(path.rstrip(b"/"), path.endswith(b"/"))]


@pytest.mark.parametrize(
    ("exclude", "left_out"),
    [
        ([], []),
        (["*.o"], [b"src/d.o", b"src/build/e.o"]),
        (["build"], [b"src/build/", b"src/build/e.o", b"build"]),
        (["build/"], [b"src/build/", b"src/build/e.o"]),
        (["/build"], [b"build"]),
        (["/c.py"], []),
        (["src"], [b"src/", b"src/c.py", b"src/d.o", b"src/build/", b"src/build/e.o"]),
        (["src/*.o"], [b"src/d.o"]),
        (["src/**/*.o"], [b"src/d.o", b"src/build/e.o"]),
        (["?.py", "b.txt"], [b"a.py", b"b.txt", b"src/c.py"]),
        (["*.py", "!c.py"], [b"a.py"]),
        (["!c.py", "*.py"], [b"a.py", b"src/c.py"]),
        (
            ["src/", "!src/c.py"],
            [b"src/", b"src/c.py", b"src/d.o", b"src/build/", b"src/build/e.o"],
        ),
        (["# a.py", ""], []),
        (["[ab].*"], [b"a.py", b"b.txt"]),
        (["*"], TREE),
    ],
)
def test_what_is_excluded(exclude: list[str], left_out: list[bytes]) -> None:
    """With all that is in it."""
    assert taken(TreeOptions(exclude=exclude)) == [path for path in TREE if path not in left_out]


@pytest.mark.parametrize(
    ("include", "files"),
    [
        (["*.py"], [b"a.py", b"src/c.py"]),
        (["/*.py"], [b"a.py"]),
        (["src/"], [b"src/c.py", b"src/d.o", b"src/build/e.o"]),
        (["build"], [b"src/build/e.o", b"build"]),
        (["*.py", "!a.py"], [b"src/c.py"]),
        (["nothing"], []),
    ],
)
def test_what_is_included_by_itself(include: list[str], files: list[bytes]) -> None:
    """No other files go; every folder does, as something may be in it."""
    folders = [path for path in TREE if path.endswith(b"/")]
    expected = {*files, *folders}
    assert taken(TreeOptions(include=include)) == [path for path in TREE if path in expected]


@pytest.mark.parametrize(
    ("include", "exclude", "left_out"),
    [
        (["e.o"], ["*.o"], [b"src/d.o"]),
        (["a.py"], ["*.py"], [b"src/c.py"]),
        (["a.py"], ["*"], [path for path in TREE if path != b"a.py"]),
        (["*/", "*.py"], ["*"], [b"b.txt", b"build"]),  # what is in a folder goes with it
        (["src/c.py"], ["src/"], [path for path in TREE if path.startswith(b"src/")]),
        (["*.txt"], ["*.py"], [b"a.py", b"src/c.py"]),
        (["*.o", "!d.o"], ["*.o"], [b"src/d.o"]),
    ],
)
def test_what_is_included_although_it_is_excluded(
    include: list[str], exclude: list[str], left_out: list[bytes]
) -> None:
    """If the folders that it is in go."""
    kept = [path for path in TREE if path not in left_out]
    assert taken(TreeOptions(include=include, exclude=exclude)) == kept


@pytest.mark.parametrize("pattern", ["!", "a\\", "[z-a]"])
@pytest.mark.parametrize("which", ["include", "exclude"])
def test_what_is_no_pattern(pattern: str, which: str) -> None:
    """It is said at once, and not when a tree is under way."""
    with pytest.raises(ValueError, match="pattern"):
        TreeOptions(**{which: ["*.py", pattern]})  # type: ignore[arg-type]


def test_names_that_are_no_text() -> None:
    options = TreeOptions(exclude=["*.o", "é"])
    assert not options.takes(b"\xff.o", False)
    assert options.takes(b"\xff.p", False)
    assert not options.takes("é".encode(), False)
    assert options.takes("é".encode("latin-1"), False)


def test_items_are_chosen_by_what_they_are() -> None:
    """The root always goes, and so does the end of a folder that goes."""
    chosen = TreeOptions(exclude=["build/", "*.o"]).chosen
    assert chosen is not None
    folder = Described(b"build", "directory", 0, 0, 0o755)
    for item, is_chosen in (
        (folder, False),
        (Settled(b"build", 0, 0o755), False),
        (Settled(b"built", 0, 0o755), True),
        (Settled(b"", 0, 0o755), True),
        (Described(b"", "directory", 0, 0, 0o755), True),
        (Described(b"build", "file", 0, 0, 0o644), True),
        (Whole(b"x.o", 0, 0, b"", b"d" * 32), False),
        (Whole(b"x.c", 0, 0, b"", b"d" * 32), True),
    ):
        for above in (b"", b"src") if item.name else (b"",):
            assert chosen(above, item) == is_chosen


def test_without_patterns_everything_goes() -> None:
    assert TreeOptions().chosen is None
    assert taken(TreeOptions()) == TREE


@pytest.mark.parametrize("says_ends", [True, False])
def test_the_sender_asks_where_what_is_there_counts(says_ends: bool) -> None:
    def send_options(options: TreeOptions) -> SendOptions:
        return options.send_options(says_ends)

    assert not send_options(TreeOptions()).ask
    for options in (
        TreeOptions(checksum=True),
        TreeOptions(include=["a"]),
        TreeOptions(exclude=["a"]),
    ):
        assert send_options(options).ask
    assert send_options(TreeOptions(links=True, checksum=True)).packing == (True, True)
    assert send_options(TreeOptions()).packing == (False, False)
    assert send_options(TreeOptions()).says_ends == says_ends


names = st.sampled_from([b"a", b"b", b"a.py"])
patterns = st.lists(
    st.sampled_from(["a", "b/", "/a", "*.py", "a/b", "!a", "**/b", "*"]), max_size=3
)


@settings(max_examples=200, deadline=None)
@given(patterns, patterns, st.lists(names, min_size=1, max_size=4))
def test_nothing_goes_without_the_folder_that_it_is_in(
    include: list[str], exclude: list[str], path: list[bytes]
) -> None:
    """What the items of a walk say is what is said of a whole path."""
    options = TreeOptions(include=include, exclude=exclude)
    chosen = options.chosen or (lambda _folder, _item: True)
    goes = True
    for depth, name in enumerate(path[:-1]):
        item: Item = Described(name, "directory", 0, 0, 0o755)
        goes = goes and chosen(b"/".join(path[:depth]), item)
        assert options.takes_all_of(b"/".join(path[: depth + 1]), True) == goes
    file = Described(path[-1], "file", 0, 0, 0o644)
    goes = goes and chosen(b"/".join(path[:-1]), file)
    assert options.takes_all_of(b"/".join(path), False) == goes
