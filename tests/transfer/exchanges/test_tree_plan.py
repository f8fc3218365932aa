"""A tree on its way out: in which order, in which parcels, and everything exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit import longest
from twisted_ft.errors import FileTransferError, Forbidden, NotADirectory, NotFound, StorageFailed
from twisted_ft.stores.interfaces import Packer, Packing
from twisted_ft.stores.memory import MemoryStore
from twisted_ft.stores.piecewise import packer_of
from twisted_ft.stores.states import States
from twisted_ft.transfer.exchanges.tree_plan import (
    PARCEL_ITEMS,
    ParcelDraft,
    SendOptions,
    TreePlan,
    parcel_size,
)
from twisted_ft.wire.frames import HEADER_SIZE, decode, encode
from twisted_ft.wire.messages import (
    LEAST_MESSAGE,
    NAME_LIMIT,
    PATH_LIMIT,
    SUM_LIMIT,
    TEXT_LIMIT,
    Described,
    Item,
    Parcel,
    Part,
    Settled,
    Summed,
    Unsendable,
    Whole,
)
from twisted_ft.wire.sizes import MOST_PART, MOST_WHOLE

FILES = {b"a": b"1", b"b/x": b"2", b"b/c/y": b"3", b"b/d/z": b"4", b"e/f": b"5"}
WIDE = 1 << 20


@dataclass
class Receiver:
    """Answers each parcel, as one that has ``files`` and ``folders`` does; and notes it all."""

    walk: TreePlan
    folders: set[bytes] = field(default_factory=set)
    files: dict[bytes, bytes] = field(default_factory=dict)
    declines: set[bytes] = field(default_factory=set)
    said: list[tuple[bytes, Item]] = field(default_factory=list)
    parcels: list[tuple[Part, ...]] = field(default_factory=list)
    ends: list[bytes] = field(default_factory=list)
    got: dict[bytes, bytes] = field(default_factory=dict)
    skipped: list[bytes] = field(default_factory=list)

    def run(self, late: int = 0, is_new: bool = True) -> Receiver:
        """Go through it all; each parcel is answered when ``late`` more of them have been said."""
        self.walk.root()
        if is_new:
            self.walk.is_new(b"")
        waiting: list[tuple[Part, ...]] = []
        while len(self.said) < 10_000:
            draft = self.walk.next_draft()
            parts = draft.parts()
            self.ends += [path_of(above, end) for above, end in draft.ends]
            if parts:
                self.parcels.append(parts)
                self.said += [(part.folder, item) for part in parts for item in part.items]
                waiting.append(parts)
            elif not draft.ends and not waiting:
                return self
            if len(waiting) > late or (waiting and not parts):
                self._answer(waiting.pop(0))
        pytest.fail("it has no end")

    def _answer(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            for item in part.items:
                path = path_of(part.folder, item)
                if isinstance(item, Whole):
                    assert path not in self.got
                    self.got[path] = item.content
                elif isinstance(item, Settled):
                    self.ends.append(path)
                elif isinstance(item, Summed):
                    self._compare(path, item)
                elif isinstance(item, Described) and item.kind == "directory":
                    if path in self.declines:
                        self.walk.bar(path)
                    elif path not in self.folders:
                        self.walk.is_new(path)
                elif isinstance(item, Described) and path not in self.files:
                    self.walk.want(part.folder, item.name)

    def _compare(self, path: bytes, item: Summed) -> None:
        """It has no other files than those that are sent."""
        if sum(folder_of(each) == path for each in self.files) != item.files:
            self.walk.spell_out(path)
            return
        states = self.walk.alike(path)
        assert states is not None
        assert len(states) == item.files
        self.skipped += [path_of(path, each) for each in states.described()]

    @property
    def paths(self) -> list[bytes]:
        """What was said, but for ends and sums."""
        return [
            path_of(folder, item)
            for folder, item in self.said
            if not isinstance(item, (Settled, Summed))
        ]

    @property
    def summed(self) -> list[bytes]:
        """The folders whose files were summed."""
        return [path_of(folder, item) for folder, item in self.said if isinstance(item, Summed)]


def folder_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def path_of(folder: bytes, item: Item) -> bytes:
    return folder + b"/" + item.name if folder and item.name else folder or item.name


def walk(
    packer: Packer | dict[bytes, bytes],
    send_options: SendOptions | None = None,
    message: int = WIDE,
    base: bytes = b"",
    chosen: Callable[[bytes, Item], bool] | None = None,
) -> TreePlan:
    if isinstance(packer, dict):
        packer = packer_of(MemoryStore({**packer}))
    send_options = (send_options or SendOptions()).within(message)
    return TreePlan(packer, base, send_options, parcel_size(message), chosen)


class Odd:
    """A packer of FILES that does otherwise with one folder."""

    def __init__(self, folder: bytes, error: FileTransferError, at: str) -> None:
        self._inner = packer_of(MemoryStore({**FILES}))
        self._folder, self._error, self._at = folder, error, at
        self.drawn = 0

    def describe(self, path: bytes) -> Item:
        return self._inner.describe(path)

    def item(self, folder: bytes, name: bytes, small: int) -> Item:
        return self._inner.item(folder, name, small)

    def states(
        self, folder: bytes, most: int, packing: Packing
    ) -> tuple[States, list[Item]] | None:
        if folder == self._folder and self._at in ("call", "first"):
            raise self._error
        return self._inner.states(folder, most, packing)

    def items(self, folder: bytes, small: int, packing: Packing) -> Iterator[Item]:
        if folder == self._folder and self._at == "call":
            raise self._error
        return self._items(folder, small, packing)

    def _items(self, folder: bytes, small: int, packing: Packing) -> Iterator[Item]:
        if folder == self._folder and self._at == "first":
            raise self._error
        for item in self._inner.items(folder, small, packing):
            self.drawn += 1
            yield item
            if folder == self._folder and self._at == "second":
                raise self._error

    def close(self) -> None:
        self._inner.close()


# -- order -----------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 5])
def test_new_folders_come_whole_and_at_once(late: int) -> None:
    receiver = Receiver(walk(FILES)).run(late)
    assert len(receiver.parcels) == 1
    assert sorted(receiver.paths) == sorted({*FILES, b"b", b"b/c", b"b/d", b"e"})
    assert receiver.got == FILES
    assert not any(isinstance(item, Described) and item.kind == "file" for _, item in receiver.said)


@pytest.mark.parametrize("late", [0, 5])
def test_of_known_folders_files_are_described_and_what_is_wanted_follows(late: int) -> None:
    known = {b"a": b"", b"b/c/y": b""}
    receiver = Receiver(walk(FILES), {b"b", b"b/c", b"b/d", b"e"}, known).run(late, is_new=False)
    assert receiver.got == {path: FILES[path] for path in FILES if path not in known}
    for path in FILES:
        assert receiver.paths.count(path) == (1 if path in known else 2)
    first = {path_of(folder, item): item for folder, item in reversed(receiver.said)}
    assert all(isinstance(first[path], Described) for path in FILES)


def test_what_is_in_a_folder_that_proves_new_is_not_asked_for() -> None:
    """If that is known by then; so is what is in the folders in it."""
    files = {
        b"%d/%d/%d" % (a, b, c): b"x" * 2000 for a in range(60) for b in range(2) for c in (0, 1)
    }
    receiver = Receiver(walk(files, message=LEAST_MESSAGE)).run(is_new=False)
    assert receiver.got == files
    asked = [item for _, item in receiver.said if getattr(item, "kind", "") == "file"]
    assert len(asked) < len(files) / 2


@pytest.mark.parametrize("says_ends", [True, False])
def test_ends_are_said_or_noted_once_each(says_ends: bool) -> None:
    receiver = Receiver(walk(FILES, SendOptions(says_ends=says_ends))).run()
    assert sorted(receiver.ends) == [b"", b"b", b"b/c", b"b/d", b"e"]
    assert any(isinstance(item, Settled) for _, item in receiver.said) == says_ends


def test_all_files_are_asked_for_where_that_is_wanted() -> None:
    receiver = Receiver(walk(FILES, SendOptions(ask=True)), files={b"a": b""}).run()
    assert set(receiver.got) == {*FILES} - {b"a"}
    assert all(receiver.paths.count(path) == 2 for path in receiver.got)


def test_a_folder_that_is_declined_is_not_gone_into() -> None:
    receiver = Receiver(walk(FILES, message=LEAST_MESSAGE), declines={b"b"})
    walked = receiver.walk
    walked.bar(b"b")
    receiver.run(is_new=False)
    assert receiver.got == {b"a": b"1", b"e/f": b"5"}
    assert sorted(receiver.ends) == [b"", b"e"]
    assert [path for path in receiver.paths if path.startswith(b"b")] == [b"b"]


def test_what_is_not_chosen_is_not_said() -> None:
    asked: list[bytes] = []

    def chosen(folder: bytes, item: Item) -> bool:
        asked.append(path_of(folder, item))
        return item.name not in (b"c", b"x")

    receiver = Receiver(walk(FILES, chosen=chosen)).run()
    assert receiver.got == {b"a": b"1", b"b/d/z": b"4", b"e/f": b"5"}
    assert b"b/c" in asked
    assert b"b/c/y" not in asked
    assert sorted(receiver.ends) == [b"", b"b", b"b/d", b"e"]


def test_a_tree_that_is_not_the_stores_root() -> None:
    receiver = Receiver(walk(FILES, base=b"b")).run()
    assert receiver.got == {b"x": b"2", b"c/y": b"3", b"d/z": b"4"}
    receiver = Receiver(walk(FILES, base=b"b/c")).run(is_new=False)
    assert receiver.got == {b"y": b"3"}
    for base, error in ((b"no", NotFound), (b"a", NotADirectory), (b"a/x", NotADirectory)):
        with pytest.raises(error):
            walk(FILES, base=base).root()


# -- sums ------------------------------------------------------------------------------------

PAIRS = {b"%s/%d" % (folder, n): b"x%d" % n for folder in (b"p", b"p/q", b"r") for n in (1, 2)}
FOLDERS = {b"p", b"p/q", b"r"}


@pytest.mark.parametrize("says_ends", [True, False])
@pytest.mark.parametrize("late", [0, 5])
def test_of_folders_in_which_all_is_the_same_no_file_is_described(
    says_ends: bool, late: int
) -> None:
    walked = walk(PAIRS, SendOptions(says_ends=says_ends))
    receiver = Receiver(walked, FOLDERS, PAIRS).run(late, is_new=False)
    assert sorted(receiver.paths) == sorted(FOLDERS)
    assert sorted(receiver.summed) == sorted(FOLDERS)
    assert sorted(receiver.skipped) == sorted(PAIRS)
    assert sorted(receiver.ends) == sorted({b"", *FOLDERS})
    assert not walked.has_more


@pytest.mark.parametrize("late", [0, 5])
def test_of_a_folder_that_differs_each_file_is_described(late: int) -> None:
    """Once; and it ends after that."""
    known = {path: b"" for path in PAIRS if path != b"p/q/2"}
    receiver = Receiver(walk(PAIRS), FOLDERS, known).run(late, is_new=False)
    assert sorted(receiver.summed) == sorted(FOLDERS)
    assert receiver.got == {b"p/q/2": PAIRS[b"p/q/2"]}
    assert sorted(receiver.paths) == sorted([*FOLDERS, b"p/q/1", b"p/q/2", b"p/q/2"])
    assert sorted(receiver.skipped) == [b"p/1", b"p/2", b"r/1", b"r/2"]
    assert sorted(receiver.ends) == sorted({b"", *FOLDERS})
    kinds = [type(item) for folder, item in receiver.said if path_of(folder, item) == b"p/q"]
    assert kinds == [Described, Summed, Settled]
    said = [path_of(folder, item) for folder, item in receiver.said]
    assert max(said.index(b"p/q/1"), said.index(b"p/q/2")) < len(said) - 1 - said[::-1].index(
        b"p/q"
    )


def test_a_folder_that_proves_new_after_it_was_summed() -> None:
    """Its files come whole then, as they are by then."""
    store = MemoryStore({**PAIRS})
    receiver = Receiver(walk(packer_of(store)), {b"p", b"r"})
    walked = receiver.walk
    walked.root()
    parts = walked.next_draft().parts()
    store.files[b"p/q/1"] = replace(store.files[b"p/q/1"], content=b"grown")
    del store.files[b"p/q/2"]
    receiver.said += [(part.folder, item) for part in parts for item in part.items]
    receiver._answer(parts)
    while parts := walked.next_draft().parts():
        receiver.said += [(part.folder, item) for part in parts for item in part.items]
        receiver._answer(parts)
    assert receiver.got[b"p/q/1"] == b"grown"
    assert b"p/q/2" not in receiver.paths
    assert receiver.paths.count(b"p/q/1") == 1


def test_a_folder_that_is_declined_after_it_was_summed() -> None:
    receiver = Receiver(walk(PAIRS), {b"p", b"p/q"}, declines={b"r"}).run(5, is_new=False)
    assert b"r" in receiver.summed
    assert not [path for path in receiver.paths if path.startswith(b"r/")]
    assert sorted(receiver.ends) == [b"", b"p", b"p/q"]


@pytest.mark.parametrize(
    "send_options", [SendOptions(ask=True), SendOptions(packing=Packing(digests=True))]
)
def test_files_are_not_summed_where_more_is_asked(send_options: SendOptions) -> None:
    assert Receiver(walk(PAIRS, send_options), FOLDERS, PAIRS).run(is_new=False).summed == []


def test_files_are_not_summed_where_some_are_left_out() -> None:
    walked = walk(PAIRS, chosen=lambda _, item: item.name != b"1")
    assert Receiver(walked, FOLDERS, PAIRS).run(is_new=False).summed == []


@pytest.mark.parametrize(
    ("count", "sums"), [(0, 0), (1, 0), (2, 1), (SUM_LIMIT, 1), (SUM_LIMIT + 1, 0)]
)
def test_neither_very_few_files_are_summed_nor_very_many(count: int, sums: int) -> None:
    files = {b"%05d" % number: b"" for number in range(count)}
    receiver = Receiver(walk(files), files=files).run(is_new=False)
    assert len(receiver.summed) == sums
    assert len(receiver.paths) == (0 if sums else count)
    assert receiver.ends == [b""]


def test_parcels_have_sums_of_so_many_files_and_no_more() -> None:
    """As many as would be described, or one folder's."""
    files = {b"%02d/%04d" % (a, b): b"" for a in range(20) for b in range(1000)}
    files |= {b"large/%04d" % number: b"" for number in range(SUM_LIMIT)}
    folders = {folder_of(path) for path in files}
    receiver = Receiver(walk(files), folders, files).run(5, is_new=False)
    counts = [
        sum(item.files for part in parts for item in part.items if isinstance(item, Summed))
        for parts in receiver.parcels
    ]
    assert sum(counts) == len(files)
    assert max(counts) < 6000
    assert len([count for count in counts if count]) <= 6


