"""The examples are run as a user would, and the pages' code as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from twisted_ft import FileTransferFactory, LocalStore, MemoryStore, Runtime, connect
from twisted_ft.errors import Forbidden, NotFound, Unreachable
from twisted_ft.testing import MemoryNetwork

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
reactor: Any = installed


@pytest_twisted.async_yield_fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A server of a folder, for uploads too."""
    (tmp_path / "served").mkdir()
    factory = FileTransferFactory(LocalStore(tmp_path / "served"), writable=True)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    yield f"ft://127.0.0.1:{port.getHost().port}"
    await port.stopListening()
    while factory.connections:
        await deferLater(reactor, 0)


async def run(*arguments: str) -> tuple[str, str, int]:
    """What an example prints, what it complains of, and its exit status."""
    out, err, status = await getProcessOutputAndValue(
        sys.executable, [str(EXAMPLES / arguments[0]), *arguments[1:]], env=os.environ
    )
    return out.decode(), err.decode(), status


@pytest_twisted.ensureDeferred
async def test_the_async_client(url: str, tmp_path: Path) -> None:
    (tmp_path / "served/a").write_bytes(b"hello")
    (tmp_path / "served/b").write_bytes(b"world!")
    out, err, status = await run("async_client.py", url, str(tmp_path / "here"), "a", "b")
    assert (err, status) == ("", 0)
    assert sorted(out.splitlines()) == [
        f"{tmp_path}/here/a: 5 bytes, done",
        f"{tmp_path}/here/b: 6 bytes, done",
    ]
    assert (tmp_path / "here/b").read_bytes() == b"world!"


@pytest_twisted.ensureDeferred
async def test_the_async_client_has_what_there_is_and_names_the_rest(
    url: str, tmp_path: Path
) -> None:
    (tmp_path / "served/b").write_bytes(b"world!")
    out, err, status = await run("async_client.py", url, str(tmp_path / "here"), "a", "b", "c")
    assert sorted(err.splitlines()) == [
        f"{name}: there is no such file or folder on the server" for name in ("a", "c")
    ]
    assert (out, status) == (f"{tmp_path}/here/b: 6 bytes, done\n", 1)


@pytest.mark.parametrize("where", ["ft://127.0.0.1:1", "http://127.0.0.1"])
@pytest.mark.parametrize("example", ["async_client.py", "inline_callbacks_client.py"])
@pytest_twisted.ensureDeferred
async def test_a_client_without_a_server_says_so(example: str, where: str, tmp_path: Path) -> None:
    arguments = [where, str(tmp_path), "a"] if example == "async_client.py" else ["a", where]
    out, err, status = await run(example, *arguments)
    assert (out, status) == ("", 1)
    (line,) = err.splitlines()
    assert re.search("the connection was refused|http", line)


@pytest_twisted.ensureDeferred
async def test_the_inline_callbacks_client_says_what_fails(url: str, tmp_path: Path) -> None:
    out, err, status = await run("inline_callbacks_client.py", str(tmp_path / "no"), url)
    assert (out, status) == ("", 1)
    assert re.fullmatch(".*no: there is no such file or folder\n", err)


