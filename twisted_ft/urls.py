"""Where a file is: ``ft://[user@]host[:port]/path``, and ``fts://`` over TLS."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes, urlsplit

DEFAULT_PORT = 22222
SCHEMES = ("ft", "fts")
_ZONE = re.compile(r"(?<=:)[^:\]@]*%25[^\]]+(?=\](:\d*)?$)")
"""The last part of an IPv6 address, with the zone behind %25 (RFC 6874 2)."""
_NO_HOST = re.compile(r"[\s\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Location:
    """A place on a server.  ``path`` is the decoded path without its leading ``/``."""

    scheme: str
    host: str
    port: int
    path: bytes
    pattern: str | None = field(default=None, compare=False)
    """the path once more, where it can be read as a shell's pattern; what was written as ``%NN``
    stands for itself in it"""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted, and the server's certificate verified."""
        return self.scheme == "fts"

    @property
    def names_folder(self) -> bool:
        """Whether the path is that of a folder: it is empty, or ends in ``/``."""
        return not self.path or self.path.endswith(b"/")

    @property
    def name(self) -> bytes:
        """The last name of the path."""
        return self.path.rstrip(b"/").rpartition(b"/")[2]

    @property
    def server(self) -> tuple[str, str, int]:
        """What one connection serves."""
        return self.scheme, self.host, self.port

    @property
    def address(self) -> str:
        """Host and port, as a person is told them."""
        return f"{self._host}:{self.port}"

    @property
    def _host(self) -> str:
        """As a URL has it: the zone of an IPv6 address stands behind %25 (RFC 6874 2)."""
        return f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host

    def at(self, path: bytes) -> Location:
        """Another place on the same server."""
        return replace(self, path=path, pattern=None)

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"{self.scheme}://{self._host}{port}/{quote_from_bytes(self.path)}"


def is_url(text: str) -> bool:
    """Whether ``text`` is meant as a URL, of whatever scheme, and not as a local path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def parse_url(url: str) -> Location:
    """The place that ``url`` names; ValueError, with a sentence, where it names none.

    Everything behind the host is the path (there is no query and no fragment), with ``%NN``
    decoded to bytes (RFC 3986 2.1), as names need not be UTF-8.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ValueError(f"{url!r} is not an ft:// or fts:// URL")
    authority, _, path = rest.partition("/")
    authority = _ZONE.sub(lambda zone: unquote(zone[0]), authority)
    url = f"{scheme}://{authority.rpartition('@')[2]}/{path}"  # what errors may show: no password
    try:
        parts = urlsplit(f"//{authority}")
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from None
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r}: the port is a number from 1 to 65535") from None
    if port == 0:
        raise ValueError(f"{url!r}: the port is a number from 1 to 65535")
    if not parts.hostname or authority != parts.netloc or _NO_HOST.search(authority):
        raise ValueError(f"{url!r} names no host: write {scheme}://HOST/PATH")
    if parts.username is not None:
        raise ValueError(f"{url!r}: this version can't log in; leave out the part before the @")
    decoded = unquote_to_bytes(os.fsencode(path))
    host, port = parts.hostname, port or DEFAULT_PORT
    return Location(scheme.lower(), host, port, decoded, _pattern(path))


_MAGIC = re.compile(r"[*?]|\[[^/]+\]")


def is_pattern(text: str) -> bool:
    """Whether it can be read as a shell's pattern; a ``[`` without its ``]`` stands for itself."""
    return _MAGIC.search(text) is not None


def _pattern(path: str) -> str | None:
    if not is_pattern(path):
        return None
    return re.sub(
        r"(?:%[0-9A-Fa-f]{2})+",
        lambda bytes_: glob.escape(os.fsdecode(unquote_to_bytes(bytes_[0]))),
        path,
    )
