"""What the lab exchange has on the wire: a name, a size and a file, with nothing between them.

Plain Python: the header that makes the lab's client read it right, and the way back from a
stream that has ended to its three parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twisted_ft.errors import BadName, ConnectionFailed, FileTransferError
from twisted_ft.stores.names import PATH_MAX, file_components
from twisted_ft.terminal import escaped

FIELD = 100
"""Bytes that the lab's client asks for at once, for the name and again for the size."""
HEADER = 2 * FIELD
HEAD = PATH_MAX + len(str(2**63))
"""Bytes of a stream's beginning in which its name and its size can lie."""
_LISTED = 5
"""Names that a message lists at most."""


class Ambiguous(FileTransferError):
    """What came from the lab's server can be taken apart in several ways."""

    code = "ambiguous"


# -- to the lab's client -----------------------------------------------------------------


def name_field(name: bytes) -> bytes:
    """``name`` in 100 bytes, which still open as the same file below the client's ``./rec/``.

    :raises BadName: it has more bytes than that, or isn't the UTF-8 that the client decodes
    """
    if len(name) > FIELD:
        raise BadName(
            f"{escaped(name)}: the lab's client takes names of at most {FIELD} bytes, "
            f"and this one has {len(name)}; offer the file under a shorter name"
        )
    try:
        name.decode()
    except UnicodeDecodeError:
        raise BadName(
            f"{escaped(name)}: the lab's client only takes names in UTF-8; "
            "offer the file under another name"
        ) from None
    here, slash = divmod(FIELD - len(name), 2)
    return b"./" * here + b"/" * slash + name


def header(name: bytes, size: int) -> bytes:
    """The 200 bytes before a file: what two calls of ``recv(100)`` take off the connection."""
    return name_field(name) + b"%0*d" % (FIELD, size)


# -- from the lab's server ---------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """One way to take a stream apart."""

    name: bytes
    """as it was sent: a peer's word, which may be a path, and hostile"""
    begins: int
    """where in the stream the file begins"""
    size: int
    """bytes in the file"""

    @property
    def last_name(self) -> bytes:
        """What follows the last ``/`` of the name."""
        return self.name.rpartition(b"/")[2]


def splits(head: bytes, total: int) -> list[Split]:
    """Each way to read a stream of ``total`` bytes as name, digits and file; shortest name first.

    A name of L bytes and d digits leave total - L - d bytes for the file, so the digits must
    spell exactly that, as ``str(size)`` does.  Our own header, with zeros before the size, is
    known by its form; the same bytes with those zeros in the name are then no other way.

    :param head: the stream's first ``HEAD`` bytes, or all of it
    """
    padded = _padded_split(head, total)
    found = [] if padded is None else [padded]
    for length in range(1, min(len(head), PATH_MAX + 1)):
        if not head[length : length + 1].isdigit():
            continue
        for begins in range(length + 1, length + 1 + len(str(total))):
            size = total - begins
            if size < 0:
                break
            if padded is not None and begins == HEADER:
                continue
            if head[length:begins] == b"%d" % size:
                found.append(Split(head[:length], begins, size))
    return sorted(found, key=lambda split: len(split.name))


def _padded_split(head: bytes, total: int) -> Split | None:
    """The stream as ``header`` begins it, if it does."""
    field, digits = head[:FIELD], head[FIELD:HEADER]
    name = field.rpartition(b"/")[2]
    size = total - HEADER
    if size < 0 or digits != b"%0*d" % (FIELD, size):
        return None
    here, slash = divmod(FIELD - len(name), 2)
    if field != b"./" * here + b"/" * slash + name:
        return None
    return Split(name, HEADER, size)


def choose(found: Sequence[Split], name: bytes | None) -> Split:
    """The one of ``found`` that was sent.

    :param name: what the user says that the file is called: its last name, or all of a path
    :raises ConnectionFailed: there is none: the stream was cut short
    :raises BadName: the name can't be used here, or isn't the one that the user gave
    :raises Ambiguous: there are several, and ``name`` doesn't decide between them
    """
    if not found:
        raise ConnectionFailed(
            "the transfer was cut short: the announced size doesn't fit the bytes that arrived; "
            "run both ends again"
        )
    usable = [split for split in found if _is_usable(split)]
    if not usable:
        _check_usable(found[0])
    # The lab's server reads the name as one line; a line break is the file's.
    likely = [split for split in usable if b"\n" not in split.name] or usable
    if name is not None:
        named = [split for split in usable if name in (split.name, split.last_name)]
        if not named:
            raise BadName(f"the server sent {_listed(likely)}, and not {escaped(name)}")
        likely = named
    if len(likely) > 1:
        raise Ambiguous(
            f"the data can be read as {_listed(likely)}; "
            "run both ends again, and say with --name NAME which one it is"
        )
    return likely[0]


def _check_usable(split: Split) -> None:
    if b"\0" in split.name:
        raise BadName(f"{escaped(split.name[:FIELD])}: a name can't contain a NUL byte")
    file_components(split.last_name)


def _is_usable(split: Split) -> bool:
    try:
        _check_usable(split)
    except BadName:
        return False
    return True


def _listed(found: Sequence[Split]) -> str:
    texts = [f"{escaped(split.last_name)} ({split.size} bytes)" for split in found[:_LISTED]]
    if len(found) > _LISTED:
        texts.append(f"{len(found) - _LISTED} more")
    return " or ".join(texts)