@pytest_twisted.ensureDeferred
async def test_the_inline_callbacks_client(url: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    out, err, status = await run("inline_callbacks_client.py", str(tmp_path / "a"), url)
    assert (err, status) == ("", 0)
    assert out.splitlines()[-3:-1] == ["5 bytes", out.splitlines()[-2]]
    assert re.fullmatch("a: done, [0-9a-f]{64}", out.splitlines()[-2])
    assert out.splitlines()[-1] == "a 5"
    assert (tmp_path / "served/a").read_bytes() == b"hello"


class Twistd(ProcessProtocol):
    """A twistd that runs in the foreground."""

    def __init__(self) -> None:
        self.said = b""
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.said += data

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


def start_inbox(twistd: Twistd, place: Path, files: str, web: str) -> Any:
    """Start the service, in ``place``, on two endpoints."""
    more = {"INBOX": str(place / "inbox"), "INBOX_FILES": files, "INBOX_WEB": web}
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    arguments = ["--nodaemon", "--pidfile=", f"--python={EXAMPLES / 'inbox.tac'}"]
    return reactor.spawnProcess(
        twistd, sys.executable, [*command, *arguments], {**os.environ, **more}, str(place)
    )


async def page_at(socket: str, path: str) -> bytes:
    """The answer to a request for a page."""
    asked = await connectProtocol(UNIXClientEndpoint(reactor, socket), Asked())
    asked.transport.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer: bytes = await asked.answer
    return answer


class Asked(Protocol):
    """Gathers an answer until its end."""

    def __init__(self) -> None:
        self.said = b""
        self.answer: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.said += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.answer.callback(self.said)


@pytest_twisted.ensureDeferred
async def test_the_service_doesnt_start_where_a_port_is_taken(tmp_path: Path) -> None:
    taken = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    twistd = Twistd()
    where = f"tcp:{taken.getHost().port}:interface=127.0.0.1"
    process = start_inbox(twistd, tmp_path, "tcp:0:interface=127.0.0.1", where)
    late = reactor.callLater(30, process.signalProcess, "KILL")
    await twistd.ended
    assert late.active()
    late.cancel()
    assert b"Address already in use" in twistd.said
    await taken.stopListening()


@pytest_twisted.ensureDeferred
async def test_the_service(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twistd = Twistd()
        process = start_inbox(twistd, tmp_path, f"unix:{folder}/files", f"unix:{folder}/web")
        try:
            client = await connected(f"{folder}/files", twistd)
            (tmp_path / "a").write_bytes(b"hello")
            await client.put(tmp_path / "a")
            assert (tmp_path / "inbox/a").read_bytes() == b"hello"
            partial = ".ft-" + 32 * "0" + ".part"
            (tmp_path / "inbox" / partial).write_bytes(b"half")
            page = await page_at(f"{folder}/web", "/")
            assert b">a<" in page
            assert partial.encode() not in page
            assert b"hello" in await page_at(f"{folder}/web", "/a")
            assert b"404" in (await page_at(f"{folder}/web", f"/{partial}")).splitlines()[0]
            await client.close()
        finally:
            process.signalProcess("TERM")
            await twistd.ended
        assert b"Server Shut Down" in twistd.said


async def connected(path: str, twistd: Twistd) -> Any:
    """A client, as soon as the server is there."""
    for _ in range(1000):
        try:
            return await connect(UNIXClientEndpoint(reactor, path))
        except Unreachable:
            assert not twistd.ended.called, twistd.said.decode()
            await deferLater(reactor, 0.02)
    raise AssertionError(twistd.said.decode())


def test_the_test_of_a_user() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_reports.py"]
    ran = subprocess.run(
        command, cwd=EXAMPLES, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


@pytest.mark.parametrize("example", [path.name for path in EXAMPLES.glob("[!_]*.*")])
def test_an_example_is_short(example: str) -> None:
    code = (EXAMPLES / example).read_text().split('"""', 2)[2]
    assert 10 <= len([line for line in code.splitlines() if line.strip()]) <= 25


def names_of(page: str) -> dict[str, Any]:
    """What the Python blocks of a page define, run one after another."""
    names: dict[str, Any] = {"__name__": page}
    text = (ROOT / "docs" / page).read_text()
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, page, "exec"), names)
    return names


RECIPES = {name: each for name, each in names_of("testing.md").items() if name.startswith("test_")}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe(recipe: Callable[[], None]) -> None:
    recipe()


def test_the_page_on_embedding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = names_of("embedding.md")
    network = MemoryNetwork()
    store = MemoryStore({b"reports/may.pdf": b"hello"})
    client = network.client(FileTransferFactory(store, runtime=network.runtime))
    report = names["fetch_for_a_while"](client, network.clock, "reports/may.pdf", tmp_path)
    assert network.run(report).status == "done"
    assert capsys.readouterr().out.splitlines()[-1] == "100 %"
    there = network.run(names["fetch_if_there"](client, "reports/may.pdf", tmp_path))
    assert there.status == "skipped"
    assert network.run(names["fetch_if_there"](client, "nothing", tmp_path)) is None
    with pytest.raises(NotFound):
        network.run(names["fetch_if_there"](client, "reports/may.pdf", tmp_path / "no" / "may"))


def test_the_page_on_streams() -> None:
    names = names_of("embedding.md")
    network, store = MemoryNetwork(), MemoryStore({b"a": b"hello"})
    factory = FileTransferFactory(store, writable=True, runtime=network.runtime)
    client = network.client(factory)
    digest = network.run(ensureDeferred(names["sha256_of"](client, "a")))
    assert digest == sha256(b"hello").hexdigest()

    async def rows() -> AsyncIterator[int]:
        yield 1
        yield 2

    network.run(ensureDeferred(names["save_rows"](client, "rows", rows())))
    assert store.files[b"rows"].content == b"1\n2\n"
    file = BytesIO(b"world")
    assert network.run(ensureDeferred(names["upload_open_file"](client, file, "b"))).size == 5
    assert store.files[b"b"].content == b"world"


def test_the_page_on_sessions_and_events(tmp_path: Path) -> None:
    names = names_of("embedding.md")
    (tmp_path / "ann").mkdir()
    network, here = MemoryNetwork(), MemoryStore({b"a": b"hello"})
    users = {"client.example": "ann"}
    factory = names["serve_users"](tmp_path, users, runtime=network.runtime)
    network.run(network.client(factory).send(here, "a", "b"))
    assert (tmp_path / "ann" / "b").read_bytes() == b"hello"
    stranger = names["serve_users"](tmp_path, {}, runtime=network.runtime)
    with pytest.raises(Forbidden, match="nobody knows this machine"):
        network.client(stranger)
    counting, arrived = names["count_uploads"](tmp_path, runtime=network.runtime)
    network.run(network.client(counting).send(here, "a", "ann/c"))
    assert arrived == [(b"ann/c", 5)]


@pytest_twisted.ensureDeferred
async def test_the_page_on_embedding_on_the_reactor(tmp_path: Path) -> None:
    names = names_of("embedding.md")
    (tmp_path / "served/reports").mkdir(parents=True)
    (tmp_path / "served/reports/may.pdf").write_bytes(b"hello")
    port = await names["serve"](reactor, tmp_path / "served", "tcp:0:interface=127.0.0.1")
    where = f"ft://127.0.0.1:{port.getHost().port}"
    assert await names["fetch_report"](where, tmp_path) == str(tmp_path / "may.pdf")
    runtime: Runtime = names["runtime_of"](reactor, reactor.getThreadPool())
    async with await connect(where, runtime=runtime) as client:
        assert [entry.path for entry in await client.list()] == [b"reports"]
    await port.stopListening()
    while port.factory.connections:
        await deferLater(reactor, 0)
