"""What scripted peers say of trees."""

from __future__ import annotations

from blake3 import blake3

from twisted_ft.wire.messages import Described, Outcome, Whole

ROOT = Described(b"", "directory", 0, 0, 0o755)
D, H, W, F, N = (
    bytes([each])
    for each in (Outcome.DONE, Outcome.HELD, Outcome.WANTED, Outcome.FAILED, Outcome.DECLINED)
)


def whole(name: bytes, content: bytes = b"hello", mode: int = 0o644) -> Whole:
    return Whole(name, 1, mode, content, blake3(content).digest())


def folder(name: bytes) -> Described:
    return Described(name, "directory", 0, 0, 0o755)


def described(name: bytes, size: int = 5) -> Described:
    return Described(name, "file", size, 0, 0o644)


BAD_NAMES = [b"../evil", b"/evil", b"a/b", b"..", b".", b"a\0b", b".ft-" + b"0" * 32 + b".part"]
