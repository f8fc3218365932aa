"""Our two ends in memory: what goes wrong, and how slow either side may be."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from twisted_ft.delivery import Delivery
from twisted_ft.errors import (
    BadName,
    ConnectionFailed,
    FileTransferError,
    IsADirectory,
    NotADirectory,
    NotFound,
    TimedOut,
)
from twisted_ft.lab import Ambiguous, LabServerFactory, lab_location, receive_from_lab
from twisted_ft.lab.stream import header
from twisted_ft.testing import MemoryNetwork, MemoryTransport, ScriptedPeer
from twisted_ft.transfer.bodies.tracker import TransferProgress
from twisted_ft.transfer.runtime import Runtime


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """The events of the lab's server."""
    events: list[dict[str, Any]] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if event.get("log_namespace", "").startswith("twisted_ft.lab"):
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def end_of(peer: ScriptedPeer) -> MemoryTransport:
    assert isinstance(peer.transport, MemoryTransport)
    return peer.transport


# -- the server --------------------------------------------------------------------------


def offered(network: MemoryNetwork, path: Path, **options: Any) -> IProtocolFactory:
    return LabServerFactory(path, runtime=network.runtime, **options)


def lab_client(network: MemoryNetwork, factory: IProtocolFactory) -> ScriptedPeer:
    peer = network.scripted_client(factory)
    peer.listen_raw()
    return peer


def test_what_is_sent(network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]]) -> None:
    (tmp_path / "file").write_bytes(b"0123456789" * 100_000)
    peer = lab_client(network, offered(network, tmp_path / "file"))
    network.settle()
    assert peer.raw == header(b"file", 1_000_000) + b"0123456789" * 100_000
    assert peer.lost is not None
    assert peer.lost.check(ConnectionDone)
    (event,) = logged
    assert event["path"] == "file"
    assert event["size"] == 1_000_000
    assert event["peer"] == "client.example:50000"


