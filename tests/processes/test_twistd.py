"""``twistd filetransfer`` as its operator meets it: how it starts, refuses to, logs and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.kit.programs import (
    ANY_PORT,
    TWISTD,
    Outcome,
    Server,
    environment,
    ft,
    kept_in,
    outcome,
    start_ft,
    wait_until,
)
from twisted_ft.stores.conformance.samples import described
from twisted_ft.stores.local import LocalStore


def _twistd(*args: str | Path, cwd: Path) -> Outcome:
    done = subprocess.run(
        [*TWISTD, "-n", "--pidfile=", *map(str, args)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


WRONG = {
    "a missing root": (["--root", "missing"], "no such folder"),
    "a root that is a file": (["--root", "file"], "no such folder"),
    "a bad endpoint": (["--listen", "pigeon:22222"], "pigeon"),
    "a bad port": (["--listen", "tcp:http-or-so"], "--listen"),
    "a certificate that is missing": (["--listen", "ssl:0:privateKey=no.pem"], "--listen"),
    "a bad option": (["--wirtable"], "wirtable"),
    "a bad number": (["--max-connections", "many"], "not a whole number"),
    "a number too low": (["--timeout", "0"], "not a whole number"),
    "a bad size": (["--min-free", "much"], "--min-free much: this is not a size; write 500k"),
    "a bad time": (["--keep-partial", "0d"], "--keep-partial 0d: this is not a time; write 30m"),
    "an argument": (["/srv"], "--root"),
}


@pytest.mark.parametrize(("args", "said"), WRONG.values(), ids=list(WRONG))
def test_one_clear_line(tmp_path: Path, args: list[str], said: str) -> None:
    (tmp_path / "file").touch()
    wrong = _twistd("filetransfer", *args, cwd=tmp_path)
    assert wrong.status == 1
    (line,) = wrong.err.splitlines()
    assert line.startswith("twistd filetransfer: ")
    assert said in line
    assert "Traceback" not in wrong.out


def _the_reason(wrong: Outcome) -> str:
    """What is said on the screen beside twistd's own log lines, once it has begun to log."""
    assert wrong.status == 1
    assert "Traceback" not in wrong.out + wrong.err
    (line,) = [each for each in (wrong.out + wrong.err).splitlines() if "filetransfer" in each]
    return line.partition("twistd filetransfer: ")[2]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wrong = _twistd("filetransfer", f"--listen=tcp:{port}:interface=127.0.0.1", cwd=tmp_path)
    assert _the_reason(wrong) == f"can't listen on 127.0.0.1:{port}: Address already in use"


def test_a_port_that_is_out_of_range(tmp_path: Path) -> None:
    wrong = _twistd("filetransfer", "--listen=tcp:99999", cwd=tmp_path)
    assert _the_reason(wrong).startswith("can't listen on tcp:99999: ")


def test_help(tmp_path: Path) -> None:
    shown = _twistd("filetransfer", "--help", cwd=tmp_path)
    assert shown.status == 0
    for option in ("--root", "--listen", "--writable", "--no-overwrite", "--max-connections"):
        assert option in shown.out


def test_it_is_listed(tmp_path: Path) -> None:
    assert "filetransfer" in _twistd("--help", cwd=tmp_path).out


@pytest.mark.parametrize(
    ("options", "rights"),
    [
        ([], "everybody who connects may read,"),
        (["--writable"], "everybody who connects may read, and upload and replace files,"),
        (
            ["--writable", "--no-overwrite"],
            "everybody who connects may read, and upload new files,",
        ),
    ],
)
def test_the_log_says_what_is_served_where_and_to_whom(
    tmp_path: Path, options: list[str], rights: str
) -> None:
    with Server(tmp_path, *options) as server:
        line = server.wait_for(r"serving .*")[0]
    assert line == f"serving {tmp_path}: {rights} on tcp:0:interface=127.0.0.1"