# -- what can't be read ----------------------------------------------------------------------


@pytest.mark.parametrize("at", ["call", "first", "second"])
@pytest.mark.parametrize("error", [Forbidden("b/d: no"), StorageFailed("b/d: broken")])
def test_a_folder_that_cant_be_read(error: FileTransferError, at: str) -> None:
    """It is said, and it ends; the others go on."""
    for is_new in (True, False) if at != "second" else (True,):
        packer = cast(Packer, Odd(b"b/d", error, at))
        receiver = Receiver(walk(packer), {b"b", b"b/c", b"b/d", b"e"}).run(is_new=is_new)
        unsendable = [each for each in receiver.said if isinstance(each[1], Unsendable)]
        assert unsendable == [(b"b", Unsendable(b"d", error.code, error.text))]
        assert sorted(receiver.ends) == [b"", b"b", b"b/c", b"b/d", b"e"]
        assert {*receiver.got} == {*FILES} - ({b"b/d/z"} if at != "second" else set())


@pytest.mark.parametrize("at", ["call", "first", "second"])
def test_a_folder_that_is_gone_is_passed_over(at: str) -> None:
    receiver = Receiver(walk(cast(Packer, Odd(b"b/d", NotFound("b/d: gone"), at)))).run()
    assert not any(isinstance(item, Unsendable) for _, item in receiver.said)
    assert sorted(receiver.ends) == [b"", b"b", b"b/c", b"b/d", b"e"]


