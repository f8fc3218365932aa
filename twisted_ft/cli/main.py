"""What can be typed: commands, arguments, options and their help.

Nothing of Twisted is imported here, so that ``ft --help`` and completion are quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem, get_completion_class

from twisted_ft.cli.completing import urls
from twisted_ft.cli.loading import loading
from twisted_ft.cli.options import INTERRUPTED, CommandOptions
from twisted_ft.cli.streams import open_streams, status_with_output
from twisted_ft.quantities import size_of
from twisted_ft.urls import Location, is_url, parse_url
from twisted_ft.version import VERSION

F = TypeVar("F", bound=Callable[..., Any])


class Url(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """An ``ft://`` or ``fts://`` URL."""

    name = "url"

    def convert(self, value: Any, param: Any, ctx: Any) -> Location:
        """See ParamType."""
        try:
            return value if isinstance(value, Location) else parse_url(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> Any:
        """See ParamType."""
        return urls(incomplete)


class UrlOrPath(click.ParamType):  # type: ignore[type-arg]  # as above
    """What may be a URL, or a file here: what it is is seen later."""

    name = "path"

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> Any:
        """See ParamType."""
        if is_url(incomplete):
            return urls(incomplete)
        return [CompletionItem(incomplete, type="file")]


class Rate(click.ParamType):  # type: ignore[type-arg]  # as above
    """Bytes a second, as curl's --limit-rate writes it: 500k, 700M, 1.5G (powers of 1024)."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """See ParamType."""
        if isinstance(value, float):
            return value
        try:
            rate = size_of(value)
        except ValueError:
            rate = 0
        if rate < 1:
            self.fail(
                f"{value!r} is not a rate; write bytes per second, such as 500k, 700M or 1.5G"
            )
        return float(rate)


_STREAM = "-"
"""What standard input and output are called; a file of this name is ./-"""
_QUIET = click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
_VERBOSE = click.option(
    "--verbose", "-v", is_flag=True, help="Say what is waited for until there is a connection."
)
_TIMEOUT = click.option(
    "--timeout",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="Give up if the server should answer and is silent for this long.",
)
_REPORTING = (
    _QUIET,
    _VERBOSE,
    click.option("--json", is_flag=True, help="Print one JSON object per line, for scripts."),
    _TIMEOUT,
)
_RETRY = click.option(
    "--retry",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Try again, after growing pauses, until N tries in a row have brought nothing.",
)
_TLS_CA = click.option(
    "--tls-ca",
    metavar="FILE",
    help="Trust the certificates in this PEM file instead of the system's.",
)
_NO_PROGRESS = click.option("--no-progress", is_flag=True, help="Show no progress bar.")
_RECURSIVE = click.option(
    "-r", "--recursive", "deep", is_flag=True, help="Whole folders, with everything in them."
)
_NO_SYNC = click.option(
    "--no-sync",
    is_flag=True,
    help="Don't wait for the disk: files may be lost if a machine crashes.",
)
_COMPARING = (
    click.option(
        "--checksum", is_flag=True, help="Compare by digest, whatever the time of a file is."
    ),
    click.option("--force", is_flag=True, help="Compare nothing: send what is there already, too."),
)
_PARENTS = click.option(
    "-p", "--parents", is_flag=True, help="Make missing folders, with all above them."
)
_OF_TREES = (
    click.option(
        "--exclude",
        multiple=True,
        metavar="PATTERN",
        help="With -r: leave out files that match, as in .gitignore.",
    ),
    click.option(
        "--include",
        multiple=True,
        metavar="PATTERN",
        help="With -r: include files that match, even if excluded; without --exclude, only those.",
    ),
    click.option("--links", is_flag=True, help="With -r: copy symbolic links as links."),
    click.option(
        "--delete",
        is_flag=True,
        help="With -r: at the end, remove files that the source doesn't have.",
    ),
    click.option(
        "--max-delete",
        type=click.IntRange(min=0),
        metavar="N",
        help="With --delete: remove no more than N files and folders.",
    ),
    click.option(
        "-n", "--dry-run", is_flag=True, help="With -r: change nothing, and say what would be done."
    ),
)
_LIMIT_RATE = click.option(
    "--limit-rate",
    type=Rate(),
    metavar="RATE",
    help="Maximum bytes per second: 500k, 700M, 1.5G.",
)
_MOVING = (
    *_COMPARING,
    _PARENTS,
    *_OF_TREES,
    _RETRY,
    _LIMIT_RATE,
    _NO_SYNC,
    _NO_PROGRESS,
    *_REPORTING,
    _TLS_CA,
)
"""The options of get and put."""


def _with(*options: Callable[[F], F]) -> Callable[[F], F]:
    """A decorator that gives a command these options, in this order in its help."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _examples(*lines: str) -> str:
    """What stands below a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _options(given: dict[str, Any]) -> CommandOptions:
    return CommandOptions(
        quiet=given.get("quiet", False),
        json=given.get("json", False),
        verbose=given.get("verbose", False),
        progress=not given.get("no_progress", False),
        timeout=given["timeout"],
        tls_ca=given.get("tls_ca"),
        limit_rate=given.get("limit_rate"),
        retries=given.get("retry", 0),
        durable=not given.get("no_sync", False),
    )


def _tree_options(deep: bool, given: dict[str, Any]) -> dict[str, Any]:
    """What is asked of a tree's transfer, as far as it can't be asked of a file's, too."""
    names = ("exclude", "include", "links", "delete", "max_delete", "dry_run")
    wanted = {name: given[name] for name in names}
    for name, value in wanted.items():
        if value not in (None, False, ()) and not deep:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} is for whole folders; give -r with it")
    if wanted["max_delete"] is not None and not wanted["delete"]:
        raise click.UsageError("--max-delete bounds what --delete removes; give that with it")
    return wanted


