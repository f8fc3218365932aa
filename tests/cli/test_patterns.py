"""Remote patterns, as in a shell: what they match, for ls, get and rm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.listers import Commanded
from twisted_ft import MemoryStore
from twisted_ft.cli import held
from twisted_ft.cli.changes import remove_all
from twisted_ft.cli.listings import Look, show_all
from twisted_ft.cli.patterns import matching
from twisted_ft.cli.transfers import get_all
from twisted_ft.cli.trees import get_trees, options_of
from twisted_ft.errors import NotFound, OverLimit
from twisted_ft.stores.memory import MemoryFile
from twisted_ft.urls import parse_url

Captured = pytest.CaptureFixture[str]
FILES: dict[bytes, MemoryFile | bytes] = {
    **{b"docs/%s" % name: b"text" for name in (b"a.md", b"b.md", b"c.txt", b".e.md", b"x[1].md")},
    b"docs/sub/d.md": b"text",
    b"docs/.hidden/f.md": b"text",
    b"docs/x1.md": b"text",
    b"e/a*b": b"text",
    b"e/\xc3\xa9.md": b"text",
    b"e/\xff.md": b"text",
    b"top.md": b"text",
}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(dict(FILES))


@pytest.mark.parametrize(
    ("typed", "matched"),
    [
        ("*.md", [b"top.md"]),
        ("docs/*.md", [b"docs/a.md", b"docs/b.md", b"docs/x1.md", b"docs/x[1].md"]),
        ("docs/?.md", [b"docs/a.md", b"docs/b.md"]),
        ("docs/[ab].*", [b"docs/a.md", b"docs/b.md"]),
        ("docs/[!a].md", [b"docs/b.md"]),
        ("docs/[^a].md", [b"docs/b.md"]),
        ("d*/s*/*", [b"docs/sub/d.md"]),
        ("*/sub", [b"docs/sub"]),
        ("*/", [b"docs", b"e"]),
        ("docs/*/", [b"docs/sub"]),
        ("docs/.*", [b"docs/.e.md", b"docs/.hidden"]),
        ("docs/.h*/*", [b"docs/.hidden/f.md"]),
        ("**/d.md", [b"docs/sub/d.md"]),
        ("**/*.txt", [b"docs/c.txt"]),
        ("docs/**/d.md", [b"docs/sub/d.md"]),
        ("**/**/top.md", [b"top.md"]),
        ("docs/sub/**", [b"docs/sub/d.md"]),
        ("e/?.md", ["e/é.md".encode(), b"e/\xff.md"]),
        ("e/%C3%A9*", ["e/é.md".encode()]),
        ("e/%FF*", [b"e/\xff.md"]),
        ("e/a[*]b", [b"e/a*b"]),
        ("e/a%2A?", [b"e/a*b"]),
        ("docs/x[1].md", [b"docs/x1.md"]),
        ("docs/x[[]1].md", [b"docs/x[1].md"]),
        ("docs/x%5B1]*", [b"docs/x[1].md"]),
    ],
)
def test_what_matches(store: MemoryStore, typed: str, matched: list[bytes]) -> None:
    command = Commanded(store)
    pattern = parse_url(f"ft://host/{typed}").pattern
    assert pattern is not None
    entries = command.run(matching(command.run(_client(command)), pattern))
    assert [entry.path for entry in entries] == matched


async def _client(command: Commanded) -> Any:
    return await command.client(None)


@pytest.mark.parametrize("url", ["a%2Ab", "a%3fb", "a%5bb]", "plain"])
def test_what_is_no_pattern(url: str) -> None:
    assert parse_url(f"ft://host/{url}").pattern is None


@pytest.mark.parametrize("typed", ["*.pdf", "nix/*.md", "*/*/*/*/x", "top.md/*", "docs/**/nix*"])
def test_a_pattern_that_matches_nothing(store: MemoryStore, capsys: Captured, typed: str) -> None:
    place = parse_url(f"ft://host/{typed}")
    for work in (show_all, remove_all, get_all):
        command: Any = Commanded(store)
        last: Any = {show_all: Look(), remove_all: True, get_all: "."}[work]
        assert command.run(work(command, [place], last)) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("ft: ")


def test_a_name_that_looks_like_a_pattern_that_matches_nothing_else() -> None:
    command = Commanded(MemoryStore({b"photo[1].jpg": b"1"}))
    client = command.run(_client(command))
    (entry,) = command.run(matching(client, "photo[1].jpg"))
    assert entry.path == b"photo[1].jpg"
    with pytest.raises(NotFound):
        command.run(matching(client, "photo[[]2].jpg"))


def test_names_without_end(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MOST_HELD", 1500)
    command = Commanded(store)
    client = command.run(_client(command))
    for pattern in ("docs/*.md", "**/*.md", "**", "docs/**/*.md"):
        with pytest.raises(OverLimit):
            command.run(matching(client, pattern))


def test_removing(store: MemoryStore, capsys: Captured) -> None:
    """What goes is named and counted; a folder needs -r, as where it is named."""
    command: Any = Commanded(store)
    places = [parse_url("ft://host/docs/*"), parse_url("ft://host/top.md")]
    assert command.run(remove_all(command, places, False)) == 1
    captured = capsys.readouterr()
    gone = ["docs/a.md", "docs/b.md", "docs/c.txt", "docs/x1.md", "docs/x[1].md", "top.md"]
    assert captured.out.splitlines() == [
        *(f"{path}: removed" for path in gone),
        "5 of 6 that match removed",
    ]
    assert captured.err == (
        "ft: ft://host/docs/sub: this is a folder on the server; remove it with -r\n"
    )
    command.run(remove_all(command, places[:1], True))
    assert [entry.path for entry in store.entries(b"docs")] == [b"docs/.e.md", b"docs/.hidden"]


def test_getting(store: MemoryStore, tmp_path: Path, capsys: Captured) -> None:
    command: Any = Commanded(store)
    places = [parse_url("ft://host/docs/*")]
    assert command.run(get_all(command, places, f"{tmp_path}/new/")) == 1
    assert "docs/sub: this is a folder" in capsys.readouterr().err
    files = {"a.md", "b.md", "c.txt", "x1.md", "x[1].md"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == files
    assert command.run(get_all(command, places, f"{tmp_path}/file")) == 1
    assert "DEST must be a folder" in capsys.readouterr().err
    one = [parse_url("ft://host/t*.md")]
    assert command.run(get_all(command, one, f"{tmp_path}/file")) == 0
    assert (tmp_path / "file").read_bytes() == b"text"


def test_getting_folders_and_files(store: MemoryStore, tmp_path: Path, capsys: Captured) -> None:
    command: Any = Commanded(store)
    places = [parse_url("ft://host/docs/*")]
    dry = options_of({"dry_run": True})
    assert command.run(get_trees(command, places, str(tmp_path), dry)) == 0
    assert list(tmp_path.iterdir()) == []
    assert f"would transfer: {tmp_path}/a.md" in capsys.readouterr().out
    assert command.run(get_trees(command, places, str(tmp_path), options_of({}))) == 0
    files = {"a.md", "b.md", "c.txt", "x1.md", "x[1].md", "sub"}
    assert {path.name for path in tmp_path.iterdir()} == files
    assert (tmp_path / "sub" / "d.md").exists()


def test_listing_several(store: MemoryStore, capsys: Captured) -> None:
    """Files first, then each folder with its heading; what isn't there is named."""
    command: Any = Commanded(store)
    places = [
        parse_url(f"ft://host/{path}") for path in ("docs/sub", "top.md", "nix", "docs/[ab]*")
    ]
    assert command.run(show_all(command, places, Look())) == 1
    captured = capsys.readouterr()
    assert captured.out == "top.md\ndocs/a.md\ndocs/b.md\n\nft://host/docs/sub:\nd.md\n"
    assert captured.err == "ft: ft://host/nix: there is no such file or folder on the server\n"


def test_listing_several_as_json(store: MemoryStore, capsys: Captured) -> None:
    command: Any = Commanded(store, json=True)
    places = [parse_url("ft://host/docs/s*"), parse_url("ft://host/top.md")]
    assert command.run(show_all(command, places, Look())) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith('{"path": ') for line in lines] == [True, True]
