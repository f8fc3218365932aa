"""What a shell offers when Tab is pressed: names on a server, too."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)

from twisted_ft.cli.loading import loading
from twisted_ft.cli.options import CommandOptions
from twisted_ft.urls import SCHEMES, is_url, parse_url

PATIENCE = 2
"""Seconds that somebody waits for a server's names, at most."""
MOST_OFFERED = 1000
"""Names that are offered at once, at most."""


class Bash(BashComplete):
    """Bash, with URLs.

    Bash takes a URL for several words, as it breaks them at colons (``COMP_WORDBREAKS``), and puts
    what is offered in place of the last.  So the line is read here, and of each word that is
    offered only that part is said.
    """

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == */ ]] && compopt -o nospace ;;
        esac
    done < <(env FT_LINE="${COMP_LINE:0:COMP_POINT}" FT_WORD="$2" \
%(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
    _before = 0
    """characters of the word that bash keeps"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """See ShellComplete."""
        line = os.environ.get("FT_LINE", "")
        _, *words = split_arg_string(line)
        incomplete = "" if line[-1:].isspace() or not words else words.pop()
        replaced = os.environ.get("FT_WORD", "").lstrip("'\"")
        if incomplete.endswith(replaced):
            self._before = len(incomplete) - len(replaced)
        return words, incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """See ShellComplete."""
        value = item.value if item.type != "plain" else item.value[self._before :]
        return f"{item.type},{value}"


add_completion_class(Bash)


def urls(incomplete: str) -> list[CompletionItem[str]]:
    """The URLs that begin as ``incomplete`` does, of what is in its folder; none, if that fails."""
    if not is_url(incomplete):
        schemes = [f"{scheme}://" for scheme in SCHEMES]
        return [CompletionItem(each) for each in schemes if each.startswith(incomplete)]
    before, slash, begun = incomplete.rpartition("/")
    if not slash or before.endswith(":/"):  # the host is still being typed
        return []
    names = _names_in(before + "/", unquote_to_bytes(os.fsencode(begun)))
    return [CompletionItem(f"{before}/{quote_from_bytes(name)}") for name in names]


def _names_in(folder: str, begun: bytes) -> list[bytes]:
    """What is in a folder, and begins so; with a slash, where it is a folder itself."""
    try:
        place = parse_url(folder)
    except ValueError:
        return []
    with loading([place]):
        from twisted.internet.defer import Deferred
        from twisted.internet.defer import TimeoutError as TookTooLong

        from twisted_ft.cli.run import Command, run
        from twisted_ft.errors import FileTransferError

    names: list[bytes] = []

    async def look(command: Command) -> None:
        client = await command.client(place)
        async for entry in client.walk(place.path, deep=False):
            name = entry.path.rpartition(b"/")[2]
            if name.startswith(begun) and entry.kind != "unreadable":
                names.append(name + (b"/" if entry.kind == "directory" else b""))
            if len(names) >= MOST_OFFERED:
                return

    async def look_for_a_while(command: Command) -> int:
        looking = Deferred.fromCoroutine(look(command))
        with suppress(FileTransferError, TookTooLong):
            await looking.addTimeout(PATIENCE, command.runtime.clock)
        return 0

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # whatever happens: it is the user's prompt
    run(CommandOptions(quiet=True, progress=False, timeout=PATIENCE), look_for_a_while)
    return names