def _file_options(given: dict[str, Any]) -> dict[str, bool]:
    """What is asked of a file's transfer, and of a tree's as well."""
    if given["checksum"] and given["force"]:
        raise click.UsageError("--force compares nothing; leave --checksum out")
    if given["dry_run"] and given["checksum"]:
        raise click.UsageError("--dry-run compares by size and time; leave --checksum out")
    return {name: given[name] for name in ("checksum", "force", "parents")}


def _check_stream(how: dict[str, bool]) -> None:
    for name, value in how.items():
        if value:
            raise click.UsageError(f"--{name} is for files; leave it out with -")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, "-V", "--version", prog_name="ft")
def cli() -> None:
    """Move files between machines: verified, and resumed when something goes wrong.

    To resume an interrupted command, run it again.
    """


@cli.command(name="help")
@click.argument("command", required=False)
@click.pass_context
def show_help(context: click.Context, command: str | None) -> int:
    """Show what there is, or what a command does."""
    above = context.parent
    assert above is not None
    if command is None:
        click.echo(above.get_help())
        return 0
    found = cli.get_command(above, command)
    if found is None:
        raise click.UsageError(f"there is no command {command!r}", above)
    click.echo(click.Context(found, above, info_name=command).get_help())
    return 0


@cli.command(
    epilog=_examples(
        "ft get ft://host/report.pdf",
        "ft get 'ft://host/docs/*.md' downloads/",
        "ft get -r fts://host/photos .",
    )
)
@click.argument("sources", nargs=-1, required=True, type=UrlOrPath(), metavar="URL... [DEST]")
@_with(_RECURSIVE, *_MOVING)
def get(sources: tuple[str, ...], deep: bool, **given: Any) -> int:
    """Download files, or with -r whole folders.

    DEST is a file, or a folder if it is an existing folder or ends in "/" (then it is created); the
    default is the current folder.  A file gets its name only when it has been verified.  DEST may
    be "-", standard output.

    With -r, the contents of ft://HOST/NAME/ go into DEST, and ft://HOST/NAME becomes DEST/NAME.
    """
    *urls, last = sources
    dest = "."
    if urls and not is_url(last):
        dest = last
    else:
        urls.append(last)
    places = [_url(each) for each in urls]
    wanted, how = _tree_options(deep, given), _file_options(given)
    if deep and dest == _STREAM:
        raise click.UsageError("a whole folder can't go to standard output; name a folder as DEST")
    if deep:
        with loading(places):
            from twisted_ft.cli.run import run
            from twisted_ft.cli.trees import get_trees, options_of

        trees = options_of({**wanted, **how})
        return run(_options(given), lambda command: get_trees(command, places, dest, trees))
    _check_names(places)
    if dest == _STREAM:
        if given["json"]:
            raise click.UsageError("with - standard output has the file; leave --json out")
        _check_stream(how)
        return _cat(places, given)
    with loading(places):
        from twisted_ft.cli.run import run
        from twisted_ft.cli.transfers import get_all

    return run(_options(given), lambda command: get_all(command, places, dest, **how))


