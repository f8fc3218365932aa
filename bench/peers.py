"""The servers, how each is started, and the line that installs it."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.settings import Settings

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
_ROOT = os.geteuid() == 0
PROGRAMS = Path(__file__).resolve().parent / "programs"
"""Small programs that run beside the harness."""


class Missing(Exception):
    """Something isn't installed; says what, and the line that installs it."""

    def __init__(self, what: str, line: str) -> None:
        super().__init__(f"{what} is not installed: {line}")


def program(name: str, package: str) -> str:
    """The path of a program; Missing, with Debian's package."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise Missing(name, f"apt-get install {package}")
    return path


@cache
def module(python: str, name: str) -> None:
    """Make sure that ``python`` can import a module; Missing else."""
    looked = f"import importlib.util as u, sys; sys.exit(not u.find_spec({name!r}))"
    if subprocess.run([python, "-c", looked], check=False, cwd="/").returncode:
        raise Missing(name, f"pip install {name}")


Command = Callable[[Settings, Path, Path, int], list[str]]
"""From settings, the folder to serve, the server's own folder and a port to a command line."""


@dataclass(frozen=True)
class Peer:
    """A kind of server.

    :param name: as people know it
    :param command: writes its configuration, and gives its command line
    :param look_for: raises Missing where it isn't installed
    """

    name: str
    command: Command
    look_for: Callable[[Settings], object]


# -- ours, and what comes with Twisted -------------------------------------------------------


def _twistd(settings: Settings, *options: str) -> list[str]:
    return [settings.ft_python, "-c", "from twisted.scripts.twistd import run; run()", *options]


def _ft(settings: Settings, served: Path, _folder: Path, port: int) -> list[str]:
    listen = f"tcp:{port}:interface=127.0.0.1"
    options = ["--root", str(served), "--writable", "--listen", listen]
    return _twistd(settings, "-n", "--pidfile=", "filetransfer", *options)


def _fts(settings: Settings, served: Path, folder: Path, port: int) -> list[str]:
    make_certificate(folder)
    tls = f"privateKey={folder / 'key.pem'}:certKey={folder / 'cert.pem'}"
    listen = f"ssl:{port}:{tls}:interface=127.0.0.1"
    options = ["--root", str(served), "--writable", "--listen", listen]
    return _twistd(settings, "-n", "--pidfile=", "filetransfer", *options)


def _twistd_web(settings: Settings, served: Path, _folder: Path, port: int) -> list[str]:
    listen = f"tcp:{port}:interface=127.0.0.1"
    return _twistd(settings, "-n", "--pidfile=", "web", "--path", str(served), "--listen", listen)


def _twistd_ftp(settings: Settings, served: Path, _folder: Path, port: int) -> list[str]:
    twistd = [settings.ft_python, str(PROGRAMS / "twistd_ftp.py"), "-n", "--pidfile="]
    return [*twistd, "ftp", "--root", str(served), "--port", str(port)]


