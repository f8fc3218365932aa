"""``fts://`` and twistd's ``ssl:`` endpoint, with real certificates."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme

from tests.kit.programs import Server, ft, outcome, start_ft


def _listen(
    authority: trustme.CA, folder: Path, *names: str, not_after: datetime | None = None
) -> str:
    """An ``ssl:`` endpoint whose certificate is for ``names``."""
    certificate = authority.issue_cert(*names, not_after=not_after)
    key, chain = folder / "key.pem", folder / "chain.pem"
    certificate.private_key_pem.write_to_path(str(key))
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    return f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={chain}"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate to trust, in a file."""
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="module")
def server(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("tls-root")
    listen = _listen(authority, tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")
    with Server(root, "--writable", "--timeout", "2", listen=listen) as server:
        yield server


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_there_and_back(server: Server, trust: Path, tmp_path: Path, host: str) -> None:
    content = os.urandom(24_000_000)
    (tmp_path / host).write_bytes(content)
    url = server.url(host, host, "fts")
    ft("put", "--tls-ca", trust, tmp_path / host, url).ok()
    ft("get", "--tls-ca", trust, url, tmp_path / "back").ok()
    assert (tmp_path / "back").read_bytes() == content


def test_a_program_of_its_own(server: Server, trust: Path, tmp_path: Path) -> None:
    """What is forked has TLS loaded already; what is started anew loads it where it is wanted."""
    (server.root / "own").write_bytes(b"hello")
    url = server.url("own", "localhost", "fts")
    outcome(start_ft("get", "--tls-ca", trust, url, tmp_path / "back")).ok()
    assert (tmp_path / "back").read_bytes() == b"hello"
    assert "isn't signed by anyone trusted" in outcome(start_ft("get", url, tmp_path)).sentence
    plain = outcome(start_ft("get", "--timeout", "5", server.url("own"), tmp_path)).sentence
    assert "TLS" in plain or "FT/1" in plain


def test_what_is_waited_for(server: Server, trust: Path) -> None:
    url = server.url("", "localhost", "fts")
    done = ft("ls", "-v", "--tls-ca", trust, url)
    assert done.status == 0
    steps = [line.removeprefix("ft: ") for line in done.err.splitlines()]
    assert steps[0] == "looking up localhost"
    assert re.fullmatch(r"localhost is .*127\.0\.0\.1.*", steps[1])
    assert f"connecting to 127.0.0.1, port {server.port}" in steps
    assert f"connected to 127.0.0.1, port {server.port}" in steps
    waiting, tls, greeting = steps[-3:]
    assert waiting == "waiting for the server's greeting, over TLS"
    assert re.match(r"TLSv1\.3, TLS_", tls)
    assert greeting.startswith("the server is twisted-ft/")


def test_nobody_trusted(server: Server) -> None:
    failed = ft("ls", server.url("", "localhost", "fts"))
    assert "--tls-ca" in failed.sentence
    assert "isn't signed by anyone trusted" in failed.sentence


def test_another_authority(server: Server, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    failed = ft("ls", "--tls-ca", tmp_path / "other.pem", server.url("", "localhost", "fts"))
    assert "isn't signed by anyone trusted" in failed.sentence


def test_another_host(authority: trustme.CA, trust: Path, tmp_path: Path) -> None:
    listen = _listen(authority, tmp_path, "elsewhere.example")
    with Server(tmp_path, listen=listen) as server:
        failed = ft("ls", "--tls-ca", trust, server.url("", "localhost", "fts"))
    assert "for another name" in failed.sentence


def test_a_certificate_that_has_expired(authority: trustme.CA, trust: Path, tmp_path: Path) -> None:
    past = datetime.now(timezone.utc) - timedelta(days=1)
    listen = _listen(authority, tmp_path, "localhost", not_after=past)
    with Server(tmp_path, listen=listen) as server:
        failed = ft("ls", "--tls-ca", trust, server.url("", "localhost", "fts"))
    assert "has expired" in failed.sentence


def test_a_certificate_without_a_name(tmp_path: Path) -> None:
    """It is nobody's, whoever has signed it."""
    own = trustme.CA()
    (tmp_path / "key.pem").write_bytes(own.private_key_pem.bytes())
    (tmp_path / "cert.pem").write_bytes(own.cert_pem.bytes())
    key, chain = tmp_path / "key.pem", tmp_path / "cert.pem"
    listen = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={chain}"
    with Server(tmp_path, listen=listen) as server:
        failed = ft("ls", "--tls-ca", chain, server.url("", "localhost", "fts"))
    assert "for another name" in failed.sentence


def test_a_certificate_that_nobody_else_has_signed(tmp_path: Path) -> None:
    own = trustme.CA()
    (tmp_path / "key.pem").write_bytes(own.private_key_pem.bytes())
    (tmp_path / "cert.pem").write_bytes(own.cert_pem.bytes())
    key, chain = tmp_path / "key.pem", tmp_path / "cert.pem"
    listen = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={chain}"
    with Server(tmp_path, listen=listen) as server:
        failed = ft("ls", server.url("", "localhost", "fts"))
    assert "self-signed" in failed.sentence
    assert "--tls-ca" in failed.sentence


def test_plain_to_a_tls_port(server: Server) -> None:
    sentence = ft("ls", "--timeout", "5", server.url()).sentence
    assert "TLS" in sentence or "FT/1" in sentence


def test_tls_to_a_plain_port(tmp_path: Path, trust: Path) -> None:
    with Server(tmp_path) as plain:
        failed = ft("ls", "--tls-ca", trust, plain.url("", "localhost", "fts"))
    assert "TLS" in failed.sentence


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nnonsense\n"])
def test_a_file_of_certificates_that_is_none(
    server: Server, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    failed = ft("ls", "--tls-ca", tmp_path / "ca.pem", server.url("", "localhost", "fts"))
    assert "ca.pem" in failed.sentence
