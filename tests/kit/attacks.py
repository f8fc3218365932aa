"""What one peer may do to a server, each way as a function; ``tests.processes.hostile`` does it."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from blake3 import blake3

from tests.kit import raw_peer
from tests.kit.programs import outcome, start_ft
from tests.kit.raw_peer import Gone, Question, RawPeer
from tests.kit.scene import BOUNDS, MIB, SLACK, Bounds, Scene
from twisted_ft.wire.frames import MAGIC, FrameReader, encode
from twisted_ft.wire.messages import (
    MOST_MESSAGE,
    PARCEL_LIMIT,
    Accept,
    Attributes,
    Described,
    Fetch,
    Get,
    Limits,
    List,
    MakeFolder,
    Offer,
    Outcome,
    Parcel,
    Part,
    Receipts,
    Refuse,
    Remove,
    Rename,
    Settled,
    Welcome,
    Whole,
    Working,
)


@dataclass(frozen=True)
class Attack:
    """One way to attack a server.

    :ivar row: which row of the list of faults it is an example of
    :ivar options: the server's; ``{timeout}`` and ``{places}`` are the sizes'
    """

    name: str
    row: str
    play: Callable[[Scene], None]
    options: tuple[str, ...] = ()
    bounds: Bounds = BOUNDS
    serves: bool = True
    """whether honest clients can be served meanwhile"""

    @property
    def changes(self) -> bool:
        """Whether the server is one that takes changes, and has a root of its own."""
        return "--writable" in self.options


ATTACKS: dict[str, Attack] = {}
"""By name, in the order in which they are made."""
IMPATIENT = "--timeout={timeout}"
WRITABLE = "--writable"


def attack(
    row: str, *options: str, bounds: Bounds = BOUNDS, serves: bool = True
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Add a function to ATTACKS."""

    def add(play: Callable[[Scene], None]) -> Callable[[Scene], None]:
        name = play.__name__.replace("_", "-")
        ATTACKS[name] = Attack(name, row, play, options, bounds, serves)
        return play

    return add


# -- questions ---------------------------------------------------------------------------

FIVE = Attributes(b"five", 5, 0, 0o644, b"another version")
CONTENT = bytes(64 << 10)
WHOLE = Whole(b"whole", 0, 0o644, CONTENT, blake3(CONTENT).digest())
LIST_FLAT: Question = partial(List, path=b"many", deep=False)
LIST_DEEP: Question = partial(List, path=b"", deep=True)
FETCH: Question = partial(Fetch, path=b"small", small=MIB, ask=False, links=True, digests=False)
FETCH_NAMES: Question = partial(Fetch, path=b"many", small=0, ask=True, links=True, digests=False)
FETCH_DIGESTS: Question = partial(Fetch, path=b"large", small=0, ask=True, links=True, digests=True)
OFFER: Question = partial(Offer, file=FIVE)
PARCEL: Question = partial(Parcel, fetch=0, root=b"new", parts=(Part(b"", (WHOLE,)),))
CHANGES: tuple[Question, ...] = (
    partial(MakeFolder, path=b"new"),
    partial(Rename, path=b"five", new=b"six"),
    partial(Remove, path=b"many", deep=True),
)


def _get(path: str) -> Question:
    return partial(Get, path=path.encode())


# -- H3: bounds on parts, none on the sum ------------------------------------------------


def _get_all(scene: Scene, *paths: str) -> None:
    """Ask for files, accept what is offered, and read no more."""
    for _ in range(scene.sizes.connections):
        peer = scene.peer()
        questions = [_get(paths[number % len(paths)]) for number in range(scene.sizes.requests)]
        numbers = peer.ask(*questions)
        with suppress(Gone):
            for _ in numbers:
                peer.say(Accept(peer.hear(Offer, 5).exchange, 0))
    scene.hold()


@attack("H3")
def get_small(scene: Scene) -> None:
    """Small files are asked for, and not taken."""
    _get_all(scene, *(f"small/{number:04}" for number in range(64)))


@attack("H3")
def get_large(scene: Scene) -> None:
    """Large files are asked for whose digests aren't known, and not taken."""
    _get_all(scene, *(f"large/{number:02}" for number in range(64)))


@attack("H3")
def get_known(scene: Scene) -> None:
    """A large file is asked for whose digest is known, and not taken."""
    raw_peer.get(scene.server.port, b"large/00")
    _get_all(scene, "large/00")


@attack("H3")
def get_unaccepted(scene: Scene) -> None:
    """Files are asked for, and neither accepted nor refused."""
    scene.crowd(*(_get(f"large/{number:02}") for number in range(64)))