@cli.command(
    epilog=_examples(
        "ft put report.pdf ft://host/inbox/",
        "ft put report.pdf ft://host/inbox/new-name.pdf",
        "ft put -r --exclude '*.o' project ft://host/backup/",
        "pg_dump db | ft put - ft://host/backup/db.sql",
    )
)
@click.argument("paths", nargs=-1, required=True, type=UrlOrPath())
@click.argument("url", type=Url())
@_with(_RECURSIVE, *_MOVING)
def put(paths: tuple[str, ...], url: Location, deep: bool, **given: Any) -> int:
    """Upload files, or with -r whole folders.

    A URL that ends in "/" is a folder; otherwise it is the file's new name.  An existing file is
    replaced in one step, unless the server forbids it.  PATH may be "-", standard input.

    With -r, the contents of NAME/ go into the URL's folder, and NAME becomes NAME in it.
    """
    for path in paths:
        if is_url(path):
            raise click.UsageError(
                f"{path!r} is a URL, and what is to be put is here; get it first, then put it"
            )
    if _STREAM in paths:
        _check_input(paths, url, deep)
    if len(paths) > 1 and not url.names_folder:
        raise click.UsageError(f'to upload several files, end the URL with "/": {url}/')
    wanted, how = _tree_options(deep, given), _file_options(given)
    if deep:
        with loading([url]):
            from twisted_ft.cli.run import run
            from twisted_ft.cli.trees import options_of, put_trees

        trees = options_of({**wanted, **how})
        return run(_options(given), lambda command: put_trees(command, paths, url, trees))
    if _STREAM in paths:
        _check_stream(how)
        with loading([url]):
            from twisted_ft.cli.cat import put_input
            from twisted_ft.cli.run import run

        return run(_options(given), lambda command: put_input(command, url))
    with loading([url]):
        from twisted_ft.cli.run import run
        from twisted_ft.cli.transfers import put_all

    return run(_options(given), lambda command: put_all(command, paths, url, **how))


@cli.command(epilog=_examples("ft cat ft://host/log.txt | less", "ft cat ft://host/a.tar | tar x"))
@click.argument("urls", nargs=-1, required=True, type=Url(), metavar="URL...")
@_with(_LIMIT_RATE, _NO_PROGRESS, _QUIET, _VERBOSE, _TIMEOUT, _TLS_CA)
def cat(urls: tuple[Location, ...], **given: Any) -> int:
    """Write files to standard output, one after another.

    Each is verified at its end: where that fails, the exit status is 1, and what was written is not
    to be used.
    """
    places = list(urls)
    _check_names(places)
    return _cat(places, given)


@cli.command(
    name="ls",
    context_settings={"help_option_names": ["--help"]},
    epilog=_examples(
        "ft ls ft://host", "ft ls -lh -t ft://host/photos", "ft ls 'ft://host/**/*.pdf'"
    ),
)
@click.option(
    "-l", "long", is_flag=True, help="Show permissions, size, time and where links lead, too."
)
@click.option("-h", "human", is_flag=True, help="With -l: sizes as in 1.5K, 23M, 2.0G.")
@click.option("-R", "--recursive", "deep", is_flag=True, help="List the folders below, too.")
@click.option("-S", "order", flag_value="size", help="Sort by size, the largest first.")
@click.option("-t", "order", flag_value="time", help="Sort by time, the newest first.")
@click.option("-r", "--reverse", is_flag=True, help="The other way round.")
@click.option(
    "--partial",
    is_flag=True,
    help="List partial files of interrupted transfers; ft rm removes them.",
)
@click.argument("urls", nargs=-1, required=True, type=Url(), metavar="URL...")
@_with(_RETRY, *_REPORTING, _TLS_CA)
def list_folders(
    urls: tuple[Location, ...],
    long: bool,
    human: bool,
    deep: bool,
    order: str | None,
    reverse: bool,
    partial: bool,
    **given: Any,
) -> int:
    """List folders, or files; a URL may be a pattern, as in 'ft://HOST/docs/*.md'."""
    with loading(urls):
        from twisted_ft.cli.listings import Look, show_all
        from twisted_ft.cli.run import run

    look = Look(long, human, deep, partial, order or "name", reverse)
    return run(_options(given), lambda command: show_all(command, urls, look))


@cli.command(name="mkdir", epilog=_examples("ft mkdir ft://host/a ft://host/a/b"))
@click.argument("urls", nargs=-1, required=True, type=Url(), metavar="URL...")
@_with(_PARENTS, *_REPORTING, _TLS_CA)
def make_folders(urls: tuple[Location, ...], parents: bool, **given: Any) -> int:
    """Make folders; the parent folder must exist.

    With --parents it is made, too, and a folder that exists already is not a failure.
    """
    _check_below_root(urls)
    with loading(urls):
        from twisted_ft.cli.changes import make_all
        from twisted_ft.cli.run import run

    return run(_options(given), lambda command: make_all(command, urls, parents))


