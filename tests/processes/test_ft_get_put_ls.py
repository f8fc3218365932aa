"""The contract of get, put and ls: where files go, what is said, and the exit status."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3

from tests.kit.places import Place
from tests.kit.programs import (
    Outcome,
    ft,
    interrupt,
    kept_in,
    outcome,
    partial_of,
    start_ft,
    wait_until,
)

CONTENT = os.urandom(300_000)
DIGEST = blake3(CONTENT).hexdigest()
FIELDS = ["path", "size", "sent", "resumed_from", "blake3", "seconds", "status"]


# -- get -----------------------------------------------------------------------------------


def test_get_into_the_current_folder(place: Place, tmp_path: Path) -> None:
    ft("get", place.file("a.bin", CONTENT), cwd=tmp_path).ok()
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_get_as_a_file(place: Place, tmp_path: Path) -> None:
    ft("get", place.file("a.bin", CONTENT), "b.bin", cwd=tmp_path).ok()
    assert (tmp_path / "b.bin").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["b.bin"]


def test_get_into_a_folder_that_is_there(place: Place, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    ft("get", place.file("a.bin", CONTENT), "into", cwd=tmp_path).ok()
    assert (tmp_path / "into" / "a.bin").read_bytes() == CONTENT


def test_get_into_a_folder_that_a_slash_makes(place: Place, tmp_path: Path) -> None:
    ft("get", place.file("a.bin", CONTENT), "new/", cwd=tmp_path).ok()
    assert (tmp_path / "new" / "a.bin").read_bytes() == CONTENT


def test_get_several(place: Place, tmp_path: Path) -> None:
    urls = [place.file(name, name.encode()) for name in ("a", "b", "c")]
    ft("get", *urls, tmp_path).ok()
    assert [(tmp_path / each).read_bytes() for each in "abc"] == [b"a", b"b", b"c"]


def test_get_several_wants_a_folder(place: Place, tmp_path: Path) -> None:
    urls = [place.file(name, b"") for name in ("a", "b")]
    assert "folder" in ft("get", *urls, "one", cwd=tmp_path).sentence
    assert not os.listdir(tmp_path)


def test_one_of_several_fails_and_the_rest_arrives(place: Place, tmp_path: Path) -> None:
    urls = [place.file("a", b"a"), place.url("missing"), place.file("c", b"c")]
    outcome = ft("get", "--json", *urls, tmp_path)
    assert outcome.status == 1
    assert [line["status"] for line in outcome.lines] == ["done", "failed", "done"]
    assert sorted(os.listdir(tmp_path)) == ["a", "c"]


def test_get_says_what_it_did(place: Place, tmp_path: Path) -> None:
    outcome = ft("get", place.file("a.bin", CONTENT), tmp_path).ok()
    assert outcome.out.startswith(f"{tmp_path}/a.bin: 300 kB in ")
    assert outcome.out.endswith(", verified\n")


def test_quiet_says_nothing(place: Place, tmp_path: Path) -> None:
    assert ft("get", "--quiet", place.file("a", b"a"), tmp_path).ok().out == ""


def test_quiet_still_says_errors(place: Place, tmp_path: Path) -> None:
    assert ft("get", "--quiet", place.url("missing"), tmp_path).sentence


def test_get_done_as_json(place: Place, tmp_path: Path) -> None:
    line = ft("get", "--json", place.file("a.bin", CONTENT), tmp_path).ok().line
    assert list(line) == FIELDS
    assert 0 < line.pop("seconds") < 10
    assert line == {
        "path": str(tmp_path / "a.bin"),
        "size": 300_000,
        "sent": 300_000,
        "resumed_from": 0,
        "blake3": DIGEST,
        "status": "done",
    }


def test_get_skipped_as_json(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", CONTENT)
    ft("get", url, tmp_path).ok()
    line = ft("get", "--json", url, tmp_path).ok().line
    assert list(line) == FIELDS
    assert (line["status"], line["size"], line["sent"]) == ("skipped", 300_000, 0)


def test_get_failed_as_json(place: Place, tmp_path: Path) -> None:
    outcome = ft("get", "--json", place.url("missing"), tmp_path)
    line = outcome.line
    assert list(line) == [*FIELDS, "code", "error"]
    assert (line["status"], line["code"], line["sent"]) == ("failed", "not-found", 0)
    assert line["path"] == str(tmp_path / "missing")
    assert outcome.sentence == line["error"]


def test_time_and_permissions_are_kept_by_get(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", CONTENT)
    os.utime(place.folder / "a.bin", ns=(1, 1_234_567_890_123_456_789))
    (place.folder / "a.bin").chmod(0o751)
    ft("get", url, tmp_path).ok()
    status = (tmp_path / "a.bin").stat()
    assert status.st_mtime_ns == 1_234_567_890_123_456_789
    assert status.st_mode & 0o7777 == 0o751


def test_get_replaces_a_file(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    ft("get", place.file("a.bin", CONTENT), tmp_path).ok()
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_get_onto_a_folder(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    sentence = ft("get", place.file("a.bin", CONTENT), tmp_path).sentence
    assert "folder" in sentence
    assert os.listdir(tmp_path) == ["a.bin"]


# -- put -----------------------------------------------------------------------------------


def test_put_under_a_new_name(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    ft("put", tmp_path / "a.bin", place.url("b.bin")).ok()
    assert (place.folder / "b.bin").read_bytes() == CONTENT


def test_put_into_a_folder(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    ft("put", "a.bin", place.url(), cwd=tmp_path).ok()
    assert (place.folder / "a.bin").read_bytes() == CONTENT


def test_put_several(place: Place, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    ft("put", "a", "b", "c", place.url(), cwd=tmp_path).ok()
    assert [(place.folder / each).read_bytes() for each in "abc"] == [b"a", b"b", b"c"]


def test_put_several_wants_a_folder(place: Place, tmp_path: Path) -> None:
    outcome = ft("put", "a", "b", place.url("name"), cwd=tmp_path)
    assert outcome.status == 2
    assert 'end the URL with "/"' in outcome.err


def test_put_done_as_json(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    line = ft("put", "--json", tmp_path / "a.bin", place.url()).ok().line
    assert list(line) == FIELDS
    assert 0 < line.pop("seconds") < 10
    assert line == {
        "path": f"{place.folder.name}/a.bin",
        "size": 300_000,
        "sent": 300_000,
        "resumed_from": 0,
        "blake3": DIGEST,
        "status": "done",
    }


def test_put_skipped_as_json(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    ft("put", tmp_path / "a.bin", place.url()).ok()
    line = ft("put", "--json", tmp_path / "a.bin", place.url()).ok().line
    assert (line["status"], line["sent"]) == ("skipped", 0)


def test_put_of_what_is_missing(place: Place, tmp_path: Path) -> None:
    outcome = ft("put", "--json", tmp_path / "missing", place.url())
    assert (outcome.line["status"], outcome.line["code"]) == ("failed", "not-found")
    assert outcome.line["path"] == f"{place.folder.name}/missing"
    assert outcome.sentence == outcome.line["error"]


def test_put_of_a_folder(place: Place, tmp_path: Path) -> None:
    assert "folder" in ft("put", tmp_path, place.url()).sentence


def test_put_onto_a_folder(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (place.folder / "there").mkdir()
    assert "folder" in ft("put", tmp_path / "a", place.url("there")).sentence
    assert os.listdir(place.folder) == ["there"]


def test_put_into_a_folder_that_is_missing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    outcome = ft("put", "--json", tmp_path / "a", place.url("missing/a"))
    assert outcome.line["code"] == "not-found"
    assert not os.listdir(place.folder)


def test_put_replaces_a_file(place: Place, tmp_path: Path) -> None:
    place.file("a", b"old")
    (tmp_path / "a").write_bytes(b"newer")
    ft("put", tmp_path / "a", place.url()).ok()
    assert (place.folder / "a").read_bytes() == b"newer"


def test_time_and_permissions_are_kept_by_put(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    (tmp_path / "a").chmod(0o640)
    os.utime(tmp_path / "a", ns=(1, -1_000_000_001))
    ft("put", tmp_path / "a", place.url()).ok()
    status = (place.folder / "a").stat()
    assert (status.st_mtime_ns, status.st_mode & 0o7777) == (-1_000_000_001, 0o640)


def test_a_server_that_is_read_only(read_only: Place, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    outcome = ft("put", "--json", tmp_path / "a", read_only.url())
    assert outcome.line["code"] == "read-only"
    assert "nothing can be changed" in outcome.sentence
    assert not os.listdir(read_only.folder)


# -- ls ------------------------------------------------------------------------------------


@pytest.fixture
def listed(place: Place) -> Place:
    place.file("b.txt", b"bb")
    place.file("a.txt", b"a")
    (place.folder / "sub").mkdir(mode=0o755)
    (place.folder / "link").symlink_to("a.txt")
    os.utime(place.folder / "a.txt", ns=(5, 5))
    return place


def test_ls(listed: Place) -> None:
    assert ft("ls", listed.url()).ok().out.splitlines() == ["a.txt", "b.txt", "link", "sub/"]


def test_ls_long(listed: Place) -> None:
    first, _, link, folder = ft("ls", "-l", listed.url()).ok().out.splitlines()
    assert first.split()[:2] == ["-rw-r--r--", "1"]
    assert first.endswith(" a.txt")
    assert link.startswith("lrwx")
    assert folder.startswith("drwx")


def test_ls_as_json(listed: Place) -> None:
    lines = ft("ls", "--json", listed.url()).ok().lines
    base = listed.folder.name
    assert [list(each) for each in lines] == [["path", "kind", "size", "mtime"]] * 3
    assert lines[0] == {"path": f"{base}/a.txt", "kind": "file", "size": 1, "mtime": 5}
    assert (lines[2]["path"], lines[2]["kind"]) == (f"{base}/sub", "directory")


def test_ls_of_a_tree(listed: Place) -> None:
    (listed.folder / "sub" / "deeper").mkdir(parents=True)
    (listed.folder / "sub" / "deeper" / "file").write_bytes(b"x")
    tree = ["a.txt", "b.txt", "link", "sub/", "sub/deeper/", "sub/deeper/file"]
    assert ft("ls", "-R", listed.url()).ok().out.splitlines() == tree
    below = ft("ls", "--recursive", "-l", listed.url("sub/")).ok().out.splitlines()
    assert [line.split()[-1] for line in below] == ["deeper/", "deeper/file"]
    lines = ft("ls", "-R", "--json", listed.url("sub")).ok().lines
    assert [line["path"].partition("sub/")[2] for line in lines] == ["deeper", "deeper/file"]
    assert ft("ls", "-R", listed.url("a.txt")).ok().out == "a.txt\n"


def test_ls_of_a_tree_that_is_missing(listed: Place) -> None:
    assert "no such file or folder" in ft("ls", "-R", listed.url("missing")).sentence


def test_ls_of_a_file(listed: Place) -> None:
    assert ft("ls", listed.url("a.txt")).ok().out == "a.txt\n"


def test_ls_of_what_is_missing(listed: Place) -> None:
    assert "no such file or folder" in ft("ls", listed.url("missing")).sentence


def test_ls_into_a_pipe_that_is_closed(read_only: Place) -> None:
    for number in range(3000):
        (read_only.folder / f"a-name-that-fills-the-pipe-{number}").touch()
    process = start_ft("ls", read_only.url())
    assert process.stdout is not None
    assert process.stdout.readline() == "a-name-that-fills-the-pipe-0\n"
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 1
    process.stderr.close()


def test_partial_files_are_not_listed(place: Place) -> None:
    place.file(".ft-" + 32 * "0" + ".part", b"kept")
    assert ft("ls", place.url()).ok().out == ""


# -- interrupted, and slow on purpose ------------------------------------------------------

LARGE = os.urandom(4 << 20)


def _interrupted(folder: Path, *args: str | Path) -> Outcome:
    process = start_ft(*args, "--json", "--limit-rate", "4M")
    wait_until(lambda: kept_in(folder) > 1 << 20)
    interrupt(process)
    return outcome(process)


def test_get_interrupted_and_carried_on(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", LARGE)
    first = _interrupted(tmp_path, "get", url, tmp_path)
    assert first.status == 130
    assert "run the same command again" in first.err
    kept = kept_in(tmp_path)
    assert not (tmp_path / "a.bin").exists()
    line = ft("get", "--json", url, tmp_path).ok().line
    assert (line["status"], line["resumed_from"]) == ("done", kept)
    assert line["sent"] == len(LARGE) - kept
    assert (tmp_path / "a.bin").read_bytes() == LARGE
    assert os.listdir(tmp_path) == ["a.bin"]


def test_put_interrupted_and_carried_on(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(LARGE)
    first = _interrupted(place.folder, "put", tmp_path / "a.bin", place.url())
    assert first.status == 130
    place.server.wait_for(r"not received .*a\.bin")
    kept = kept_in(place.folder)
    line = ft("put", "--json", tmp_path / "a.bin", place.url()).ok().line
    assert (line["resumed_from"], line["sent"]) == (kept, len(LARGE) - kept)
    assert (place.folder / "a.bin").read_bytes() == LARGE
    assert os.listdir(place.folder) == ["a.bin"]


def test_what_was_carried_on_is_said(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", LARGE)
    _interrupted(tmp_path, "get", url, tmp_path)
    assert "resumed from" in ft("get", url, tmp_path).ok().out


@pytest.mark.parametrize("direction", ["get", "put"])
def test_limit_rate(place: Place, tmp_path: Path, direction: str) -> None:
    (tmp_path / "a.bin").write_bytes(LARGE)
    args: list[str | Path] = [tmp_path / "a.bin", place.url()]
    if direction == "get":
        args = [place.file("a.bin", LARGE), tmp_path / "b.bin"]
    line = ft(direction, "--json", "--limit-rate", "8M", *args).ok().line
    assert 0.3 < line["seconds"] < 1.5


def test_a_source_that_changed_starts_over(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", LARGE)
    _interrupted(tmp_path, "get", url, tmp_path)
    assert kept_in(tmp_path)
    changed = LARGE[::-1]
    place.file("a.bin", changed)
    line = ft("get", "--json", url, tmp_path).ok().line
    assert (line["resumed_from"], line["sent"]) == (0, len(LARGE))
    assert (tmp_path / "a.bin").read_bytes() == changed


def _damage(partial: Path) -> None:
    with partial.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))


def test_a_damaged_partial_file_of_get_ends_right(place: Place, tmp_path: Path) -> None:
    url = place.file("a.bin", LARGE)
    _interrupted(tmp_path, "get", url, tmp_path)
    _damage(partial_of(tmp_path)[0])
    kept = kept_in(tmp_path)
    line = ft("get", "--json", url, tmp_path).ok().line
    assert (line["status"], line["sent"]) == ("done", 2 * len(LARGE) - kept)
    assert (tmp_path / "a.bin").read_bytes() == LARGE
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_damaged_partial_file_of_put_ends_right(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(LARGE)
    _interrupted(place.folder, "put", tmp_path / "a.bin", place.url())
    _damage(partial_of(place.folder)[0])
    ft("put", "--json", tmp_path / "a.bin", place.url()).ok()
    assert (place.folder / "a.bin").read_bytes() == LARGE
    assert os.listdir(place.folder) == ["a.bin"]
