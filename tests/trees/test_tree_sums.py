"""Trees that are sent again: folders in which nothing has changed, and others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3
from twisted.internet.defer import ensureDeferred

from tests.kit.planting import (
    BOTH_WAYS,
    LARGE,
    Two,
    failures,
    gathered,
    grow,
    numbered,
    result_of,
    statuses,
    tree,
    with_status,
    without_privileges,
)
from tests.kit.saying import ROOT, D, F, H, N, W
from tests.kit.tree_peers import Fetching, Putting
from twisted_ft import LocalStore
from twisted_ft.delivery import Delivery
from twisted_ft.errors import FileTransferError
from twisted_ft.stores.conformance.samples import summed
from twisted_ft.transfer.exchanges.tree_sending import WINDOW
from twisted_ft.trees.deliveries import MOST_RESULTS, SameResults
from twisted_ft.wire.messages import (
    SUM_LIMIT,
    Described,
    End,
    Failing,
    Part,
    Receipts,
    Refuse,
    Settled,
    Summed,
)

FILES: dict[str, bytes] = {
    **{
        f"{folder}/{number:03}": b"%d" % number
        for folder in ("p", "p/q", "r")
        for number in range(90)
    },
    "p/large": bytes(LARGE),
    "p/\udcff": b"not UTF-8",
}


@pytest.fixture
def two(tmp_path: Path) -> Two:
    """Both have the tree."""
    two = Two(tmp_path)
    grow(two.served, FILES)
    grow(two.here, FILES)
    return two


def crossed(two: Two) -> int:
    """Bytes that the last connection has seen, so far."""
    return sum(each.written for each in two.network.transports[-1])


# -- what has changed, and what hasn't --------------------------------------------------------


@BOTH_WAYS
def test_nothing_has_changed(two: Two, direction: str) -> None:
    """Each file has its result, and hardly a byte crosses."""
    before = crossed(two)
    results = two.move(direction)
    assert crossed(two) - before < 1500
    place = f"{two.here}/" if direction == "get" else ""
    assert results == {
        place + name: Delivery(place + name, len(content), 0, 0, None, 0.0, "skipped")
        for name, content in FILES.items()
    }


@pytest.mark.parametrize("change", ["content", "time", "lacking", "more"])
@BOTH_WAYS
def test_one_file_has_changed(two: Two, direction: str, change: str) -> None:
    """The others of its folder are described, and those of other folders aren't."""
    source, target = two.ends(direction)
    if change == "content":
        grow(source, {"p/q/007": b"changed"})
    elif change == "time":
        os.utime(source / "p/q/007", ns=(1, 1))
    elif change == "lacking":
        (target / "p/q/007").unlink()
    else:
        grow(target, {"p/q/more": b""})
    before = crossed(two)
    results = two.move(direction)
    assert crossed(two) - before < 90 * 45
    assert with_status(results, "done") == ["007"] * (change != "more")
    assert len(with_status(results, "skipped")) == len(FILES) - (change != "more")
    (target / "p/q/more").unlink(missing_ok=True)
    assert tree(target) == tree(source)


@BOTH_WAYS
def test_permissions_are_not_compared(two: Two, direction: str) -> None:
    """As where files are compared one by one."""
    source, target = two.ends(direction)
    (source / "p/007").chmod(0o600)
    (target / "p/007").chmod(0o640)
    assert statuses(two.move(direction)) == {"skipped"}
    assert (target / "p/007").stat().st_mode & 0o777 == 0o640


@BOTH_WAYS
def test_folders_get_their_times(two: Two, direction: str) -> None:
    """Those that are the same, those of which a part came, and those above them."""
    source, target = two.ends(direction)
    (target / "p/q/007").unlink()
    for number, folder in enumerate(("p/q", "p", "r")):
        os.utime(source / folder, ns=(1, 1_000 + number))
    two.move(direction)
    assert [(target / each).stat().st_mtime_ns for each in ("p/q", "p", "r")] == [1000, 1001, 1002]


@BOTH_WAYS
def test_what_else_is_in_such_a_folder(two: Two, direction: str) -> None:
    """New folders arrive, links are named, and partial files are nobody's."""
    source, target = two.ends(direction)
    grow(source, {"p/new/a": b"a", "p/new/b": b"b", "p/.ft-" + "0" * 32 + ".part": b"1"})
    (source / "p/link").symlink_to("007")
    grow(target, {"p/.ft-" + "1" * 32 + ".part": b"2"})
    results = two.move(direction)
    assert with_status(results, "done") == ["a", "b"]
    assert with_status(results, "left out") == ["link"]
    assert len(with_status(results, "skipped")) == len(FILES)


