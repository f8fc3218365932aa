"""What happens at a server's doors, as named events, and who is told of them.

The same fields from every door.  The log is one observer, and an embedder's hook, a recorder in a
test, or metrics are others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import msgspec
from twisted.logger import Logger

from twisted_ft.stores.names import join
from twisted_ft.wire.messages import Failing, Outcome, Part, Whole

Kind = Literal["connected", "left", "begun", "ended", "refused", "failed"]
"""``connected`` and ``left`` are of connections.  Of what a peer asks for: it has ``begun``; it has
``ended`` well; it was ``refused``, as it may not be, or not now; or it has ``failed``."""
Action = Literal["", "download", "upload", "list", "mkdir", "rename", "remove"]
"""What a peer asked for; nothing, of connections."""


class Event(msgspec.Struct, frozen=True):
    """Something that has happened."""

    kind: Kind
    peer: str
    """the other end's address, ``host:port``, or the path of a UNIX socket"""
    user: str = ""
    """who that is, where it is known"""
    door: str = ""
    """how they came: ``ft`` or ``lab``"""
    action: Action = ""
    path: bytes = b""
    """what it is about, from the root of what the peer sees"""
    new: bytes = b""
    """the new name, of a rename"""
    tree: bool = False
    """whether it is about a whole tree, or one of its files"""
    size: int = 0
    """bytes of the file"""
    sent: int = 0
    """bytes of it that crossed the wire"""
    resumed_from: int = 0
    """bytes that an earlier run had left"""
    blake3: str = ""
    """the digest of the whole file in hex, once both ends know it"""
    count: int = 0
    """entries, items, or what was removed"""
    seconds: float = 0.0
    """how long it took"""
    code: str = ""
    """why it isn't done: a word to rely on; ``unchanged`` where it was done already"""
    error: str = ""
    """the sentence for that"""


Observer = Callable[[Event], object]
"""Is told of each event, on the reactor's thread."""


class TreeFiles:
    """What became of the small files of a parcel: an event for each, made when iterated.

    :param about: what is the same in all of them
    :param root: the folder from which those in the parts are named
    :param failures: why those failed that did, in order
    """

    def __init__(
        self,
        about: Event,
        root: bytes,
        parts: Sequence[Part],
        outcomes: bytes,
        failures: Sequence[Failing],
    ) -> None:
        self.about, self.root = about, root
        self.parts, self.outcomes, self.failures = parts, outcomes, failures

    def __iter__(self) -> Iterator[Event]:
        reasons, outcomes = iter(self.failures), iter(self.outcomes)
        replace = msgspec.structs.replace
        for part in self.parts:
            folder = join(self.root, part.folder)
            for item, outcome in zip(part.items, outcomes, strict=False):
                if outcome == Outcome.FAILED:
                    why = next(reasons)
                    path = join(folder, item.name)
                    yield replace(
                        self.about, kind="failed", path=path, code=why.code, error=why.text
                    )
                elif outcome == Outcome.DONE and isinstance(item, Whole):
                    size = len(item.content)
                    yield replace(
                        self.about,
                        path=join(folder, item.name),
                        size=size,
                        sent=size,
                        blake3=item.blake3.hex(),
                    )


class TreeObserver(Protocol):
    """An observer that takes the small files of trees together, as there may be very many."""

    def __call__(self, event: Event) -> object:
        """Something else has happened."""

    def tree_files(self, files: TreeFiles) -> object:
        """These have arrived at the other end, or haven't."""


class Events:
    """Tells observers.  One that fails is logged, and the others are told all the same."""

    log = Logger()

    def __init__(self, observers: Sequence[Observer | TreeObserver] = ()) -> None:
        self._observers = list(observers)

    def observe(self, observer: Observer | TreeObserver) -> None:
        """Have one more told from here on."""
        self._observers.append(observer)

    def tell(self, event: Event) -> None:
        """Tell all of an event."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                self.log.failure("an observer of {event} has failed", event=event.kind)

    def tell_tree_files(self, files: TreeFiles) -> None:
        """Tell all of what became of a parcel's files."""
        for observer in self._observers:
            together = getattr(observer, "tree_files", None)
            try:
                if together is not None:
                    together(files)
                else:
                    for event in files:
                        observer(event)
            except Exception:
                self.log.failure("an observer of a tree's files has failed")
