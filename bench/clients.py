"""The clients' command lines, each against a server that is up."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.peers import program
from bench.processes import Server
from bench.settings import Settings


@dataclass(frozen=True)
class Client:
    """A client to run, and the server that it is a client of, if there is one."""

    command: list[str]
    server: Server | None = None


def ft(settings: Settings, server: Server, *words: str) -> Client:
    """The ``ft`` command, where ``@`` at a word's beginning is the server.

    It is the script beside the Python that has it, as people run it.
    """
    tls = (server.folder / "ca.pem").exists()
    url = f"{'fts' if tls else 'ft'}://127.0.0.1:{server.port}/"
    trust = ["--tls-ca", str(server.folder / "ca.pem")] if tls else []
    verb, *rest = words
    rest = [url + word[1:] if word.startswith("@") else word for word in rest]
    return Client([*ft_command(settings), verb, "-q", *trust, *rest], server)


def ft_command(settings: Settings) -> list[str]:
    """What starts ``ft``."""
    script = Path(settings.ft_python).with_name("ft")
    return [str(script)] if script.exists() else [settings.ft_python, "-m", "twisted_ft"]


def curl(server: Server, scheme: str, path: str, *options: str) -> Client:
    """curl, downloading to ``out/file`` where no option says something else."""
    if (server.folder / "ca.pem").exists():
        options = ("--cacert", str(server.folder / "ca.pem"), *options)
    url = f"{scheme}://127.0.0.1:{server.port}/{path}"
    where = options if {"-T", "-o"} & set(options) else ("-o", "out/file", *options)
    return Client([program("curl", "curl"), "-sSf", *where, url], server)


def curl_parallel(server: Server, tree: Path, config: Path) -> Client:
    """curl, downloading all files of a served tree, 50 at once, which is its own number."""
    with open(config, "w") as lines:
        for name in _files(tree):
            url = f"http://127.0.0.1:{server.port}/{tree.name}/{quote(name)}"
            lines.write(f'url = "{url}"\noutput = "out/{tree.name}/{name}"\n')
    options = ["-sSf", "--parallel", "--create-dirs", "--config", str(config)]
    return Client([program("curl", "curl"), *options], server)


def _files(tree: Path) -> Iterable[str]:
    for folder, _folders, names in os.walk(tree):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), tree)


def rsync(server: Server, *words: str) -> Client:
    """rsync, where ``@`` at a word's beginning is the daemon's folder."""
    url = f"rsync://127.0.0.1:{server.port}/served/"
    words = tuple(url + word[1:] if word.startswith("@") else word for word in words)
    return Client([program("rsync", "rsync"), *words], server)


def rsync_ssh(server: Server, *words: str) -> Client:
    """Rsync over ssh, where ``@`` at a word's beginning is the server."""
    words = tuple(f"bench:{word[1:]}" if word.startswith("@") else word for word in words)
    shell = f"{program('ssh', 'openssh-client')} -F {server.folder / 'ssh_config'}"
    return Client([program("rsync", "rsync"), "-e", shell, *words], server)


def scp(server: Server, *words: str) -> Client:
    """Scp, where ``@`` at a word's beginning is the server."""
    words = tuple(f"bench:{word[1:]}" if word.startswith("@") else word for word in words)
    options = ["-q", "-F", str(server.folder / "ssh_config")]
    return Client([program("scp", "openssh-client"), *options, *words], server)


def sftp(server: Server, batch: str) -> Client:
    """Sftp, doing what ``batch`` says."""
    script = server.folder / f"batch-{batch.split(maxsplit=1)[0]}"
    script.write_text(f"{batch}\n")
    options = ["-q", "-F", str(server.folder / "ssh_config"), "-b", str(script)]
    return Client([program("sftp", "openssh-client"), *options, "bench"], server)
