"""Programs that use us pass ``mypy --strict`` without a plugin; examples and pages do, too.

mypy runs in a process of its own, as what it keeps would stay in this one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("embedding", "stores", "testing")

CONFIGURATION = """\
[mypy]
strict = True
untyped_calls_exclude = twisted
[mypy-twisted_ft.*]
follow_imports = silent
[mypy-zope.*]
follow_imports = skip
ignore_missing_imports = True
[mypy-page_embedding,page_testing]
disallow_untyped_defs = False
disallow_incomplete_defs = False
disallow_untyped_calls = False
"""
"""As mypy has it, but that most of Twisted has no types, and that two pages leave theirs out to be
short.  What mypy-zope has brought for zope.interface isn't looked at; who hasn't got that has this:
"""

PROGRAM = '''\
"""A server and a client, as somebody embeds them."""

from collections.abc import Iterator
from typing import Any

from twisted.cred.credentials import ICredentials
from twisted.internet.endpoints import HostnameEndpoint
from zope.interface import implementer

from twisted_ft import (
    Attributes, Capabilities, Delivery, Entry, FileTransferFactory, IStore, LocalStore,
    MemoryStore, ReadOnlyStore, Runtime, Sink, Source, Store, StoreWrapper, TreeOptions, connect,
)
from twisted_ft.errors import Forbidden, NotFound
from twisted_ft.server import EVERYTHING, Event, Peer, Session
from twisted_ft.stores.interfaces import ITreeStore
from twisted_ft.stores.wrapping import Use


@implementer(IStore)
class Mine:
    """A whole store."""

    capabilities = Capabilities(renames=False)

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    def source(self, path: bytes) -> Source:
        return self.inner.source(path)

    def sink(self, file: Attributes, overwrite: bool, durable: bool = True) -> Sink:
        return self.inner.sink(file, overwrite, durable)

    def entries(self, path: bytes) -> Iterator[Entry]:
        return self.inner.entries(path)

    def make_folder(self, path: bytes) -> None:
        self.inner.make_folder(path)

    def rename(self, path: bytes, new: bytes, overwrite: bool) -> None:
        self.inner.rename(path, new, overwrite)

    def remove(self, path: bytes, deep: bool) -> int:
        return self.inner.remove(path, deep)


class Nothing(ReadOnlyStore):
    def source(self, path: bytes) -> Source:
        raise NotFound("there is nothing")

    def entries(self, path: bytes) -> Iterator[Entry]:
        return iter([Entry(b"a", "file", 1, 2, 0o644)])


class Quiet(StoreWrapper):
    def check(self, use: Use, path: bytes) -> None:
        if use is Use.REMOVE and path == b"a":
            raise Forbidden("a stays")

    def kept(self, path: bytes, deep: bool) -> Iterator[Entry]:
        return super().kept(path, deep)


async def authenticate(peer: Peer, credentials: ICredentials) -> Session:
    return Session(Mine(Quiet(LocalStore("x"))), EVERYTHING, user=peer.host)


def observe(event: Event) -> None:
    print(event.kind, event.path)


async def main(reactor: Any, folder: str, runtime: Runtime) -> None:
    for store in (LocalStore(folder), MemoryStore({b"a": b"x"}), Nothing(), Mine(Nothing())):
        factory = FileTransferFactory(store, writable=True, runtime=runtime, observers=[observe])
        reactor.listenTCP(0, factory)
        print(ITreeStore.providedBy(store))
    FileTransferFactory(authenticate=authenticate)
    async with await connect("ft://127.0.0.1", reactor=reactor) as client:
        delivery: Delivery = await client.get("a", folder)
        await client.fetch("a", MemoryStore(), delivery.path)
        print(sum([entry.size async for entry in client.walk()]))
        async for each in client.put_tree(folder, "x", TreeOptions(checksum=True)):
            print(each.status)
    await connect(HostnameEndpoint(reactor, "localhost", 1))
    source = LocalStore(folder).source(b"x")
    sink = MemoryStore().sink(source.attributes, True)
    sink.write([source.read(sink.offset, 1 << 20)])
    sink.publish()


FileTransferFactory("a path")  # type: ignore[arg-type]
Session(Peer(""))  # type: ignore[arg-type]
'''


def test_programs_examples_and_pages(tmp_path: Path) -> None:
    """All at once: five seconds, or one where mypy has seen them before."""
    pytest.importorskip("mypy", reason="mypy comes with the extra dev, in which .ci/run has it")
    (tmp_path / "mypy.ini").write_text(CONFIGURATION)
    (tmp_path / "program.py").write_text(PROGRAM)
    for page in PAGES:
        text = (ROOT / f"docs/{page}.md").read_text()
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        (tmp_path / f"page_{page}.py").write_text("\n".join(blocks))
    for example in (ROOT / "examples").glob("*.py"):
        (tmp_path / f"example_{example.name}").write_text(example.read_text())
    files = sorted(path.name for path in tmp_path.glob("*.py"))
    assert len(files) == 7
    cache = ROOT / ".mypy_cache" / "users"
    command = [sys.executable, "-m", "mypy", "--config-file=mypy.ini", f"--cache-dir={cache}"]
    found = subprocess.run(
        [*command, *files],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.stdout.splitlines()[-1] == "Success: no issues found in 7 source files", (
        found.stdout + found.stderr
    )
