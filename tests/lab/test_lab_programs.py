"""Our two ends against the lab's two programs, as processes, on real sockets."""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.python.failure import Failure

from twisted_ft.errors import ConnectionFailed, Unreachable
from twisted_ft.lab import Ambiguous, LabServerFactory, receive_from_lab

LOCALHOST = "127.0.0.1"
HERE = Path(__file__).parent
Test = TypeVar("Test", bound=Callable[..., Any])
on_reactor: Callable[[Test], Test] = pytest_twisted.ensureDeferred
SIZES = [0, 1, 1023, 1024, 1025, 3_000_001]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Program(ProcessProtocol):
    """One of the lab's programs, as a process in the current folder."""

    def __init__(self, script: str, *args: object) -> None:
        from twisted.internet import reactor

        self.output = b""
        self.errors = b""
        self.first_line: Deferred[bytes] = Deferred()
        self.ended: Deferred[None] = Deferred()
        argv = [sys.executable, str(HERE / script), *map(str, args)]
        spawn: Any = reactor
        self.process = spawn.spawnProcess(self, sys.executable, argv, env=os.environ)

    def type(self, text: str) -> None:
        self.process.write(text.encode() + b"\n")

    def outReceived(self, data: bytes) -> None:
        self.output += data
        if b"\n" in self.output and not self.first_line.called:
            self.first_line.callback(self.output.partition(b"\n")[0])

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


async def offer(path: Path) -> Any:
    """Our server, listening."""
    from twisted.internet import reactor

    endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST)
    return await endpoint.listen(LabServerFactory(path))


async def lab_client_receives(path: Path) -> tuple[Path, Program]:
    """What the lab's client makes of ``path``, offered by us."""
    port = await offer(path)
    try:
        Path("rec").mkdir(exist_ok=True)
        client = Program("lab_client_program.py", port.getHost().port)
        client.type(LOCALHOST)
        await client.ended
    finally:
        await port.stopListening()
    return Path("rec", path.name), client


async def lab_server_sends(typed: str, **options: Any) -> Any:
    """What we make of the file that the lab's server is told of."""
    server = Program("lab_server_program.py", LOCALHOST, 0)
    port = int((await server.first_line).split()[-1])
    receiving = receive_from_lab(f"{LOCALHOST}:{port}", **options)
    server.type(typed)
    try:
        return await receiving
    finally:
        await server.ended
        assert server.errors == b""
        assert b"File Transfer Complete" in server.output


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def names() -> list[str]:
    return ["a", "ab", "report 7.txt", "data2024", "grüße.txt", "n" * 98, "n" * 99, "n" * 100]


# -- our server, the lab's client --------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@on_reactor
async def test_lab_client_receives_every_size(size: int, folder: Path) -> None:
    path = folder / "some file.bin"
    path.write_bytes(content(size))
    received, client = await lab_client_receives(path)
    assert client.errors == b""
    assert b"Connected Successfully" in client.output
    assert b"File Transfer Complete" in client.output
    assert received.read_bytes() == content(size)


@pytest.mark.parametrize("name", names())
@on_reactor
async def test_lab_client_receives_every_name(name: str, folder: Path) -> None:
    path = folder / name
    path.write_bytes(content(5000))
    received, client = await lab_client_receives(path)
    assert client.errors == b""
    assert received.read_bytes() == content(5000)
    assert os.listdir("rec") == [name]


@on_reactor
async def test_ten_lab_clients_of_ten_receive_it_whole(folder: Path) -> None:
    path = folder / "ten.bin"
    path.write_bytes(content(300_000))
    port = await offer(path)
    clients = []
    for number in range(10):
        (folder / str(number) / "rec").mkdir(parents=True)
        os.chdir(folder / str(number))
        client = Program("lab_client_program.py", port.getHost().port)
        client.type(LOCALHOST)
        clients.append(client)
    for client in clients:
        await client.ended
    await port.stopListening()
    for number in range(10):
        assert (folder / str(number) / "rec" / "ten.bin").read_bytes() == content(300_000)


# -- the lab's server, our client --------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@on_reactor
async def test_every_size_from_the_lab_server(size: int, folder: Path) -> None:
    (folder / "some file.bin").write_bytes(content(size))
    delivery = await lab_server_sends("some file.bin")
    assert Path(delivery.path) == Path("rec", "some file.bin")
    assert (delivery.size, delivery.sent, delivery.status) == (size, size, "done")
    assert Path(delivery.path).read_bytes() == content(size)
    assert os.listdir("rec") == ["some file.bin"]


@pytest.mark.parametrize("name", [*names(), "n" * 101, "n" * 255])
@on_reactor
async def test_every_name_from_the_lab_server(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"1" * 5000)
    delivery = await lab_server_sends(name)
    assert Path(delivery.path) == Path("rec", name)
    assert Path(delivery.path).read_bytes() == b"1" * 5000


@on_reactor
async def test_ten_transfers_of_ten_from_the_lab_server(folder: Path) -> None:
    (folder / "ten.bin").write_bytes(content(100_000))
    for number in range(10):
        delivery = await lab_server_sends("ten.bin", folder=str(number))
        assert Path(delivery.path).read_bytes() == content(100_000)


@on_reactor
async def test_only_the_last_part_of_a_path_is_used(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    path = folder / "elsewhere" / "file.txt"
    path.write_bytes(b"hello")
    for typed in ("elsewhere/file.txt", "elsewhere/../elsewhere/file.txt", str(path)):
        delivery = await lab_server_sends(typed)
        assert delivery.path == os.path.join("rec", "file.txt")
        assert Path("rec", "file.txt").read_bytes() == b"hello"


@on_reactor
async def test_a_name_that_ends_in_digits_can_need_to_be_said(folder: Path) -> None:
    (folder / "x1").write_bytes(b"")
    with pytest.raises(Ambiguous, match=r"x \(1 bytes\) or x1 \(0 bytes\)"):
        await lab_server_sends("x1")
    assert os.listdir("rec") == []
    delivery = await lab_server_sends("x1", name="x1")
    assert (delivery.path, delivery.size) == (os.path.join("rec", "x1"), 0)


@on_reactor
async def test_nobody_listens() -> None:
    from twisted.internet import reactor

    endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST)
    port = await endpoint.listen(Factory.forProtocol(Protocol))
    number = port.getHost().port
    await port.stopListening()
    with pytest.raises(Unreachable, match="refused"):
        await receive_from_lab(f"{LOCALHOST}:{number}")


# -- both ours, and real resets ----------------------------------------------------------


@on_reactor
async def test_our_own_server(folder: Path) -> None:
    from twisted.internet import reactor

    (folder / "big").write_bytes(content(8_000_000))
    port = await offer(folder / "big")
    endpoint: Any = TCP4ClientEndpoint(reactor, LOCALHOST, port.getHost().port)
    delivery = await receive_from_lab(endpoint, reactor=reactor)
    await port.stopListening()
    assert Path(delivery.path).read_bytes() == content(8_000_000)


class _Resetting(Protocol):
    """Sends a whole stream, and ends it with a reset once it has come through."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self.transport.write(b"name5000000" + b"-" * 5_000_000)

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None:
        self.transport.abortConnection()

    def stopProducing(self) -> None: ...


@on_reactor
async def test_a_reset_is_no_end() -> None:
    from twisted.internet import reactor

    endpoint: Any = TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST)
    port = await endpoint.listen(Factory.forProtocol(_Resetting))
    with pytest.raises(ConnectionFailed, match="lost"):
        await receive_from_lab(f"{LOCALHOST}:{port.getHost().port}")
    await port.stopListening()
    assert os.listdir("rec") == []