@attack("H3")
def list_flat(scene: Scene) -> None:
    """A folder of very many names is listed, and nothing is taken."""
    scene.crowd(LIST_FLAT)


@attack("H3")
def list_deep(scene: Scene) -> None:
    """All folders are listed, and nothing is taken."""
    scene.crowd(LIST_DEEP)


def _take_folders(peer: RawPeer) -> None:
    """Take folders that are described, as only then what is in them comes; answer nothing else."""
    for message in peer.heard():
        if isinstance(message, Parcel) and _is_folders(message):
            count = sum(len(part.items) for part in message.parts)
            peer.say(Receipts(message.exchange, bytes((Outcome.DONE,)) * count, ()), seconds=0)
    peer.send()


def _is_folders(parcel: Parcel) -> bool:
    items = [item for part in parcel.parts for item in part.items]
    return all(isinstance(each, Described) and each.kind == "directory" for each in items)


def _fetch_all(scene: Scene, *questions: Question) -> None:
    """Fetch until the files come, and then read no more."""
    for _ in range(scene.sizes.connections):
        scene.peer().ask(*scene.all_of(questions))
    scene.hold(_take_folders, every=0.02, seconds=1)
    scene.hold()


@attack("H3")
def fetch(scene: Scene) -> None:
    """A tree of small files is fetched, and not taken."""
    _fetch_all(scene, FETCH)


@attack("H3")
def fetch_names(scene: Scene) -> None:
    """A folder of very many names is fetched, and not taken."""
    _fetch_all(scene, FETCH_NAMES)


@attack("H3")
def fetch_digests(scene: Scene) -> None:
    """A tree of large files is fetched with digests."""
    _fetch_all(scene, FETCH_DIGESTS)


@attack("H2")
def offers(scene: Scene) -> None:
    """What is offered is refused; the refusals aren't taken, and more is offered."""
    scene.insistent_crowd(OFFER)


@attack("H2")
def parcels(scene: Scene) -> None:
    """The same with parcels."""
    scene.insistent_crowd(PARCEL)


@attack("H2")
def changes(scene: Scene) -> None:
    """The same with changes."""
    scene.insistent_crowd(*CHANGES)


@attack("H3")
def all_kinds(scene: Scene) -> None:
    """All that can be asked, at once."""
    asked = (LIST_FLAT, LIST_DEEP, FETCH, FETCH_NAMES, FETCH_DIGESTS, OFFER, PARCEL, *CHANGES)
    _fetch_all(scene, _get("large/01"), _get("small/0001"), *asked)


@attack("H3")
def resets(scene: Scene) -> None:
    """Many files are asked for, and the connection is reset; again and again."""
    for _ in range(scene.sizes.repeats):
        peer = RawPeer(scene.server.port)
        peer.ask(*(_get(f"large/{number:02}") for number in range(scene.sizes.requests)))
        with suppress(Gone):
            peer.say(Accept(peer.hear(Offer, 5).exchange, 0))
        peer.reset()


@attack("H3")
def cancelled(scene: Scene) -> None:
    """Requests that are called off at once, over and over."""

    def ask_and_cancel(peer: RawPeer) -> None:
        peer.drain()
        if peer.all_taken:
            for question in (_get("large/02"), LIST_DEEP, FETCH_DIGESTS):
                (number,) = peer.ask(question, seconds=0)
                peer.say(Refuse(number, "cancelled", ""), seconds=0)
        peer.send()

    for _ in range(scene.sizes.connections):
        scene.peer(window=0)
    scene.hold(ask_and_cancel, every=0.005)


# -- H2: who takes nothing ---------------------------------------------------------------


def _hungry(scene: Scene) -> RawPeer:
    """A peer that has accepted a large file, and doesn't take it."""
    peer = scene.peer()
    peer.ask(_get("large/00"))
    peer.say(Accept(peer.hear(Offer).exchange, 0))
    return peer


@attack("H2", IMPATIENT)
def takes_nothing(scene: Scene) -> None:
    """A peer that takes nothing, and says nothing."""
    _hungry(scene)
    scene.must_go(scene.sizes.timeout)


@attack("H2", IMPATIENT)
def takes_nothing_working(scene: Scene) -> None:
    """A peer that takes nothing, and says Working."""
    _hungry(scene)
    scene.must_go(scene.sizes.timeout, lambda peer: peer.say(Working(), seconds=0), every=0.5)


