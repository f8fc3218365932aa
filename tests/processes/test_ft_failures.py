"""What can't be done: one clear sentence, exit status 1, nothing broken left behind."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.places import Place
from tests.kit.programs import Server, ft, kept_in, outcome, start_ft, wait_until


def test_no_such_host() -> None:
    assert "nohost.invalid:22222: no such host" in ft("ls", "ft://nohost.invalid/").sentence


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sentence = ft("ls", f"ft://127.0.0.1:{port}/").sentence
    assert sentence.startswith(f"127.0.0.1:{port}: the connection was refused")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_host_that_says_nothing(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(3):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        failed = ft("ls", "--timeout", "1", f"ft://{host}:{port}/")
    assert f"{host}:{port}: no connection, and no greeting, within 1 seconds" in failed.sentence


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        failed = ft("ls", "--timeout", "1", f"ft://127.0.0.1:{silent.getsockname()[1]}/")
        assert "within 1 seconds" in failed.sentence
        assert 0.9 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 99]
)
def test_a_server_of_another_kind(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"ft://127.0.0.1:{other.getsockname()[1]}/"

        def greet() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(answer)
                connection.settimeout(10)
                while connection.recv(1024):
                    pass

        thread = threading.Thread(target=greet)
        thread.start()
        sentence = ft("ls", url).sentence
        thread.join()
    assert "FT/1" in sentence


def test_many_failures_leave_the_connection(place: Place, tmp_path: Path) -> None:
    (place.folder / "folder").mkdir()
    urls = [
        place.url("missing"),
        place.url("folder"),
        place.url("a/b"),
        place.file("good", b"good"),
    ]
    failed = ft("get", "--json", *urls, tmp_path)
    codes = [line.get("code") for line in failed.lines]
    assert codes == ["not-found", "is-a-directory", "not-found", None]
    assert os.listdir(tmp_path) == ["good"]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 5))  # as /dev/zero
    except PermissionError:
        pytest.skip("only root may make a device")


def _link_inside(path: Path) -> None:
    (path.parent / "target").write_text("target")
    path.symlink_to("target")


def _link_outside(path: Path) -> None:
    path.symlink_to("/etc/passwd")


SPECIAL = {
    "fifo": _fifo,
    "socket": _socket,
    "device": _device,
    "link inside": _link_inside,
    "link outside": _link_outside,
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file(place: Place, tmp_path: Path, kind: str) -> None:
    SPECIAL[kind](place.folder / "special")
    began = time.monotonic()
    failed = ft("get", "--json", place.url("special"), tmp_path)
    assert failed.line["code"] == "not-a-file"
    assert failed.sentence
    assert time.monotonic() - began < 5
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_a_link(place: Place, tmp_path: Path) -> None:
    (place.folder / "etc").symlink_to("/etc")
    assert ft("get", "--json", place.url("etc/passwd"), tmp_path).line["code"] == "not-a-file"


def test_a_folder_as_a_file(place: Place, tmp_path: Path) -> None:
    (place.folder / "folder").mkdir()
    assert "this is a folder" in ft("get", place.url("folder"), tmp_path).sentence


def test_a_file_as_a_folder(place: Place, tmp_path: Path) -> None:
    place.file("file", b"")
    failed = ft("get", "--json", place.url("file/a"), tmp_path)
    assert failed.line["code"] == "not-a-directory"
    assert ft("ls", place.url("file/a")).status == 1


def test_put_over_what_is_no_file(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    os.mkfifo(place.folder / "fifo")
    failed = ft("put", "--json", tmp_path / "a", place.url("fifo"))
    assert failed.line["code"] == "not-a-file"
    assert os.listdir(place.folder) == ["fifo"]


def test_put_of_what_is_no_file(place: Place, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert ft("put", "--json", tmp_path / "fifo", place.url()).line["code"] == "not-a-file"


def test_put_through_a_link_replaces_the_link(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("outside")
    (tmp_path / "a").write_text("new")
    (place.folder / "link").symlink_to(outside)
    ft("put", tmp_path / "a", place.url("link")).ok()
    assert outside.read_text() == "outside"
    assert (place.folder / "link").read_text() == "new"


WITHOUT_OVERRIDING = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Takes from root what lets it open any file (capabilities(7)); others have it not."""


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for which permissions count."""
    root = tmp_path_factory.mktemp("plain")
    prefix = [sys.executable, "-c", WITHOUT_OVERRIDING]
    with Server(root, "--writable", "--no-overwrite", prefix=prefix) as server:
        yield server


def test_no_permission_to_read(plain_server: Server, tmp_path: Path) -> None:
    (plain_server.root / "closed").write_text("closed")
    (plain_server.root / "closed").chmod(0)
    failed = ft("get", "--json", plain_server.url("closed"), tmp_path)
    assert failed.line["code"] == "forbidden"
    assert "permission denied" in failed.sentence


def test_no_permission_to_list(plain_server: Server) -> None:
    (plain_server.root / "hidden").mkdir(mode=0)
    assert "permission denied" in ft("ls", plain_server.url("hidden/")).sentence


def test_no_permission_to_write(plain_server: Server, tmp_path: Path) -> None:
    (plain_server.root / "fixed").mkdir(mode=0o555)
    (tmp_path / "a").write_text("a")
    failed = ft("put", "--json", tmp_path / "a", plain_server.url("fixed/"))
    assert failed.line["code"] == "forbidden"
    assert not os.listdir(plain_server.root / "fixed")


def test_no_overwriting(plain_server: Server, tmp_path: Path) -> None:
    (plain_server.root / "standing").write_text("standing")
    (tmp_path / "a").write_text("another")
    failed = ft("put", "--json", tmp_path / "a", plain_server.url("standing"))
    assert failed.line["code"] == "exists"
    assert "may not be replaced" in failed.sentence
    assert (plain_server.root / "standing").read_text() == "standing"


def test_a_new_file_where_nothing_is_overwritten(plain_server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    ft("put", tmp_path / "a", plain_server.url("new")).ok()
    assert (plain_server.root / "new").read_text() == "new"


def _shrink(path: Path) -> None:
    os.truncate(path, 1000)


def _write_anew(path: Path) -> None:
    path.write_bytes(os.urandom(5 << 20))


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


@pytest.mark.parametrize("change", [_shrink, _write_anew, _overwrite])
def test_a_file_that_changes_while_it_is_put(
    place: Place, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    source = tmp_path / "a"
    source.write_bytes(os.urandom(4 << 20))
    options = ("--json", "--retry", "0", "--limit-rate", "8M")
    process = start_ft("put", *options, source, place.url())
    wait_until(lambda: kept_in(place.folder) > 1 << 20)
    change(source)
    failed = outcome(process)
    assert failed.line["code"] == "changed"
    assert "while it was being sent" in failed.sentence
    assert not (place.folder / "a").exists()
    ft("put", source, place.url()).ok()
    assert (place.folder / "a").read_bytes() == source.read_bytes()


def test_a_file_that_shrinks_while_it_is_got(place: Place, tmp_path: Path) -> None:
    url = place.file("a", os.urandom(24 << 20))
    process = start_ft("get", "--json", "--limit-rate", "24M", url, tmp_path)
    wait_until(lambda: kept_in(tmp_path) > 1 << 20)
    _shrink(place.folder / "a")
    done = outcome(process)
    assert done.line["status"] == "done", done
    assert "while it was being sent; trying again in 1 s (1 of 5)" in done.err
    assert (tmp_path / "a").stat().st_size == 1000


def test_a_file_that_is_replaced_while_it_is_sent_arrives_as_it_was(
    place: Place, tmp_path: Path
) -> None:
    content = os.urandom(4 << 20)
    url = place.file("a", content)
    process = start_ft("get", "--json", "--limit-rate", "8M", url, tmp_path)
    wait_until(lambda: kept_in(tmp_path) > 1 << 20)
    place.file("b", b"other")
    os.replace(place.folder / "b", place.folder / "a")
    outcome(process).ok()
    assert (tmp_path / "a").read_bytes() == content


def test_a_server_that_nobody_reaches_is_told_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        urls = [f"ft://127.0.0.1:{taken.getsockname()[1]}/{name}" for name in "abc"]
        failed = ft("get", "--json", *urls, tmp_path)
    first, more = failed.err.splitlines()
    assert "the connection was refused; is the server running" in first
    assert more.startswith("ft: 2 more files: 127.0.0.1:")
    assert [each["status"] for each in failed.lines] == ["failed"] * 3
