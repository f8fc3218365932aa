"""get -r and put -r: where folders go, what is said, and what can be asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import ft, interrupt, outcome, start_ft, wait_until

FILES: dict[str, bytes] = {
    "a.txt": b"a",
    "sub/b.bin": os.urandom(50_000),
    "sub/deeper/c": b"",
    "sub/-dash": b"dash",
}


def grow(root: Path) -> Path:
    """Make a tree."""
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "hollow").mkdir()
    return root


def tree(root: Path) -> dict[str, bytes | None]:
    """What is below a folder; None for folders."""
    return {
        str(each.relative_to(root)): each.read_bytes() if each.is_file() else None
        for each in root.rglob("*")
    }


@pytest.fixture
def served(place: Place) -> Place:
    grow(place.folder / "tree")
    return place


@pytest.mark.parametrize(
    ("url", "dest", "expected"),
    [
        ("tree", (), "tree"),
        ("tree", (".",), "tree"),
        ("tree", ("new",), "new/tree"),
        ("tree", ("new/",), "new/tree"),
        ("tree/", ("new",), "new"),
        ("tree/", ("new/",), "new"),
        ("tree/", (), "."),
    ],
)
def test_where_a_download_goes(
    served: Place, tmp_path: Path, url: str, dest: tuple[str, ...], expected: str
) -> None:
    ft("get", "-r", served.url(url), *dest, cwd=tmp_path).ok()
    assert tree(tmp_path / expected) == tree(served.folder / "tree")


@pytest.mark.parametrize(
    ("path", "url", "expected"),
    [
        ("tree", "", "tree"),
        ("tree/", "", "."),
        ("tree", "new", "new"),
        ("tree", "new/", "new/tree"),
        ("tree/", "new/", "new"),
        ("tree/sub/..", "new", "new"),
    ],
)
def test_where_an_upload_goes(
    place: Place, tmp_path: Path, path: str, url: str, expected: str
) -> None:
    grow(tmp_path / "tree")
    if expected == "new/tree":
        (place.folder / "new").mkdir()
    ft("put", "-r", path, place.url(url), cwd=tmp_path).ok()
    assert tree(place.folder / expected) == tree(tmp_path / "tree")


def test_files_and_folders_together(place: Place, tmp_path: Path) -> None:
    grow(tmp_path / "tree")
    (tmp_path / "file").write_bytes(b"file")
    ft("put", "-r", "file", "tree", place.url(), cwd=tmp_path).ok()
    assert sorted(os.listdir(place.folder)) == ["file", "tree"]


def test_several_downloads(served: Place, tmp_path: Path) -> None:
    grow(served.folder / "two")
    urls = [served.url("tree"), served.url("two")]
    ft("get", "-r", *urls, "one", cwd=tmp_path).ok()
    assert sorted(os.listdir(tmp_path / "one")) == ["tree", "two"]


@pytest.mark.parametrize("url", ["tree", "tree/"])
def test_the_same_command_again_means_the_same_files(
    served: Place, tmp_path: Path, url: str
) -> None:
    ft("get", "-r", served.url(url), "new", cwd=tmp_path).ok()
    before = tree(tmp_path)
    assert "4 already there" in ft("get", "-r", served.url(url), "new", cwd=tmp_path).ok().out
    assert tree(tmp_path) == before


@pytest.mark.parametrize("url", ["new", "new/"])
def test_the_same_for_an_upload(place: Place, tmp_path: Path, url: str) -> None:
    grow(tmp_path / "tree")
    (place.folder / "new").mkdir()
    ft("put", "-r", "tree", place.url(url), cwd=tmp_path).ok()
    before = tree(place.folder)
    assert "4 already there" in ft("put", "-r", "tree", place.url(url), cwd=tmp_path).ok().out
    assert tree(place.folder) == before


def test_without_r(served: Place, tmp_path: Path) -> None:
    outcome = ft("get", served.url("tree/"), cwd=tmp_path)
    assert outcome.status == 2
    assert "-r" in outcome.err
    assert "folder" in ft("get", served.url("tree"), cwd=tmp_path).sentence


def test_the_account(served: Place, tmp_path: Path) -> None:
    (served.folder / "tree" / "link").symlink_to("a.txt")
    first = ft("get", "-r", served.url("tree"), cwd=tmp_path).ok().out
    assert first.startswith("./tree: 4 files verified, 50 kB transferred in ")
    assert first.endswith("; 1 left out (not files): ./tree/link\n")
    again = ft("get", "-r", served.url("tree"), cwd=tmp_path).ok().out
    assert again.startswith("./tree: 0 files verified, 0 bytes transferred in ")
    assert "; 4 already there" in again
    assert ft("get", "-rq", served.url("tree"), cwd=tmp_path).ok().out == ""


def test_json(served: Place, tmp_path: Path) -> None:
    *files, whole = ft("get", "-r", "--json", served.url("tree/"), "t", cwd=tmp_path).ok().lines
    assert {each["path"] for each in files} == {f"t/{name}" for name in FILES}
    assert {each["status"] for each in files} == {"done"}
    assert whole.pop("seconds") >= 0
    assert whole == {
        "tree": "t",
        "done": 4,
        "skipped": 0,
        "failed": 0,
        "left_out": 0,
        "removed": 0,
        "removed_files": 0,
        "removed_folders": 0,
        "kept": 0,
        "size": 50_005,
        "sent": 50_005,
        "status": "done",
    }


def test_json_again(served: Place, tmp_path: Path) -> None:
    """Each file has its line, be it compared together with others."""
    files = {f"many/{number}": b"%d" % number for number in range(30)}
    (served.folder / "tree" / "many").mkdir()
    for name, content in files.items():
        (served.folder / "tree" / name).write_bytes(content)
    for status in ("done", "skipped"):
        *lines, whole = ft("get", "-r", "--json", served.url("tree/"), "t", cwd=tmp_path).ok().lines
        assert {each["path"] for each in lines} == {f"t/{name}" for name in (*FILES, *files)}
        assert {each["status"] for each in lines} == {status}
        assert whole[status] == len(lines) == 34
        assert whole["size"] == sum(each["size"] for each in lines) == 50_005 + 50


def test_what_fails_is_named_and_the_others_arrive(served: Place, tmp_path: Path) -> None:
    grow(tmp_path / "tree" / "a.txt")
    outcome = ft("get", "-r", "--json", served.url("tree"), cwd=tmp_path)
    assert outcome.status == 1
    assert outcome.err.startswith("ft: ./tree/a.txt: this is a folder")
    *files, whole = outcome.lines
    assert [each["code"] for each in files if each["status"] == "failed"] == ["is-a-directory"]
    assert (whole["done"], whole["failed"], whole["status"]) == (3, 1, "failed")
    assert (tmp_path / "tree" / "sub" / "-dash").read_bytes() == b"dash"


def test_a_server_that_is_read_only(read_only: Place, tmp_path: Path) -> None:
    grow(tmp_path / "tree")
    outcome = ft("put", "-r", "tree", read_only.url(), cwd=tmp_path)
    assert outcome.status == 1
    assert "nothing can be changed" in outcome.err
    assert not os.listdir(read_only.folder)


def test_what_isnt_there(place: Place, tmp_path: Path) -> None:
    assert "no such file or folder" in ft("get", "-r", place.url("no"), cwd=tmp_path).err
    assert "no such file or folder" in ft("put", "-r", "no", place.url(), cwd=tmp_path).sentence
    assert ft("get", "-r", place.file("file", b""), cwd=tmp_path).status == 1
    assert not os.listdir(tmp_path)


OPTIONS = ["--exclude=*.tmp", "--include=*.txt", "--links", "--delete", "--dry-run"]
OPTIONS += ["--max-delete=9"]


@pytest.mark.parametrize("option", [*OPTIONS, "-n"])
@pytest.mark.parametrize("command", ["get", "put"])
def test_options_of_trees_are_for_trees(command: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    args = ["a", "ft://localhost:1/"] if command == "put" else ["ft://localhost:1/a"]
    outcome = ft(command, option, *args, cwd=tmp_path)
    assert outcome.status == 2
    name = "--dry-run" if option == "-n" else option.partition("=")[0]
    assert f"{name} is for whole folders; give -r with it" in outcome.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--exclude", "!"), "a pattern can't be read"),
        (("-n", "--checksum"), "--dry-run compares by size and time; leave --checksum out"),
    ],
)
def test_what_cant_be_asked_for(options: tuple[str, ...], said: str) -> None:
    outcome = ft("get", "-r", *options, "ft://localhost:1/a")
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.err


def test_a_choice(served: Place, tmp_path: Path) -> None:
    chosen = ("--exclude", "deeper/", "--exclude", "*.bin", "--include", "b.*")
    ft("get", "-r", *chosen, served.url("tree"), cwd=tmp_path).ok()
    assert {name for name, content in tree(tmp_path / "tree").items() if content is not None} == {
        "a.txt", "sub/b.bin", "sub/-dash"
    }  # fmt: skip
    ft("put", "-r", "--include", "*.txt", tmp_path / "tree", served.url("up")).ok()
    assert (served.folder / "up" / "a.txt").exists()
    assert not (served.folder / "up" / "sub" / "b.bin").exists()


def test_links_and_digests(served: Place, tmp_path: Path) -> None:
    (served.folder / "tree" / "link").symlink_to("sub/b.bin")
    said = ft("get", "-r", "--links", served.url("tree"), cwd=tmp_path).ok().out
    assert "5 files verified" in said
    assert os.readlink(tmp_path / "tree" / "link") == "sub/b.bin"
    before = (tmp_path / "tree" / "a.txt").stat()
    (tmp_path / "tree" / "a.txt").write_bytes(b"A")
    os.utime(tmp_path / "tree" / "a.txt", ns=(1, before.st_mtime_ns))
    command = ("get", "-r", "--no-sync", served.url("tree"))
    assert "0 files verified" in ft(*command, cwd=tmp_path).ok().out
    assert "1 file verified" in ft(*command, "--checksum", cwd=tmp_path).ok().out
    assert (tmp_path / "tree" / "a.txt").read_bytes() == b"a"


def test_removal(served: Place, tmp_path: Path) -> None:
    """A dry run says what would be, and then it is."""
    target = tmp_path / "tree"
    (target / "old" / "deep").mkdir(parents=True)
    (target / "old" / "deep" / "x").write_bytes(b"x")
    (target / "a.txt").write_bytes(b"another")
    command = ("get", "-r", "--delete", served.url("tree"))
    before = tree(target)
    dry = ft(*command, "-n", cwd=tmp_path).ok().out
    *lines, account = dry.splitlines()
    assert sorted(lines) == sorted(
        [*(f"would transfer: ./tree/{name}" for name in FILES), "would remove: ./tree/old"]
    )
    assert (
        account == "./tree: 4 to transfer, 50 kB; 2 folders, 1 file to remove; nothing was changed"
    )
    assert tree(target) == before
    done = ft(*command, cwd=tmp_path).ok().out
    assert "removed: ./tree/old\n" in done
    assert "4 files verified, 50 kB transferred" in done
    assert "; 2 folders, 1 file removed" in done
    assert tree(target) == tree(served.folder / "tree")


def test_a_dry_run_of_a_file(place: Place, tmp_path: Path) -> None:
    """Among folders files may be named; nothing of them is sent, either."""
    (tmp_path / "t").mkdir()
    (tmp_path / "a").write_bytes(b"a")
    command = ("put", "-r", "a", "t", place.url())
    assert f"would transfer: {place.folder.name}/a\n" in ft(*command, "-n", cwd=tmp_path).ok().out
    assert not os.listdir(place.folder)
    ft(*command, cwd=tmp_path).ok()
    assert "would transfer" not in ft(*command, "-n", cwd=tmp_path).ok().out
    assert "folder" in ft("put", "-rn", "a", place.url("t"), cwd=tmp_path).sentence


def test_no_more_is_removed_than_may_be(served: Place, tmp_path: Path) -> None:
    """What is more is counted, and then the exit status is 1."""
    target = tmp_path / "tree"
    (target / "old" / "deep").mkdir(parents=True)
    (target / "older").write_bytes(b"x")
    command = ("get", "-r", "--delete", "--max-delete", "1", served.url("tree"))
    for option in ("-n", "-q", "--no-sync"):
        ended = ft(*command, option, cwd=tmp_path)
        assert ended.status == 1
        assert (target / "old" / "deep").exists()
        if option != "-q":
            assert "kept: ./tree/old\n" in ended.out
            assert "; 2 folders not removed, as no more may be" in ended.out
    assert not (target / "older").exists()
    assert ft("get", "-r", "--max-delete=1", served.url("tree"), cwd=tmp_path).status == 2


def test_removal_as_json(served: Place, tmp_path: Path) -> None:
    (served.folder / "tree" / "extra").touch()
    grow(tmp_path / "tree")
    ends = (tmp_path / "tree", served.url())
    *files, whole = ft("put", "-r", "--delete", "--json", "-n", *ends).ok().lines
    assert {each["status"] for each in files} == {"would send", "would remove"}
    assert whole["removed"] == 0
    *files, whole = ft("put", "-r", "--delete", "--json", *ends).ok().lines
    removed = [each["path"] for each in files if each["status"] == "removed"]
    assert removed == [f"{served.folder.name}/tree/extra"]
    assert (whole["done"], whole["removed"], whole["status"]) == (4, 1, "done")
    assert tree(served.folder / "tree") == tree(tmp_path / "tree")


def test_a_file_in_a_dry_run(place: Place, tmp_path: Path) -> None:
    """It is named, and nothing of it is sent."""
    (tmp_path / "file").write_bytes(b"content")
    said = ft("put", "-r", "--dry-run", tmp_path / "file", place.url()).ok().out
    assert said == f"would transfer: {place.folder.name}/file\n"
    assert not list(place.folder.iterdir())
    assert ft("put", "-rn", "--json", tmp_path / "file", place.url()).line["status"] == "would send"


@pytest.mark.parametrize("direction", ["get", "put"])
def test_interrupted_and_carried_on(place: Place, tmp_path: Path, direction: str) -> None:
    """Ctrl-C: exit status 130, one sentence, nothing partial; the same command goes on."""
    source = (place.folder if direction == "get" else tmp_path) / "tree"
    target = (tmp_path if direction == "get" else place.folder) / "tree"
    source.mkdir()
    for number in range(800):
        (source / f"{number:03}").write_bytes(os.urandom(5000))
    command: list[str | Path] = ["get", "-r", place.url("tree"), tmp_path]
    if direction == "put":
        command = ["put", "-r", source, place.url()]
    process = start_ft(*command, "--limit-rate", "2M")
    wait_until(lambda: target.is_dir() and len(os.listdir(target)) > 100)
    interrupt(process)
    ended = outcome(process)
    assert (ended.status, ended.out) == (130, "")
    assert ended.err == "ft: interrupted; run the same command again to resume\n"
    wait_until(lambda: not list(target.glob(".ft-*")))
    arrived = len(os.listdir(target))
    assert 100 < arrived < 800
    said = ft(*command).ok().out
    assert f"{800 - arrived} files verified" in said
    assert f"{arrived} already there" in said
    assert tree(target) == tree(source)