@attack("H2", IMPATIENT)
def takes_nothing_asking(scene: Scene) -> None:
    """A peer that takes nothing, and asks for more."""
    _hungry(scene)
    scene.must_go(scene.sizes.timeout, lambda peer: _ask_unheard(peer, CHANGES[0]), every=0.5)


def _ask_unheard(peer: RawPeer, question: Question) -> None:
    peer.ask(question, seconds=0)


@attack("H2", IMPATIENT)
def takes_a_byte_a_second(scene: Scene) -> None:
    """A peer that takes one byte a second, which to TCP is nothing (RFC 9293 3.8.6.2.2)."""
    _hungry(scene)
    scene.must_go(scene.sizes.timeout, lambda peer: _ignore(peer.take(1)))


def _ignore(_: object) -> None:
    """A value that nobody needs."""


@attack("H2", IMPATIENT)
def half_closed(scene: Scene) -> None:
    """A peer that has asked, closes its half of the connection, and takes nothing."""
    _hungry(scene).half_close()
    scene.must_go(scene.sizes.timeout)


# -- H4: places held for nothing ---------------------------------------------------------


@attack("H4")
def dribbling(scene: Scene) -> None:
    """A stranger that says a byte of its greeting every two seconds."""
    _dribble(scene, within=10, every=2)


@attack("H4", IMPATIENT)
def dribbling_to_the_impatient(scene: Scene) -> None:
    """The same where the server's patience is less than that for strangers."""
    _dribble(scene, within=scene.sizes.timeout, every=scene.sizes.timeout / 4)


def _dribble(scene: Scene, within: float, every: float) -> None:
    greeting = iter(MAGIC + encode(raw_peer.HELLO))
    scene.peer(greets=False)
    scene.must_go(within, lambda peer: peer.send(bytes((next(greeting),))), every=every)


@attack("H4", bounds=Bounds(descriptors=900))
def strangers(scene: Scene) -> None:
    """A flood of strangers that say nothing."""
    for _ in range(scene.sizes.strangers):
        scene.peer(greets=False)
    scene.must_go(10)


@attack("H4")
def comers_and_goers(scene: Scene) -> None:
    """Clients that greet and go, as fast as they are let."""
    _one_after_another(scene, lambda: RawPeer(scene.server.port).close())


@attack("H7")
def speakers_of_others(scene: Scene) -> None:
    """Strangers that speak another protocol, as fast as they are let."""

    def speak() -> None:
        with RawPeer(scene.server.port, greets=False) as peer:
            peer.send(b"\xff" * 100)
            peer.take(seconds=1)

    _one_after_another(scene, speak)


def _one_after_another(scene: Scene, visit: Callable[[], object]) -> None:
    began = time.monotonic()
    while time.monotonic() - began < scene.sizes.seconds:
        with suppress(Gone, OSError):
            visit()


@attack("H4", "--max-connections={places}")
def full_house(scene: Scene) -> None:
    """Idle clients have taken every place."""
    for _ in range(scene.sizes.places):
        with suppress(Gone):
            scene.peer()
    scene.hold()


@attack("H4", "--max-connections={places}")
def house_full_of_strangers(scene: Scene) -> None:
    """Strangers have taken every place."""
    for _ in range(scene.sizes.places):
        scene.peer(greets=False)
    scene.hold()


# -- H5: a word of life taken for progress -----------------------------------------------

IN_THE_END = 12
"""Times the patience in which who sends next to nothing is to be cut off."""


@attack("H5", IMPATIENT, WRITABLE)
def upload_held_by_words(scene: Scene) -> None:
    """An upload that doesn't go on, and whose sender says Working."""
    _hold_upload(scene, encode(Working()))


@attack("H5", IMPATIENT, WRITABLE)
def upload_held_by_bytes(scene: Scene) -> None:
    """An upload that goes on by a byte every two seconds."""
    _hold_upload(scene, raw_peer.data(b"."))


def _hold_upload(scene: Scene, sign_of_life: bytes) -> None:
    peer = scene.peer()
    peer.ask(partial(Offer, file=Attributes(b"held", 1 << 30, 1, 0o644, b"1")))
    peer.hear(Accept)
    peer.send(raw_peer.data(b"some"))
    scene.must_go(
        scene.sizes.timeout * IN_THE_END,
        lambda peer: peer.send(sign_of_life),
        every=scene.sizes.timeout * 0.4,
    )
    try:
        raw_peer.put(scene.server.port, b"held", b"hello")
        free = "free"
    except Gone as refused:
        free = f"refused: {refused}"
    scene.check("the name, then", "free", free, free == "free")