@BOTH_WAYS
def test_digests_and_choices_go_by_single_files(two: Two, direction: str) -> None:
    """What two folders have at the same times may differ, and what is left out isn't compared."""
    source, target = two.ends(direction)
    (target / "r/007").write_bytes(b"x")
    os.utime(target / "r/007", ns=(5, (source / "r/007").stat().st_mtime_ns))
    (target / "p/007").unlink()
    results = two.move(direction, exclude=("p",))
    assert len(with_status(results, "skipped")) == 90
    assert with_status(two.move(direction, checksum=True), "done") == ["007", "007"]
    assert tree(target) == tree(source)


def test_a_server_that_replaces_nothing(tmp_path: Path) -> None:
    two = Two(tmp_path, overwrite=False)
    grow(two.served, FILES)
    grow(two.here, FILES)
    assert statuses(two.put()) == {"skipped"}
    grow(two.here, {"r/007": b"changed"})
    results = two.put()
    assert failures(results) == {"007": "exists"}
    assert len(with_status(results, "skipped")) == len(FILES) - 1


@BOTH_WAYS
def test_a_folder_where_a_file_stands(two: Two, direction: str) -> None:
    source, target = two.ends(direction)
    grow(source, {"s/a": b"", "s/b": b""})
    grow(target, {"s": b"in the way"})
    results = two.move(direction)
    assert set(failures(results).values()) == {"not-a-directory"}
    assert len(with_status(results, "skipped")) == len(FILES)


@BOTH_WAYS
def test_a_folder_that_cant_be_looked_into(direction: str) -> None:
    with without_privileges() as place:
        two = Two(place)
        source, target = two.ends(direction)
        for end in (source, target):
            grow(end, {"f/a": b"a", "f/b": b"b", "g/c": b"c", "g/d": b"d"})
        (target / "f").chmod(0)
        results = two.move(direction)
        assert failures(results)["f"] == "forbidden"
        assert with_status(results, "skipped") == ["c", "d"]


@BOTH_WAYS
def test_a_folder_that_is_empty(two: Two, direction: str) -> None:
    """Its files come whole at once, as if it were new."""
    source, target = two.ends(direction)
    for each in (target / "r").iterdir():
        each.unlink()
    before = crossed(two)
    assert with_status(two.move(direction), "done") == [f"{number:03}" for number in range(90)]
    assert tree(target) == tree(source)
    assert crossed(two) - before < 90 * 80


# -- bounds -----------------------------------------------------------------------------------


@BOTH_WAYS
def test_nobody_takes_the_results(tmp_path: Path, direction: str) -> None:
    two = Two(tmp_path)
    for end in two.ends(direction):
        grow(end, {f"{number // 500:03}/{number % 500:03}": b"" for number in range(12_000)})
    deliveries = two.begin(direction)
    two.take(deliveries, 1)
    two.network.settle()
    ended = deliveries.tally.files_ended
    assert MOST_RESULTS < ended < 12_000 or direction == "put"
    assert ended < MOST_RESULTS + (WINDOW + 1) * (SUM_LIMIT + 2000)
    results = two.network.run(gathered(deliveries))
    assert len(results) == 12_000 - 1
    assert statuses(results) == {"skipped"}
    assert deliveries.tally.files == deliveries.tally.files_ended == 12_000


@BOTH_WAYS
def test_results_one_by_one_and_together(two: Two, direction: str) -> None:
    """Whoever takes them as they come gets the rest of what came together."""

    async def taken() -> list[Delivery]:
        deliveries = two.begin(direction)
        results = [await anext(deliveries) for _ in range(3)]
        batch = await deliveries.some()
        assert not isinstance(batch, SameResults)
        results += batch
        while batch := await deliveries.some():
            if isinstance(batch, SameResults):
                assert batch.size == sum(each.size for each in batch)
                assert len(batch) == len(list(batch))
            results += batch
        return results

    results = two.network.run(taken())
    assert len(results) == len({each.path for each in results}) == len(FILES)


@BOTH_WAYS
def test_arrivals_that_are_told_together(tmp_path: Path, direction: str) -> None:
    """As much is known of each as of one by itself."""
    two = Two(tmp_path)
    source, target = two.ends(direction)
    grow(source, {f"folder/{name}": content for name, content in numbered(100).items()})

    async def taken() -> list[SameResults]:
        deliveries, runs = two.begin(direction), []
        while batch := await deliveries.some():
            assert isinstance(batch, SameResults)
            runs.append(batch)
        return runs

    (run,) = two.network.run(taken())
    assert (run.status, run.size, run.sent, len(run)) == ("done", 10_000, 10_000, 100)
    place = os.path.join(target, "") if direction == "get" else ""
    for each in run:
        name = each.path.removeprefix(place)
        digest = blake3((source / name).read_bytes()).hexdigest()
        assert (each.size, each.sent, each.blake3, each.status) == (100, 100, digest, "done")


# -- other ends that do otherwise -------------------------------------------------------------


def putting(place: Path) -> Putting:
    """A client that has said the sum of two files."""
    begun = Putting(place, {"a": b"a", "b": b"b"})
    begun.answer(H)
    (item,) = begun.parcels[-1].parts[0].items
    assert isinstance(item, Summed)
    assert (item.name, item.files) == (b"", 2)
    return begun