@pytest.mark.parametrize("at", ["call", "first"])
def test_a_tree_that_cant_be_read_at_all(at: str) -> None:
    with pytest.raises(Forbidden):
        Receiver(walk(cast(Packer, Odd(b"", Forbidden("no"), at)))).run()


def test_a_file_that_is_gone_when_it_is_wanted() -> None:
    store = MemoryStore({b"file": b"1", b"other": b"2"})
    walked = walk(packer_of(store))
    walked.root()
    walked.next_draft()
    del store.files[b"file"]
    for name in (b"file", b"other"):
        walked.want(b"", name)
    ((_, (gone, other)),) = walked.next_draft().gathered
    assert isinstance(gone, Unsendable)
    assert gone.code == "not-found"
    assert isinstance(other, Whole)


# -- parcels ---------------------------------------------------------------------------------

names = st.sampled_from([b"a", b"b", b"c" * 100, b"d" * 255])
paths = st.lists(names, min_size=1, max_size=6).map(b"/".join)
sizes = st.sampled_from([0, 1, 500, 3000, 7800, 7838, 7839, 8192, 9000, 1 << 18])


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(paths, sizes, max_size=25),
    st.sampled_from([LEAST_MESSAGE, LEAST_MESSAGE + 1, 20_000, 1 << 16, 1 << 19, 1 << 20]),
    st.sampled_from(
        [SendOptions(), SendOptions(small=0), SendOptions(ask=True), SendOptions(says_ends=False)]
    ),
    st.booleans(),
    st.integers(0, 3),
)
def test_everything_is_said_once_and_nothing_is_too_much(
    tree: dict[bytes, int], message: int, send_options: SendOptions, is_new: bool, late: int
) -> None:
    """Whatever the tree, the limit and the receiver; and folders before what is in them."""
    files = {
        path: bytes(size)
        for path, size in tree.items()
        if not any(other.startswith(path + b"/") for other in tree)
    }
    folders = {path.rsplit(b"/", n)[0] for path in files for n in range(1, path.count(b"/") + 1)}
    small = send_options.within(message).small
    large = {path: b"" for path, content in files.items() if len(content) > small}
    receiver = Receiver(walk(files, send_options, message), files=large).run(late, is_new)
    assert receiver.got == {path: files[path] for path in files if path not in large}
    assert sorted(receiver.ends) == sorted({b"", *folders})
    for path in (*large, *folders):
        assert receiver.paths.count(path) + receiver.skipped.count(path) == 1
    assert {*receiver.paths, *receiver.skipped} == {*files, *folders}
    for parts in receiver.parcels:
        parcel = Parcel(2**53, 2**53, b"r" * 4096, parts)
        assert len(encode(parcel)) <= message + 4
        assert all(part.items for part in parts)
    seen = {b""}
    for folder, item in receiver.said:
        assert folder in seen
        seen.add(path_of(folder, item))