def test_who_comes_when_all_places_are_taken_is_cut_off(
    network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789" * 100_000)
    factory = offered(network, tmp_path / "file", max_connections=1)
    first = lab_client(network, factory)
    end_of(first).pauseProducing()
    network.settle()
    second = lab_client(network, factory)
    network.settle()
    assert second.raw == b""
    assert second.lost is not None
    (event,) = logged
    assert event["code"] == "busy"
    end_of(first).resumeProducing()
    network.settle()
    assert first.raw.endswith(b"0123456789")
    third = lab_client(network, factory)
    network.settle()
    assert third.raw == first.raw


def test_a_server_that_stops_cuts_its_clients_off(network: MemoryNetwork, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789" * 100_000)
    factory = LabServerFactory(tmp_path / "file", runtime=network.runtime)
    peer = lab_client(network, factory)
    end_of(peer).pauseProducing()
    network.settle()
    factory.disconnect()
    network.settle()
    assert peer.lost is not None


def test_the_header_is_one_write(network: MemoryNetwork, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    peer = lab_client(network, offered(network, tmp_path / "file"))
    while not peer.raw:
        network.step()
    assert peer.raw == header(b"file", 4)
    network.settle()


def test_what_cannot_be_offered(network: MemoryNetwork, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        offered(network, tmp_path / "missing")
    with pytest.raises(IsADirectory):
        offered(network, tmp_path)
    (tmp_path / ("n" * 101)).write_bytes(b"")
    with pytest.raises(BadName, match="at most 100 bytes"):
        offered(network, tmp_path / ("n" * 101))


def test_a_link_lends_its_name(network: MemoryNetwork, tmp_path: Path) -> None:
    (tmp_path / ("n" * 101)).write_bytes(b"data")
    (tmp_path / "short").symlink_to("n" * 101)
    peer = lab_client(network, offered(network, tmp_path / "short"))
    network.settle()
    assert peer.raw == header(b"short", 4) + b"data"


def test_each_client_gets_the_file_as_it_is_then(network: MemoryNetwork, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    factory = offered(network, path)
    first = lab_client(network, factory)
    network.settle()
    path.write_bytes(b"other")
    second = lab_client(network, factory)
    network.settle()
    assert first.raw[-3:] == b"one"
    assert second.raw[-5:] == b"other"


def test_a_file_that_has_gone(
    network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    factory = offered(network, path)
    path.unlink()
    peer = lab_client(network, factory)
    network.settle()
    assert peer.raw == b""
    assert peer.lost is not None
    assert [event["code"] for event in logged] == ["not-found"]


@pytest.mark.parametrize("content", [bytes(10), b"0" * 9_000_000])
def test_a_file_that_changes_is_not_sent_to_its_end(
    network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]], content: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8_000_000))
    peer = lab_client(network, offered(network, path))
    while len(peer.raw) < 100_000:
        network.step()
    path.write_bytes(content)
    network.settle()
    assert len(peer.raw) < 8_000_200
    assert peer.lost is not None
    assert not peer.lost.check(ConnectionDone)
    assert [event["code"] for event in logged] == ["changed"]


def test_a_file_that_grows_is_sent_as_it_was(
    network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8_000_000))
    peer = lab_client(network, offered(network, path))
    while len(peer.raw) < 100_000:
        network.step()
    os.truncate(path, 9_000_000)
    network.settle()
    assert [event["size"] for event in logged] == [8_000_000]
    assert len(peer.raw) == 8_000_200


def test_a_client_that_reads_slowly_has_its_time(network: MemoryNetwork, tmp_path: Path) -> None:
    size = 1_000_000
    (tmp_path / "file").write_bytes(bytes(size))
    peer = lab_client(network, offered(network, tmp_path / "file", timeout=60))
    while len(peer.raw) < size + 200:
        peer.pause_reading()
        network.advance(50)
        server = network.transports[0][1]
        assert server.buffered <= (1 << 16) + server.bufferSize
        before = len(peer.raw)
        peer.resume_reading()
        while len(peer.raw) < min(before + (1 << 17), size + 200):
            network.step()
    network.settle()
    assert peer.lost is not None
    assert peer.lost.check(ConnectionDone)


def test_a_client_that_stops_reading_is_dropped(
    network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    (tmp_path / "file").write_bytes(bytes(2_000_000))
    peer = lab_client(network, offered(network, tmp_path / "file", timeout=60))
    peer.pause_reading()
    network.advance(59)
    assert peer.lost is None
    network.advance(2)
    assert peer.lost is not None
    assert [event["code"] for event in logged] == ["timeout"]


def test_so_is_one_that_never_takes_the_end(
    network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]]
) -> None:
    (tmp_path / "file").write_bytes(b"small")
    peer = lab_client(network, offered(network, tmp_path / "file", timeout=60))
    peer.pause_reading()
    network.advance(61)
    assert peer.lost is not None
    assert [event["code"] for event in logged] == ["timeout"]


@pytest.mark.parametrize("size", [0, 100_000, 1_000_000])
def test_a_client_that_goes_away(
    network: MemoryNetwork, tmp_path: Path, logged: list[dict[str, Any]], size: int
) -> None:
    (tmp_path / "file").write_bytes(bytes(2_000_000))
    peer = lab_client(network, offered(network, tmp_path / "file"))
    while len(peer.raw) < size:
        network.step()
    end_of(peer).abortConnection()
    network.settle()
    assert [event["code"] for event in logged] == ["connection"]
    network.advance(100)


# -- the client --------------------------------------------------------------------------


def received(
    network: MemoryNetwork,
    stream: bytes,
    folder: Path,
    end: Callable[[MemoryTransport], None] = MemoryTransport.loseConnection,
    **options: Any,
) -> Delivery:
    """What we make of ``stream``, sent by a server that then ends it."""
    endpoint, peer = network.scripted_server()
    receiving = receive_from_lab(endpoint, folder, runtime=network.runtime, **options)
    network.settle()
    peer.send(stream)
    network.settle()
    end(end_of(peer))
    return network.run(receiving)


def test_what_is_received(network: MemoryNetwork, tmp_path: Path) -> None:
    data = b"0123456789" * 1_000_000
    told: list[TransferProgress] = []
    stream = b"folder/file10000000" + data
    delivery = received(network, stream, tmp_path / "new" / "rec", progress=told.append)
    path = tmp_path / "new" / "rec" / "file"
    assert delivery.path == str(path)
    assert (delivery.size, delivery.sent, delivery.resumed_from) == (len(data), len(data), 0)
    assert path.read_bytes() == data
    counts = [moved.sent for moved in told]
    assert counts[:-1] == sorted(counts[:-1])
    assert counts[-2:] == [len(stream), len(data)]
    assert told[-1].blake3.hex() == delivery.blake3
    assert os.listdir(path.parent) == ["file"]


def test_byte_by_byte(tmp_path: Path) -> None:
    received(MemoryNetwork(segment=1), b"file100" + b"-" * 100, tmp_path)
    assert (tmp_path / "file").read_bytes() == b"-" * 100


def test_our_own_server_in_memory(network: MemoryNetwork, tmp_path: Path) -> None:
    (tmp_path / "a\nb7").write_bytes(b"data")
    endpoint = network.endpoint(offered(network, tmp_path / "a\nb7"))
    delivery = network.run(receive_from_lab(endpoint, tmp_path / "rec", runtime=network.runtime))
    assert delivery.path == str(tmp_path / "rec" / "a\nb7")
    assert (tmp_path / "rec" / "a\nb7").read_bytes() == b"data"


def test_a_file_is_replaced_in_one_step(network: MemoryNetwork, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    received(network, b"file3new", tmp_path)
    received(network, b"file3NEW", tmp_path)
    assert (tmp_path / "file").read_bytes() == b"NEW"


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_a_new_file_s_permissions_are_the_user_s(network: MemoryNetwork, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        received(network, b"file3new", tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


HOSTILE = [
    b"..",
    b"../..",
    b"x/..",
    b"x/",
    b"/",
    b".",
    b"a\0b",
    b"../a\0b",
    b"n" * 256,
    b".ft-" + b"0" * 31 + b"f.part",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name(network: MemoryNetwork, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "rec"
    with pytest.raises(BadName) as caught:
        received(network, name + b"4data", folder)
    assert caught.value.text.isprintable()
    assert os.listdir(tmp_path) == ["rec"]
    assert os.listdir(folder) == []


@pytest.mark.parametrize("name", [b"../x", b"/etc/x", b"a/../../x", b"rec/x", b"//x"])
def test_a_name_that_leads_out_stays_in(
    network: MemoryNetwork, tmp_path: Path, name: bytes
) -> None:
    received(network, name + b"4data", tmp_path / "rec")
    assert (tmp_path / "rec" / "x").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["rec"]


def test_escape_sequences_are_shown(network: MemoryNetwork, tmp_path: Path) -> None:
    with pytest.raises(BadName) as caught:
        received(network, b"\x1b[2Jx4data", tmp_path, name="x")
    assert r"\x1b[2Jx" in caught.value.text
    assert "\x1b" not in caught.value.text
    received(network, b"\x1b[2Jx4data", tmp_path)
    assert os.listdir(os.fsencode(tmp_path)) == [b"\x1b[2Jx"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
def test_a_link_in_the_file_s_place_is_replaced_and_not_followed(
    network: MemoryNetwork, tmp_path: Path
) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "outside").write_bytes(b"old")
    (tmp_path / "rec" / "x").symlink_to("../outside")
    received(network, b"x4data", tmp_path / "rec")
    assert (tmp_path / "outside").read_bytes() == b"old"
    assert (tmp_path / "rec" / "x").read_bytes() == b"data"


CUT = [b"", b"name", b"name5", b"name5000" + b"-" * 4999, header(b"name", 5) + b"data"]


@pytest.mark.parametrize("stream", CUT)
def test_a_server_that_cuts_off(network: MemoryNetwork, tmp_path: Path, stream: bytes) -> None:
    with pytest.raises(ConnectionFailed, match="cut short" if stream else "without sending"):
        received(network, stream, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_loss_is_no_end_even_when_all_has_come(network: MemoryNetwork, tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed, match="lost"):
        received(network, b"name4data", tmp_path, end=MemoryTransport.abortConnection)
    assert os.listdir(tmp_path) == []


def test_two_ways_to_read_it(network: MemoryNetwork, tmp_path: Path) -> None:
    stream = b"a1210" + b"-" * 10
    with pytest.raises(Ambiguous, match="--name"):
        received(network, stream, tmp_path)
    with pytest.raises(BadName):
        received(network, stream, tmp_path, name="b")
    assert os.listdir(tmp_path) == []
    assert received(network, stream, tmp_path, name="a12").size == 10
    assert received(network, stream, tmp_path, name=b"a").size == 12


def test_a_folder_in_the_file_s_place(network: MemoryNetwork, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(IsADirectory):
        received(network, b"x4data", tmp_path)
    assert os.listdir(tmp_path) == ["x"]


def test_a_folder_that_is_a_file(network: MemoryNetwork, tmp_path: Path) -> None:
    (tmp_path / "rec").write_bytes(b"")
    endpoint, peer = network.scripted_server()
    with pytest.raises((NotADirectory, FileTransferError)):
        network.run(receive_from_lab(endpoint, tmp_path / "rec", runtime=network.runtime))
    assert peer.transport is None, "the server's one connection isn't used up"


def test_whoever_types_the_name_has_time(network: MemoryNetwork, tmp_path: Path) -> None:
    endpoint, peer = network.scripted_server()
    receiving = receive_from_lab(endpoint, tmp_path, runtime=network.runtime, timeout=30)
    network.advance(1000)
    peer.send(b"name10")
    network.advance(29)
    peer.send(b"-----")
    network.advance(29)
    peer.send(b"=====")
    network.settle()
    end_of(peer).loseConnection()
    assert network.run(receiving).size == 10


def test_a_server_that_falls_silent(network: MemoryNetwork, tmp_path: Path) -> None:
    endpoint, peer = network.scripted_server()
    receiving = receive_from_lab(endpoint, tmp_path, runtime=network.runtime, timeout=30)
    network.settle()
    peer.send(b"name10")
    with pytest.raises(TimedOut, match="30 seconds"):
        network.run(receiving, seconds=31)
    assert peer.lost is not None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stream", [b"", b"name10", b"name10" + b"-" * 10])
def test_cancelling(network: MemoryNetwork, tmp_path: Path, stream: bytes) -> None:
    endpoint, peer = network.scripted_server()
    receiving = receive_from_lab(endpoint, tmp_path, runtime=network.runtime)
    network.settle()
    peer.send(stream)
    network.settle()
    receiving.cancel()
    with pytest.raises(CancelledError):
        network.run(receiving)
    assert peer.lost is not None
    assert os.listdir(tmp_path) == []


def test_cancelling_at_every_step(tmp_path: Path) -> None:
    """Wherever it is when it's cancelled: all of the file is there, or nothing is."""
    outcomes = set()
    for steps in range(30):
        network = MemoryNetwork()
        folder = tmp_path / str(steps)
        endpoint, peer = network.scripted_server()
        receiving = receive_from_lab(endpoint, folder, runtime=network.runtime)
        receiving.addErrback(lambda reason: reason.trap(CancelledError))
        for _ in range(steps):
            network.step()
            if peer.transport is not None and not end_of(peer).written:
                peer.send(b"name10" + b"-" * 10)
                end_of(peer).loseConnection()
        receiving.cancel()
        network.settle()
        left = os.listdir(folder) if folder.exists() else []
        assert left in ([], ["name"])
        outcomes.add(len(left))
    assert outcomes == {0, 1}


class SlowDisk:
    """Threads that do their work when they are told to."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.waiting: deque[Callable[[], None]] = deque()
        self.runtime = Runtime(network.clock, self._in_thread)

    def _in_thread(self, function: Callable[..., Any], /, *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()

        def job() -> None:
            try:
                result = function(*args)
            except Exception:
                done.errback()
            else:
                done.callback(result)

        self.waiting.append(job)
        return done

    def work(self) -> None:
        while self.waiting:
            self.waiting.popleft()()


def test_a_slow_disk_holds_the_server_back(network: MemoryNetwork, tmp_path: Path) -> None:
    disk = SlowDisk(network)
    endpoint, peer = network.scripted_server()
    receiving = receive_from_lab(endpoint, tmp_path, runtime=disk.runtime, timeout=30)
    disk.work()
    peer.send(b"name8000000" + b"-" * 8_000_000)
    network.advance(100)
    assert 2_000_000 < end_of(peer).buffered < 8_000_000
    end_of(peer).loseConnection()
    outcome: list[Delivery] = []
    receiving.addCallback(outcome.append)
    while not outcome:
        network.settle()
        disk.work()
    assert outcome[0].size == 8_000_000
    assert (tmp_path / "name").stat().st_size == 8_000_000


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full")
def test_a_full_disk(
    network: MemoryNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource
    import signal

    from twisted_ft.errors import NoSpace

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(NoSpace):
            received(network, b"name8000000" + b"-" * 8_000_000, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("lab", "lab", 22222),
        ("lab:1", "lab", 1),
        ("[::1]:7", "::1", 7),
        ("10.0.0.1", "10.0.0.1", 22222),
    ],
)
def test_a_place(text: str, host: str, port: int) -> None:
    place = lab_location(text)
    assert (place.host, place.port) == (host, port)


@pytest.mark.parametrize("text", ["", ":1", "lab:0", "lab:x", "lab/file", "ft://lab", "a b:c:d"])
def test_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="HOST"):
        receive_from_lab(text, reactor=object())