@attack("H5", IMPATIENT)
def download_held_by_words(scene: Scene) -> None:
    """A server whose file doesn't come, and that says Working to ``ft get``."""
    _hold_download(scene, encode(Working()))


@attack("H5", IMPATIENT)
def download_held_by_bytes(scene: Scene) -> None:
    """A server whose file comes by a byte every two seconds."""
    _hold_download(scene, raw_peer.data(b"."))


def _hold_download(scene: Scene, sign_of_life: bytes) -> None:
    within = scene.sizes.timeout * IN_THE_END
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as into:
        url = f"ft://127.0.0.1:{listener.getsockname()[1]}/held"
        ft = start_ft("get", "--retry", "0", f"--timeout={scene.sizes.timeout}", url, into)
        connection, _ = listener.accept()
        with connection:
            frames = FrameReader(MOST_MESSAGE)
            limits = Limits(message=MIB, exchanges=64, silence=60)
            connection.sendall(MAGIC + encode(Welcome(1, "a hostile server", (), limits)))
            number = _next(connection, frames, Get).exchange
            held = Attributes(b"held", 1 << 30, 1, 0o644, b"1")
            connection.sendall(encode(Offer(number, held)))
            _next(connection, frames, Accept)
            scene.gone_after = _until_it_closes(
                connection, sign_of_life, within + SLACK + 1, scene.sizes.timeout * 0.4
            )
        ft.kill()
        ft.communicate()
    scene.check_gone(within)


def _next(connection: socket.socket, frames: FrameReader, kind: type[raw_peer.M]) -> raw_peer.M:
    while data := connection.recv(1 << 16):
        for message in frames.receive(data):
            if isinstance(message, kind):
                return message
    raise Gone("closed")


def _until_it_closes(
    connection: socket.socket, sign_of_life: bytes, seconds: float, every: float
) -> float | None:
    """How long the other side stays; None where it is there to the end."""
    began = time.monotonic()
    connection.settimeout(every)
    while time.monotonic() - began < seconds:
        try:
            connection.sendall(sign_of_life)
            if not connection.recv(1 << 16):
                return time.monotonic() - began
        except TimeoutError:
            pass
        except OSError:
            return time.monotonic() - began
    return None


# -- H6: an unfair queue -----------------------------------------------------------------


@attack("H6")
def hashing(scene: Scene) -> None:
    """Two that have all large files hashed, many times."""
    for _ in range(2):
        scene.peer(window=0).ask(*[FETCH_DIGESTS] * scene.sizes.requests)
    scene.hold(_take_folders, every=0.02)


# -- H7: amplification -------------------------------------------------------------------


@attack("H7", WRITABLE)
def bad_names(scene: Scene) -> None:
    """Parcels of nothing but bad names, in a folder whose path is long."""
    folder = b"/".join([b"x" * 200] * 20)
    parts = (Part(folder, (Settled(b"/", 0, 0),) * PARCEL_LIMIT),)
    peer = scene.peer(window=0)
    length = len(encode(Parcel(1, 0, b"", parts), MOST_MESSAGE))
    try:
        for _ in range(scene.sizes.parcels):
            peer.ask(partial(Parcel, fetch=0, root=b"", parts=parts), seconds=10)
            peer.hear(Receipts)
    except Gone as gone:  # it may be cut off for this
        scene.check("its parcels", "answered, or over-limit", gone, "limit" in str(gone))
    most = 2 * length * scene.sizes.parcels
    heard = peer.bytes_heard
    scene.check("answers", f"{most >> 10} KiB", f"{heard >> 10} KiB", heard <= most)


@attack("H7")
def long_names(scene: Scene) -> None:
    """Long names, each byte of which is shown as four, of files that aren't there."""

    def ask(peer: RawPeer) -> None:
        peer.drain()
        if peer.all_taken:
            peer.ask(*[partial(Get, path=name)] * 32, seconds=0)
        peer.send()

    name = b"/".join([b"\x01" * 250] * 16)
    scene.peer(window=0)
    scene.hold(ask, every=0.02)


# -- H9: no fairness inside one read -----------------------------------------------------


def _all_at_once(scene: Scene, messages: bytes) -> None:
    peer = scene.peer(window=0)
    peer.send(messages, 5)
    scene.hold(RawPeer.drain, every=0.05)


@attack("H9")
def tiny_words(scene: Scene) -> None:
    """Very many Workings in one write."""
    _all_at_once(scene, encode(Working()) * scene.sizes.tiny)