def make_certificate(folder: Path) -> None:
    """A certificate for 127.0.0.1: ``cert.pem``, ``key.pem``, and ``ca.pem``, who signed it."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    for each in certificate.cert_chain_pems:
        each.write_to_path(str(folder / "cert.pem"), append=True)


def _look_for_trustme(_settings: Settings) -> None:
    try:
        import trustme  # noqa: F401
    except ImportError:
        raise Missing("trustme", "pip install trustme") from None


# -- Debian's --------------------------------------------------------------------------------

_NGINX = """\
{user}
worker_processes auto;
daemon off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port}{ssl};
        {certificate}
        root {served};
    }}
}}
"""


def _nginx(
    settings: Settings, served: Path, folder: Path, port: int, ssl: bool = False
) -> list[str]:
    certificate = "ssl_certificate cert.pem; ssl_certificate_key key.pem;"
    configuration = _NGINX.format(
        user="user root;" if _ROOT else "",  # else its workers are nobody, who may read nothing
        port=port,
        ssl=" ssl" if ssl else "",
        certificate=certificate if ssl else "",
        served=served,
    )
    (folder / "nginx.conf").write_text(configuration)
    prefix = ["-p", f"{folder}/", "-c", str(folder / "nginx.conf"), "-e", "error.log"]
    return [_look_for_nginx(settings), *prefix]


def _nginx_tls(settings: Settings, served: Path, folder: Path, port: int) -> list[str]:
    make_certificate(folder)
    return _nginx(settings, served, folder, port, ssl=True)


def _look_for_nginx(_settings: Settings) -> str:
    return program("nginx", "nginx-light")


def _look_for_nginx_tls(settings: Settings) -> None:
    _look_for_nginx(settings)
    _look_for_trustme(settings)


_RSYNCD = """\
use chroot = no
log file = {folder}/rsyncd.log
{user}
[served]
path = {served}
read only = no
"""


def _rsyncd(settings: Settings, served: Path, folder: Path, port: int) -> list[str]:
    user = "uid = root\ngid = root" if _ROOT else ""  # else it is nobody
    configuration = folder / "rsyncd.conf"
    configuration.write_text(_RSYNCD.format(folder=folder, served=served, user=user))
    rsync = _look_for_rsync(settings)
    where = ["--address=127.0.0.1", f"--port={port}", f"--config={configuration}"]
    return [rsync, "--daemon", "--no-detach", *where]


def _look_for_rsync(_settings: Settings) -> str:
    return program("rsync", "rsync")


_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
_SSH = """\
Host bench
HostName 127.0.0.1
Port {port}
User {user}
IdentityFile {folder}/user_key
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {folder}/known_hosts
StrictHostKeyChecking yes
BatchMode yes
"""


def _sshd(settings: Settings, _served: Path, folder: Path, port: int) -> list[str]:
    """Its client's configuration is ``ssh_config``; the host is called ``bench`` in it."""
    for key in ("host_key", "user_key"):
        made = [program("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", ""]
        subprocess.run([*made, "-f", str(folder / key)], check=True)
    host = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host}")
    values = {"port": port, "folder": folder, "user": getpass.getuser()}
    (folder / "ssh_config").write_text(_SSH.format(**values))
    (folder / "sshd_config").write_text(_SSHD.format(**values))
    if _ROOT:  # which root's sshd wants, and Debian makes when it starts the service
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    return [_look_for_sshd(settings), "-D", "-e", "-f", str(folder / "sshd_config")]


def _look_for_sshd(_settings: Settings) -> str:
    return program("sshd", "openssh-server")


# -- PyPI's ----------------------------------------------------------------------------------


def _pyftpdlib(settings: Settings, served: Path, _folder: Path, port: int) -> list[str]:
    where = ["-i", "127.0.0.1", "-p", str(port), "-w", "-d", str(served)]
    return [settings.peers_python, "-m", "pyftpdlib", *where]


def _copyparty(settings: Settings, served: Path, _folder: Path, port: int) -> list[str]:
    """It may be read and written, in memory too; it hashes what is uploaded, as by default."""
    where = ["-q", "--wram", "-i", "127.0.0.1", "-p", str(port), "-v", f"{served}::rw"]
    return [settings.peers_python, "-m", "copyparty", *where]


def _nothing(_settings: Settings) -> None:
    pass


FT = Peer("ft", _ft, _nothing)
FTS = Peer("ft with TLS", _fts, _look_for_trustme)
TWISTD_WEB = Peer("twistd web", _twistd_web, _nothing)
TWISTD_FTP = Peer("twistd ftp", _twistd_ftp, _nothing)
NGINX = Peer("nginx", _nginx, _look_for_nginx)
NGINX_TLS = Peer("nginx with TLS", _nginx_tls, _look_for_nginx_tls)
RSYNCD = Peer("rsync daemon", _rsyncd, _look_for_rsync)
SSHD = Peer("sshd", _sshd, _look_for_sshd)
PYFTPDLIB = Peer("pyftpdlib", _pyftpdlib, lambda given: module(given.peers_python, "pyftpdlib"))
COPYPARTY = Peer("copyparty", _copyparty, lambda given: module(given.peers_python, "copyparty"))


_VERSIONS = {
    "nginx": ("nginx", "-v"),
    "rsync": ("rsync", "--version"),
    "OpenSSH": ("ssh", "-V"),
    "curl": ("curl", "--version"),
}


def versions(settings: Settings) -> list[str]:
    """What there is of programs and packages, each with its version."""
    found = [_package(settings.ft_python, name) for name in ("twisted-ft", "Twisted")]
    for name, (command, option) in _VERSIONS.items():
        if path := shutil.which(command, path=_PATH):
            said = subprocess.run([path, option], check=False, capture_output=True, text=True)
            number = re.search(r"\d+\.[\w.]+", said.stdout + said.stderr)
            found.append(f"{name} {number[0]}" if number else "")
    found += [_package(settings.peers_python, name) for name in ("pyftpdlib", "copyparty")]
    return [each for each in found if each]


def _package(python: str, name: str) -> str:
    look = f"from importlib.metadata import version; print(version({name!r}))"
    said = subprocess.run(
        [python, "-c", look], check=False, capture_output=True, text=True, cwd="/"
    )
    return f"{name} {said.stdout.strip()}" if said.returncode == 0 else ""