@pytest.mark.parametrize("outcome", [D, N, b"\x09"])
def test_no_other_outcome_of_a_sum(tmp_path: Path, outcome: bytes) -> None:
    begun = putting(tmp_path / "s")
    begun.answer(outcome)
    with pytest.raises(FileTransferError) as caught:
        result_of(begun.done)
    assert caught.value.code == "protocol"
    assert begun.peer.lost is not None


@pytest.mark.parametrize("outcome", [W, F])
def test_files_are_spelled_out_once(tmp_path: Path, outcome: bytes) -> None:
    """Whatever becomes of them then."""
    begun = putting(tmp_path / "s")
    begun.answer(outcome, *[Failing("storage", "the disk is broken")] * (outcome == F))
    assert {type(item) for item in begun.parcels[-1].parts[0].items} == {Described}
    begun.answer(H + F, Failing("storage", "the disk is broken"))
    begun.finish()
    results = result_of(begun.done)
    assert len(results) == 2
    assert len(with_status(results, "skipped")) == 1
    assert [*failures(results).values()] == ["storage"]


def test_a_parcel_with_a_sum_that_is_refused(tmp_path: Path) -> None:
    begun = putting(tmp_path / "s")
    for _ in range(2):
        begun.peer.say(Refuse(begun.parcels[-1].exchange, "no-space", "the disk is full"))
        begun.network.settle()
    begun.finish()
    assert failures(result_of(begun.done)) == {"a": "no-space", "b": "no-space"}


def test_a_server_that_sums_what_it_was_not_asked_to(tmp_path: Path) -> None:
    """It isn't taken for the same."""
    grow(tmp_path / "t", {"a": b"a", "b": b"b"})
    fetching = Fetching(tmp_path / "t", checksum=True)
    fetching.parcel(ROOT)
    item = Summed(b"", 2, bytes(32))
    assert fetching.parcel(item) == Receipts(4, N, ())
    fetching.say(End(1, 1))
    assert fetching.done.called
    assert fetching.results == []


def test_a_server_that_sums_again_and_again(tmp_path: Path) -> None:
    """Files have one result, and more of them aren't looked at together than are to be held."""
    store = LocalStore(grow(tmp_path / "t", {f"f/{number:04}": b"" for number in range(1000)}))
    fetching = Fetching(tmp_path / "t")
    fetching.parcel(ROOT)
    assert fetching.parcel(*[summed(store, b"f")] * 40) == Receipts(4, H * 32 + W * 8, ())
    fetching.say(End(1, 40))
    assert fetching.done.called
    assert len(fetching.results) == 1000


@pytest.mark.parametrize("name", [b"..", b"/etc", b"a/b", b"."])
def test_a_sum_of_a_bad_name(tmp_path: Path, name: bytes) -> None:
    fetching = Fetching(tmp_path / "t")
    fetching.parcel(ROOT)
    assert fetching.codes(Summed(name, 1, bytes(32))) == ["bad-name"]
    assert fetching.codes(Part(b"..", (Summed(b"t", 1, bytes(32)),))) == ["bad-name"]
    fetching.parcel(Settled(b"", 0, 0o755))
    fetching.say(End(1, 3))
    assert fetching.done.called
    assert fetching.results == []


@BOTH_WAYS
def test_it_is_called_off_in_the_midst(two: Two, direction: str) -> None:
    deliveries = two.begin(direction)
    two.take(deliveries, 1)
    two.network.run(deliveries.close())
    rest = ensureDeferred(gathered(deliveries))
    two.network.settle()
    assert rest.called


@BOTH_WAYS
@pytest.mark.parametrize("late", [1 << 63, (1 << 63) + 10**18, -(1 << 63) - 10**9])
def test_times_that_cant_be_told_apart(tmp_path: Path, direction: str, late: int) -> None:
    """From 2262 on all are one in FT/1: a file that was changed in 2300 must arrive."""
    two = Two(tmp_path)
    here, there = (two.served, two.here) if direction == "get" else (two.here, two.served)
    grow(here, {"a": b"1", "b": b"2", "p/c": b"3"})
    for name in ("a", "b", "p/c"):
        os.utime(here / name, ns=(late, late))
    if (here / "a").stat().st_mtime_ns != late:
        pytest.skip("no file here can have that time")
    assert statuses(two.move(direction)) == {"done"}
    (here / "p/c").write_bytes(b"4")
    os.utime(here / "p/c", ns=(late + 10**9, late + 10**9))
    dry = two.move(direction, dry_run=True)
    assert with_status(dry, "would send") == ["a", "b", "c"]
    assert statuses(two.move(direction)) == {"done"}
    assert (there / "p/c").read_bytes() == b"4"
    assert statuses(two.move(direction, checksum=True)) == {"skipped"}