@attack("H9")
def tiny_requests(scene: Scene) -> None:
    """Very many requests in one write, each of which is refused."""
    pairs = ((Get(n, b"?"), Refuse(n, "", "")) for n in range(1, scene.sizes.tiny, 2))
    _all_at_once(scene, b"".join(encode(each) for pair in pairs for each in pair))


@attack("H9")
def tiny_refusals(scene: Scene) -> None:
    """Very many words in one write that crossed the end of what they belong to."""
    peer = scene.peer(window=0)
    (number,) = peer.ask(CHANGES[0])
    with suppress(Gone):
        peer.hear(Receipts)
    peer.send(encode(Refuse(number, "", "")) * scene.sizes.tiny, 5)
    scene.hold(RawPeer.drain, every=0.05)


@attack("H9")
def tiny_offers(scene: Scene) -> None:
    """Very many offers in one write, each of which is refused, and logged."""
    _all_at_once(scene, b"".join(encode(OFFER(n)) for n in range(1, 2 * scene.sizes.tiny, 2)))


@attack("H9", WRITABLE)
def tiny_data(scene: Scene) -> None:
    """Very many bytes of an upload, each of them in a frame of its own."""
    peer = scene.peer(window=0)
    peer.ask(partial(Offer, file=Attributes(b"bytes", 1 << 30, 1, 0o644, b"1")))
    peer.hear(Accept)
    peer.send(raw_peer.data(b".") * scene.sizes.tiny, 5)
    scene.hold(RawPeer.drain, every=0.05)


# -- H1: a change that isn't treated as one ----------------------------------------------


def _settle(scene: Scene, root: bytes, item: Settled | Described | Whole) -> None:
    peer = scene.peer(window=0)
    peer.ask(partial(Parcel, fetch=0, root=root, parts=(Part(b"", (item,)),)))
    with suppress(Gone):
        peer.hear(Receipts)


def _state(path: Path) -> tuple[str, int]:
    """A folder's permissions and its time."""
    status = path.stat()
    return oct(status.st_mode & 0o7777), status.st_mtime_ns


def _check_kept(scene: Scene, path: Path, before: tuple[str, int]) -> None:
    name = "the root" if path == scene.root else path.name
    after = _state(path)
    scene.check(f"mode, mtime of {name}", f"{before}", f"{after}", after == before)


@attack("H1", WRITABLE)
def root_settled(scene: Scene) -> None:
    """The root is given another time, and no permissions."""
    before = _state(scene.root)
    _settle(scene, b"", Settled(b"", 1, 0))
    _settle(scene, b"", Described(b"", "directory", 0, 1, 0))
    _check_kept(scene, scene.root, before)


@attack("H1", WRITABLE, "--no-overwrite")
def folder_settled(scene: Scene) -> None:
    """A folder that was there is given another time, and no permissions, without overwrite."""
    before, root_before = _state(scene.root / "folder"), _state(scene.root)
    _settle(scene, b"", Settled(b"folder", 1, 0))
    _settle(scene, b"folder", Settled(b"", 1, 0))
    _settle(scene, b"", Described(b"folder", "directory", 0, 1, 0))
    _settle(scene, b"", Settled(b"", 1, 0))
    _check_kept(scene, scene.root / "folder", before)
    _check_kept(scene, scene.root, root_before)


@attack("H1", WRITABLE)
def folder_locked(scene: Scene) -> None:
    """A folder's permissions are taken away: the owner's stay."""
    _settle(scene, b"", Settled(b"folder", 1, 0))
    mode = scene.root.joinpath("folder").stat().st_mode & 0o700
    scene.check("the owner's permissions", "0o700", oct(mode), mode == 0o700)


# -- H13: a client's convenience at work in the server -----------------------------------


@attack("H13", WRITABLE, serves=False)
def root_gone(scene: Scene) -> None:
    """The root is gone, as where a disk isn't mounted any more, and uploads go on."""
    elsewhere = scene.root.with_name("elsewhere")
    scene.root.rename(elsewhere)
    for root in (b"", b"tree"):
        _settle(scene, root, WHOLE)
        _settle(scene, root, Described(b"new", "directory", 0, 1, 0o755))
    with tempfile.TemporaryDirectory() as local:
        Path(local, "file").write_bytes(b"hello")
        outcome(start_ft("put", "-r", local, scene.server.url()))
        outcome(start_ft("put", "-r", f"{local}/", scene.server.url()))
    with suppress(Gone):
        raw_peer.put(scene.server.port, b"new-file", b"hello")
    made = scene.root.exists()
    scene.check("the root", "isn't made anew", "made" if made else "isn't", not made)
    if not made:
        elsewhere.rename(scene.root)