def test_parcels_have_so_many_items_and_no_more() -> None:
    files = {b"%04d" % number: b"" for number in range(2 * PARCEL_ITEMS + 10)}
    receiver = Receiver(walk(files)).run()
    assert receiver.got == files
    counts = [sum(len(part.items) for part in parts) for parts in receiver.parcels]
    assert counts == [PARCEL_ITEMS, PARCEL_ITEMS, 11]


def test_what_has_no_room_comes_next() -> None:
    """Before anything else, be it asked for meanwhile."""
    files = {b"1": bytes(7000), b"2": bytes(7000), b"3": b"", b"4": b""}
    walked = walk(files, message=LEAST_MESSAGE)
    walked.root()
    walked.is_new(b"")
    assert [item.name for _, items in walked.next_draft().gathered for item in items] == [b"1"]
    walked.want(b"", b"4")
    walked.say(b"", Settled(b"x", 0, 0))
    names = [item.name for _, items in walked.next_draft().gathered for item in items]
    assert names == [b"2", b"4", b"x", b"3", b"4", b""]


def test_no_more_is_read_than_a_parcel_takes() -> None:
    """And one item that is held over."""
    packer = Odd(b"no", NotFound("no"), "call")
    packer._inner = packer_of(MemoryStore({b"%05d" % n: b"" for n in range(3000)}))
    walked = walk(cast(Packer, packer))
    walked.root()
    walked.is_new(b"")
    assert packer.drawn == 0
    for count in (1, 2):
        walked.next_draft()
        assert packer.drawn <= count * (PARCEL_ITEMS + 1)