@cli.command(
    name="mv",
    epilog=_examples("ft mv ft://host/old.txt new.txt", "ft mv ft://host/old.txt archive/"),
)
@click.argument("url", type=Url())
@click.argument("new")
@_with(*_REPORTING, _TLS_CA)
def rename(url: Location, new: str, **given: Any) -> int:
    """Rename a file or a folder, in one step.

    NEW is a URL on the same server, or a path from its root; if it ends in "/", it is the
    folder to move into.  An existing file is replaced, unless the server forbids it, and a
    folder never.
    """
    _check_below_root([url])
    path = _path_on(url, new)
    with loading([url]):
        from twisted_ft.cli.changes import rename as rename_one
        from twisted_ft.cli.run import run

    return run(_options(given), lambda command: rename_one(command, url, path))


@cli.command(
    name="rm",
    epilog=_examples(
        "ft rm ft://host/old.txt", "ft rm 'ft://host/*.tmp'", "ft rm -r ft://host/old"
    ),
)
@click.option(
    "-r", "--recursive", "deep", is_flag=True, help="Remove folders, with everything in them."
)
@click.argument("urls", nargs=-1, required=True, type=Url(), metavar="URL...")
@_with(*_REPORTING, _TLS_CA)
def remove(urls: tuple[Location, ...], deep: bool, **given: Any) -> int:
    """Remove files, for good; with -r, folders with everything in them.

    In a folder it stops at the first failure; files removed by then are gone.
    """
    _check_below_root(urls)
    with loading(urls):
        from twisted_ft.cli.changes import remove_all
        from twisted_ft.cli.run import run

    return run(_options(given), lambda command: remove_all(command, urls, deep))


@cli.command(epilog=_examples("ft lab localhost:8069"))
@click.argument("host", metavar="HOST[:PORT]")
@click.argument("folder", default="rec", metavar="[DIR]")
@click.option("--name", help="The file's name, if the data can be read in several ways.")
@_with(_NO_PROGRESS, *_REPORTING)
def lab(host: str, folder: str, name: str | None, **given: Any) -> int:
    """Receive the one file that a lab server offers, into DIR (default "rec")."""
    with loading([]):  # it has no TLS
        from twisted_ft.cli.run import run
        from twisted_ft.cli.transfers import get_from_lab
        from twisted_ft.lab import lab_location

    try:
        place = lab_location(host)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return run(_options(given), lambda command: get_from_lab(command, place, folder, name))


@cli.command(epilog=_examples('eval "$(ft completion bash)"'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print a script that makes a shell complete ft's commands.

    For bash, in ~/.bashrc:  eval "$(ft completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "ft", "_FT_COMPLETE").source())
    return 0


def _url(text: str) -> Location:
    if not is_url(text):
        raise click.UsageError(
            f"{text!r} is not a URL; write ft://HOST/PATH. Only the last may be DEST"
        )
    try:
        return parse_url(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _check_names(places: list[Location]) -> None:
    for place in places:
        if place.names_folder:
            raise click.UsageError(f"{place} names a folder; name a file in it, or give -r")


def _cat(places: list[Location], given: dict[str, Any]) -> int:
    with loading(places):
        from twisted_ft.cli.cat import cat as cat_all
        from twisted_ft.cli.run import run

    return run(_options(given), lambda command: cat_all(command, places))


def _check_input(paths: Sequence[str], url: Location, deep: bool) -> None:
    """Whether standard input, which is among ``paths``, can go to ``url``."""
    if deep:
        raise click.UsageError("standard input is not a folder; leave -r out")
    if url.names_folder:
        raise click.UsageError(f"standard input has no name; give it one: {url}NAME")
    if len(paths) > 1:
        raise click.UsageError("standard input goes by itself; leave the other paths out")


def _check_below_root(places: Sequence[Location]) -> None:
    for place in places:
        if not place.path.strip(b"/"):
            raise click.UsageError(f"{place} is the root; name something in it")


def _path_on(place: Location, new: str) -> bytes:
    """The path of ``new``, which is a URL on the server of ``place``, or a path there."""
    if not is_url(new):
        return os.fsencode(new).lstrip(b"/")
    there = _url(new)
    if there.server != place.server:
        raise click.UsageError(f"{there} is on another server; get the file, and put it there")
    return there.path


def main() -> None:
    """Run ``ft``: 0 all done and verified, 1 something failed, 2 usage, 130 interrupted."""
    open_streams()
    try:
        status = cli.main(prog_name="ft", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        status = INTERRUPTED
    sys.exit(status_with_output(status))