def test_several_endpoints(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    path = tmp_path / "socket"
    with Server(tmp_path / "root", "--listen", f"unix:{path}") as server:
        with socket.socket(socket.AF_UNIX) as local:
            local.connect(str(path))
            local.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert local.recv(100).startswith(b"HTTP/1.1 400 ")
        ft("ls", server.url()).ok()


def test_in_the_background(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    pid_file, log = tmp_path / "pid", tmp_path / "log"
    command = [*TWISTD, f"--pidfile={pid_file}", f"--logfile={log}", "filetransfer"]
    command += [f"--root={tmp_path}/root", "--listen=tcp:0:interface=127.0.0.1"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, timeout=30)
    wait_until(lambda: log.exists() and "serving " in log.read_text())
    os.kill(int(pid_file.read_text()), signal.SIGTERM)
    wait_until(lambda: "Server Shut Down." in log.read_text() and not pid_file.exists())
    assert "Traceback" not in log.read_text()


def test_in_the_foreground_it_leaves_no_pidfile(tmp_path: Path) -> None:
    """Unless one is asked for."""
    for given, left in (([], set()), (["--pidfile=here.pid"], {"here.pid"})):
        process = subprocess.Popen(
            [*TWISTD, "-n", *given, "filetransfer", f"--listen={ANY_PORT}"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        assert any("starting on" in line for line in process.stdout)
        assert {path.name for path in tmp_path.iterdir()} == left
        process.terminate()
        process.communicate()


def test_a_port_that_is_taken_in_the_background(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [*TWISTD, "--pidfile=pid", "--logfile=log", "filetransfer"]
        command += [f"--listen=tcp:{taken.getsockname()[1]}:interface=127.0.0.1"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, check=False, timeout=30
        )
    assert done.returncode == 1
    assert b"Address already in use" in done.stderr
    assert b"Traceback" not in done.stderr


def test_stopped_in_the_middle_of_a_transfer(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(os.urandom(32 << 20))
    (tmp_path / "to").mkdir()
    with Server(tmp_path / "root") as server:
        options = ("--limit-rate", "16M", "--retry", "0")
        process = start_ft("get", *options, server.url("a"), tmp_path / "to")
        wait_until(lambda: kept_in(tmp_path / "to") > 0)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 8
        failed = outcome(process)
    assert "run again to resume" in failed.sentence
    assert kept_in(tmp_path / "to") > 0


def test_a_download_is_logged_as_sent_only_on_the_receipt(tmp_path: Path) -> None:
    """The client can't put the file where it is to go: the server mustn't say that it is there."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(os.urandom(2 << 20))
    (tmp_path / "to").mkdir()
    with Server(tmp_path / "root") as server:
        process = start_ft("get", "--limit-rate", "4M", server.url("a"), tmp_path / "to")
        wait_until(lambda: kept_in(tmp_path / "to") > 0)
        (tmp_path / "to" / "a").mkdir()  # in the way
        assert outcome(process).status == 1
        log = server.stop()
    assert " not sent a: " in log
    assert "verified" not in log


def test_a_download_is_logged_with_what_crossed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    with Server(tmp_path) as server:
        ft("get", server.url("a"), "b", cwd=tmp_path).ok()
        log = server.stop()
    assert " sent a: 5 bytes, verified, 5 over the wire in " in log


def test_what_is_kept_of_uploads_has_an_end(tmp_path: Path) -> None:
    """Only where uploads are taken is anything removed."""
    sink = LocalStore(tmp_path).sink(described(b"new", b"1234"), True)
    sink.write([b"12"])
    sink.keep()
    with Server(tmp_path, "--keep-partial", "1s") as server:
        server.wait_for("serving")
        ft("ls", server.url()).ok()
    assert len(os.listdir(tmp_path)) == 2
    with Server(tmp_path, "--writable", "--keep-partial", "1s") as server:
        server.wait_for("removed 1 partial file that nobody resumed: 2 bytes")
    assert os.listdir(tmp_path) == []


def test_uploads_leave_some_space_free(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "file").write_bytes(b"1234")
    with Server(tmp_path / "root", "--writable", "--min-free", "1000P") as server:
        failed = ft("put", "--json", tmp_path / "file", server.url())
        assert failed.line["code"] == "no-space"
        assert "it needs 4 bytes, and there is room for 0" in failed.sentence
    assert os.listdir(tmp_path / "root") == []