@given(st.sampled_from(["\udcff", "é", "x"]), st.integers(0, 5000))
@settings(max_examples=20)
def test_why_something_cant_be_sent_can_be_said(character: str, count: int) -> None:
    """However long its path is."""
    error = Forbidden(character * count)
    receiver = Receiver(walk(cast(Packer, Odd(b"e", error, "first")), message=LEAST_MESSAGE)).run()
    for parts in receiver.parcels:
        frame = encode(Parcel(1, 0, b"", parts))
        assert len(frame) <= LEAST_MESSAGE + 4
        assert decode(frame[4:]) == Parcel(1, 0, b"", parts)


# -- room in a message ---------------------------------------------------------------------


@given(
    st.lists(st.tuples(longest.paths, longest.items), max_size=20),
    st.sampled_from([LEAST_MESSAGE, 1 << 20]),
)
def test_a_draft_has_room_in_a_message(added: list[tuple[bytes, Item]], message: int) -> None:
    """Whatever is the first in it; a file that comes whole is no larger than its options say."""
    draft = ParcelDraft(parcel_size(message))
    most = parcel_size(message) - MOST_PART - MOST_WHOLE
    for folder, item in added:
        if not (isinstance(item, Whole) and len(item.content) > most):
            draft.add(folder, item)
    parcel = Parcel(2**53, 2**53, bytes(PATH_LIMIT), draft.parts())
    decode(encode(parcel, message)[HEADER_SIZE:])


def test_the_reason_of_what_cant_be_sent_has_room_in_the_shortest_message() -> None:
    draft = ParcelDraft(parcel_size(LEAST_MESSAGE))
    item = Unsendable(bytes(NAME_LIMIT), longest.WIDE * 64, longest.WIDE * (TEXT_LIMIT + 100))
    assert draft.add(bytes(PATH_LIMIT), item)
    parcel = Parcel(2**53, 2**53, bytes(PATH_LIMIT), draft.parts())
    decode(encode(parcel, LEAST_MESSAGE)[HEADER_SIZE:])
