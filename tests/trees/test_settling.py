"""Folders are settled once each, when all that is in them has arrived, the innermost first."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_ft.stores.names import join
from twisted_ft.trees.settling import Settling
from twisted_ft.wire.messages import Settled


class Seen:
    """Folders that are ready, in their order."""

    def __init__(self) -> None:
        self.paths: list[bytes] = []
        self.settling = Settling(self._ready)

    def _ready(self, above: bytes, end: Settled) -> None:
        self.paths.append(join(above, end.name))

    def listed(self, path: bytes) -> None:
        above, _, name = path.rpartition(b"/")
        self.settling.listed(above, Settled(name, 7, 0o755))


def test_a_folder_waits_for_its_files() -> None:
    seen = Seen()
    seen.settling.begin(b"", 3)
    seen.listed(b"")
    seen.settling.end(b"", 2)
    assert seen.paths == []
    seen.settling.end(b"")
    assert seen.paths == [b""]
    seen.listed(b"")
    assert seen.paths == [b""]


def test_a_folder_waits_for_its_own_outcome() -> None:
    """Even if nothing is in it."""
    seen = Seen()
    seen.settling.begin_folder(b"", b"a")
    seen.listed(b"a")
    seen.listed(b"")
    assert seen.paths == []
    seen.settling.end_folder(b"", b"a")
    assert seen.paths == [b"a", b""]


def test_a_folder_waits_for_those_in_it() -> None:
    seen = Seen()
    for above, name in ((b"", b"a"), (b"a", b"b"), (b"a/b", b"c")):
        seen.settling.begin_folder(above, name)
        seen.settling.end_folder(above, name)
    seen.settling.begin(b"a/b/c")
    for path in (b"", b"a", b"a/b", b"a/b/c"):
        seen.listed(path)
    assert seen.paths == []
    seen.settling.end(b"a/b/c")
    assert seen.paths == [b"a/b/c", b"a/b", b"a", b""]


def test_a_folder_that_cant_be_had_is_not_settled_nor_waited_for() -> None:
    seen = Seen()
    for name in (b"a", b"b"):
        seen.settling.begin_folder(b"", name)
    seen.listed(b"a")
    seen.listed(b"")
    seen.settling.drop_folder(b"", b"a")
    seen.settling.drop_folder(b"", b"a")
    seen.listed(b"a")
    seen.settling.begin(b"a")  # what was under way by then
    seen.settling.end(b"a")
    assert seen.paths == []
    seen.settling.drop_folder(b"", b"b")
    assert seen.paths == [b""]


def test_what_was_never_begun_is_not_settled() -> None:
    seen = Seen()
    seen.listed(b"a")
    assert seen.paths == []
    seen.listed(b"")
    assert seen.paths == [b""]


FOLDERS = [b"a", b"b", b"a/a", b"a/b", b"a/a/a", b"b/a"]
Step = tuple[str, bytes]


def inner_of(path: bytes, present: set[bytes]) -> list[bytes]:
    return sorted(each for each in present if each and each.rpartition(b"/")[0] == path)


def steps_of(
    present: set[bytes], lost: set[bytes], counts: dict[bytes, int]
) -> dict[Step, list[Step]]:
    """What is said and heard of a tree, each with what must come before it.

    :param lost: folders that can't be had; what is in those isn't among ``present``
    """
    steps: dict[Step, list[Step]] = {}
    for path in present:
        first: list[Step] = [("begin", path)] if path else []
        if path:
            above = path.rpartition(b"/")[0]
            steps["begin", path] = [("begin", above)] if above else []
            steps["answer", path] = first
        before_end = first + [("begin", inner) for inner in inner_of(path, present)]
        if path not in lost and counts[path]:
            steps["files", path] = first
            steps["arrive", path] = [("files", path)]
            before_end.append(("files", path))
        steps["list", path] = before_end
    return steps


def take(seen: Seen, step: Step, lost: set[bytes], counts: dict[bytes, int]) -> None:
    what, path = step
    above, _, name = path.rpartition(b"/")
    if what == "begin":
        seen.settling.begin_folder(above, name)
    elif what == "answer" and path in lost:
        seen.settling.drop_folder(above, name)
    elif what == "answer":
        seen.settling.end_folder(above, name)
    elif what == "files":
        seen.settling.begin(path, counts[path])
    elif what == "arrive":
        seen.settling.end(path, counts[path])
    else:
        seen.listed(path)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(FOLDERS), unique=True),
    st.sets(st.sampled_from(FOLDERS), max_size=2),
    st.lists(st.integers(0, 3), min_size=7, max_size=7),
    st.randoms(use_true_random=False),
)
def test_in_whatever_order_things_arrive(
    folders: list[bytes], lost: set[bytes], files: list[int], chance: Random
) -> None:
    """Each folder that can be had is ready once, as soon as everything in it is."""
    present = {b""}
    for path in folders:
        above = path.rpartition(b"/")[0]
        if above in present and above not in lost:
            present.add(path)
    counts = dict(zip([b"", *FOLDERS], files, strict=True))
    steps = steps_of(present, lost, counts)
    seen, done = Seen(), set[Step]()

    def is_ready(path: bytes) -> bool:
        if path in lost:
            return ("answer", path) in done
        own = all(step in done for step in steps if step[1] == path)
        return own and all(map(is_ready, inner_of(path, present)))

    while left := [step for step in steps if step not in done and done.issuperset(steps[step])]:
        step = chance.choice(left)
        take(seen, step, lost, counts)
        done.add(step)
        assert sorted(seen.paths) == sorted(filter(is_ready, present - lost))
    assert done == set(steps)
    assert sorted(seen.paths) == sorted(present - lost)
    for position, folder in enumerate(seen.paths):
        assert not any(each.startswith(folder + b"/") for each in seen.paths[position:])


def test_nothing_is_kept_of_folders_that_nobody_has_spoken_of() -> None:
    """A server could name them without end."""
    seen = Seen()
    for number in range(100):
        path = b"%d" % number
        seen.settling.begin(path, 3)
        seen.settling.begin_folder(path, b"in")
        seen.settling.drop_folder(path, b"in")
        seen.settling.begin(path + b"/in", 2)
        seen.settling.end(path + b"/in", 2)
        seen.settling.end(path, 3)
        seen.listed(path)
    kept = {name: len(each) for name, each in vars(seen.settling).items() if name != "_ready"}
    assert kept == {"_open": 1, "_counts": 0, "_ends": 0}
