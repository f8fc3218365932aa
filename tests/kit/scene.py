"""A server that is attacked, the peers that do so, and what must hold meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit import gauges, raw_peer
from tests.kit.programs import Server
from tests.kit.raw_peer import Question, RawPeer

MIB = 1 << 20
SLACK = 3.0
"""Seconds that a cut may come late: clocks that run one after the other, and a busy machine."""
KEPT_BY_ALLOCATOR = 80 * MIB
"""Bytes that may stay resident: glibc keeps 62 MiB at the heap's end, as ``allocation`` has it."""
IDLE = 0.2
"""Processors that a server needs for nothing, at most; it may be collecting garbage."""
KEPT_OPEN = 40
"""Descriptors that may stay open: the way to a folder that was used last (``open_folders``)."""


@dataclass(frozen=True)
class Sizes:
    """How large an attack is."""

    names: int = 150_000
    """files in the large folder"""
    large: int = 64 * MIB
    """bytes in each of the large files, which are sparse"""
    connections: int = 4
    requests: int = 64
    seconds: float = 6.0
    """how long an attack goes on that nothing ends"""
    timeout: int = 5
    """seconds that servers wait that are to cut somebody off"""
    strangers: int = 500
    places: int = 20
    """connections that a server takes that is to be full"""
    repeats: int = 50
    tiny: int = 40_000
    """messages in one write"""
    parcels: int = 16
    """of bad names, each of PARCEL_LIMIT items"""
    latency: float = 2.0
    """seconds in which an honest client must have its file"""
    settling: float = 3.0
    """seconds after an attack's end in which what it took must be given back"""
    patience: float = 15.0
    """seconds after which an honest client gives up"""
    ft: bool = True
    """whether ``ft get`` is among the honest"""


@dataclass(frozen=True)
class Bounds:
    """What must hold while a server is attacked."""

    memory: int = 160 * MIB
    """bytes more than before"""
    descriptors: int = 400
    """more than before"""
    log: int = 64 << 10
    """bytes a second"""


BOUNDS = Bounds()


@dataclass(frozen=True)
class Check:
    """One thing that must hold, and what was seen."""

    what: str
    must: str
    seen: str
    holds: bool


@dataclass
class Scene:
    """A server, the peers that attack it, and what is found out about it."""

    server: Server
    sizes: Sizes
    peers: list[RawPeer] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    _strangers: set[int] = field(default_factory=set)
    gone_after: float | None = None
    """seconds until the server held none of the peers any more"""

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self.server.root

    def peer(self, *, greets: bool = True, window: int = raw_peer.NARROW) -> RawPeer:
        """One more peer, who is there to the attack's end."""
        peer = RawPeer(self.server.port, greets=greets, window=window)
        self.peers.append(peer)
        if not greets:
            self._strangers.add(peer.port)
        return peer

    def crowd(self, *questions: Question) -> None:
        """As many peers as there are to be, who ask these over and over, and read nothing."""
        for _ in range(self.sizes.connections):
            self.peer().ask(*self.all_of(questions))
        self.hold()

    def insistent_crowd(self, *questions: Question) -> None:
        """Like ``crowd``; and they ask again, as fast as it is taken."""

        def insist(peer: RawPeer) -> None:
            if peer.all_taken:
                peer.ask(*self.all_of(questions) * 4, seconds=0)
            peer.send()

        for _ in range(self.sizes.connections):
            self.peer().ask(*self.all_of(questions))
        self.hold(insist, every=0.02)

    def all_of(self, questions: Sequence[Question]) -> list[Question]:
        """As many as there are to be, in turn."""
        return [questions[number % len(questions)] for number in range(self.sizes.requests)]

    def hold(
        self,
        nag: Callable[[RawPeer], None] = lambda peer: peer.send(),
        *,
        every: float = 1.0,
        seconds: float = 0.0,
    ) -> None:
        """Go on until the time is over, or the server has cut off all peers.

        :param nag: what each does every so many seconds
        """
        self._wait_for_strangers()
        began = last = time.monotonic()
        while time.monotonic() - began < (seconds or self.sizes.seconds):
            if not self._held():
                self.gone_after = time.monotonic() - began
                return
            if time.monotonic() - last >= every:
                last = time.monotonic()
                for peer in self.peers:
                    nag(peer)
            time.sleep(min(every, 0.05))

    def _wait_for_strangers(self) -> None:
        """Until the server has accepted who hasn't greeted; else they look as if cut off."""
        deadline = time.monotonic() + SLACK
        while self._strangers and time.monotonic() < deadline:
            if self._strangers <= gauges.connected_ports(self.server.port):
                return
            time.sleep(0.01)

    def _held(self) -> bool:
        held = gauges.connected_ports(self.server.port)
        return any(peer.port in held for peer in self.peers)

    def must_go(
        self,
        within: float,
        nag: Callable[[RawPeer], None] = lambda peer: None,
        *,
        every: float = 1.0,
    ) -> None:
        """Like ``hold``; the server must cut off all peers in so many seconds."""
        self.hold(nag, every=every, seconds=within + SLACK + 1)
        self.check_gone(within)

    def check_gone(self, within: float) -> None:
        """The server, or whoever is attacked, must have cut off all peers in so many seconds."""
        after = self.gone_after
        seen = "still there" if after is None else f"{after:.1f} s"
        holds = after is not None and after <= within + SLACK
        self.check("cut off", f"within {within:g} s (and {SLACK:g})", seen, holds)

    def check(self, what: str, must: str, seen: object, holds: bool) -> None:
        """One more thing that must hold."""
        self.checks.append(Check(what, must, str(seen), holds))

    def leave(self) -> None:
        """The attack's end."""
        for peer in self.peers:
            peer.close()
