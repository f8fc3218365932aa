"""The transcripts in docs/protocol.md, played against the real server and the real client.

One side's lines are said by a scripted peer, and the other side must say exactly its own.
What stands in a transcript is explained in the page.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.python.failure import Failure

from twisted_ft import Attributes, Client, Delivery, Entry, FileTransferFactory, MemoryStore
from twisted_ft import connect as connect_to
from twisted_ft.testing import MemoryNetwork, ScriptedPeer

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
_BLOCK = re.compile(r"^### (.+)\n(?:(?!###|```).*\n)*```transcript\n((?:(?!```).*\n)*)```$", re.M)


@dataclass
class Data:
    """A DATA frame."""

    content: bytes


class AnyText:
    """Stands for a text that isn't a part of the protocol."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]


def value_of(notation: str, text: object) -> Any:
    """What a line says, with ``text`` in the place of TEXT and AGENT: a list is a message."""
    names = {
        "MAGIC": b"FT/1\r\n\x1a\n",
        "BLAKE3": lambda content: blake3(content).digest(),
        "AGENT": text,
        "TEXT": text,
    }
    if notation.startswith("DATA "):
        return Data(eval(notation[5:], names))
    return eval(notation, names)


@dataclass
class Transcript:
    """One block of the page: its settings, and its lines with their speakers."""

    settings: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def store(self, side: str) -> MemoryStore:
        """The files that a side has, and what it has kept of the other side's."""
        files = eval(self.settings.get(side, "{}"))
        store = MemoryStore(files)
        other = MemoryStore(eval(self.settings.get(_other(side), "{}")))
        for name, size in eval(self.settings.get(f"{side} kept", "{}")).items():
            attributes: Attributes = other.source(name).attributes
            sink = store.sink(attributes, True)
            sink.write([other.files[name].content[:size]])
            sink.keep()
        return store


def _other(side: str) -> str:
    return "client" if side == "server" else "server"


def transcript(block: str) -> Transcript:
    """Read a block of the page."""
    result = Transcript()
    for line in block.splitlines():
        speaker, _, said = line.partition(" ")
        if speaker in ("C:", "S:", "!"):
            result.lines.append((speaker, said))
        else:
            name, _, value = line.removeprefix("# ").partition(": ")
            result.settings[name] = value
    return result


TRANSCRIPTS = {title: transcript(block) for title, block in _BLOCK.findall(PAGE)}


def those_with(side: str) -> list[str]:
    return [t for t, each in TRANSCRIPTS.items() if each.settings.get("real", side) == side]


class Script:
    """Says one side's lines, and reads what the real one says, frame by frame."""

    def __init__(self, peer: ScriptedPeer) -> None:
        self.peer = peer
        peer.listen_raw()
        self._read = 0

    def say(self, notation: str) -> None:
        """Say a line."""
        if notation == "CLOSE":
            assert self.peer.transport is not None
            self.peer.transport.loseConnection()
            return
        said = value_of(notation, "some text")
        if isinstance(said, Data):
            said = b"\x02" + len(said.content).to_bytes(3, "big") + said.content
        elif isinstance(said, list):
            payload = msgspec.msgpack.encode(said)
            said = b"\x01" + len(payload).to_bytes(3, "big") + payload
        self.peer.send(said)

    def expect(self, notation: str) -> None:
        """Read a line, which must be this one."""
        if notation == "CLOSE":
            assert self.at_end
            assert self.peer.lost is not None
            return
        expected = value_of(notation, AnyText())
        if isinstance(expected, bytes):
            assert self._take(len(expected)) == expected
            return
        head = self._take(4)
        payload = self._take(int.from_bytes(head[1:], "big"))
        if isinstance(expected, Data):
            assert (head[0], payload) == (2, expected.content)
        else:
            assert head[0] == 1
            assert expected == msgspec.msgpack.decode(payload)

    @property
    def at_end(self) -> bool:
        """Whether nothing was said that hasn't been read."""
        return self._read == len(self.peer.raw)

    def _take(self, size: int) -> bytes:
        taken = self.peer.raw[self._read : self._read + size]
        assert len(taken) == size, "the other side has not said this"
        self._read += size
        return taken


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) == PAGE.count("```transcript") >= 10


@pytest.mark.parametrize("title", those_with("server"))
def test_the_server(title: str) -> None:
    told = TRANSCRIPTS[title]
    network = MemoryNetwork()
    store = told.store("server")
    factory = FileTransferFactory(
        store, writable="read-only" not in told.settings, runtime=network.runtime
    )
    script = Script(network.scripted_client(factory))
    for speaker, said in told.lines:
        if speaker == "C:":
            script.say(said)
        elif speaker == "S:":
            script.expect(said)
        network.settle()
    assert script.at_end
    check_files(store, told, "server")


@pytest.mark.parametrize("title", those_with("client"))
def test_the_client(title: str) -> None:
    told = TRANSCRIPTS[title]
    network = MemoryNetwork()
    store = told.store("client")
    endpoint, peer = network.scripted_server()
    script = Script(peer)
    outcome = connect_to(endpoint, runtime=network.runtime).addCallback(call, told, store)
    results: list[Any] = []
    outcome.addBoth(results.append)
    network.settle()
    for speaker, said in told.lines:
        if speaker == "S:":
            script.say(said)
        elif speaker == "C:":
            script.expect(said)
        else:
            outcome.cancel()
        network.settle()
    assert script.at_end
    assert [outcome_of(result) for result in results] == [told.settings["outcome"]]
    check_files(store, told, "client")


def call(client: Client, told: Transcript, store: MemoryStore) -> Deferred[Any]:
    """What the client is asked to do."""
    what, _, name = told.settings["call"].partition(" ")
    calls: dict[str, Callable[[], Deferred[Any]]] = {
        "get": lambda: client.fetch(name, store, name),
        "put": lambda: client.send(store, name, name),
        "write": lambda: client.write(name.partition(" ")[0], said(name), mtime=0),
        "list": lambda: client.list(name),
        "walk": lambda: ensureDeferred(walked(client, name)),
        "mkdir": lambda: client.mkdir(name),
        "rename": lambda: client.rename(*name.split(" ")),
        "remove": lambda: client.remove(name),
    }
    return calls[what]()


async def said(name: str) -> AsyncIterator[bytes]:
    """The pieces behind a name, one after another; ``nothing``, where no more come."""
    for piece in name.split(" ")[1:]:
        if piece == "nothing":
            await Deferred()
        yield eval(piece)


async def walked(client: Client, name: str) -> list[Entry]:
    return [entry async for entry in client.walk(name)]


def outcome_of(result: Any) -> str:
    """What became of the call: a status, or the code of a failure."""
    if isinstance(result, Failure):
        if result.check(CancelledError):
            return "cancelled"
        return str(getattr(result.value, "code", result.getTraceback()))
    return result.status if isinstance(result, Delivery) else "done"


def check_files(store: MemoryStore, told: Transcript, side: str) -> None:
    """What the side has at the end: what it had, if nothing else is said."""
    expected = told.settings.get(f"{side} at the end", told.settings.get(side, "{}"))
    assert {name: file.content for name, file in store.files.items()} == eval(expected)
