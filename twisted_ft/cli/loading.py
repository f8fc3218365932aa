"""What a command loads before it begins: no more than it uses, and without looking for garbage."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from twisted_ft.urls import Location


@contextmanager
def loading(places: Iterable[Location]) -> Iterator[None]:
    """Import in its body what a command on these places needs; once in a process."""
    if not any(place.tls for place in places):
        _leave_out_tls()
    _put_off("http", "cookiejar")
    gc.disable()
    try:
        yield
    finally:
        # What was loaded stays to the end: it is never looked through, not even at exit.
        gc.freeze()
        gc.enable()


def _leave_out_tls() -> None:
    """Have Twisted start as it does where pyOpenSSL isn't installed.

    It would load it, wanted or not, with its first TCP class.  An import of what is None in
    ``sys.modules`` is an ImportError, so nothing in this process can take TLS to be there.
    """
    sys.modules.setdefault("OpenSSL", None)  # type: ignore[arg-type]


def _put_off(package: str, module: str) -> None:
    """Have a module loaded when somebody uses what is in it, and not when it is imported.

    Twisted imports cookies, and with them a client for HTTP, for whoever may want them.
    """
    spec = importlib.util.find_spec(f"{package}.{module}")
    if spec is None or spec.loader is None or spec.name in sys.modules:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    later = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = later
    setattr(sys.modules[package], module, later)  # else an import would look into it
    spec.loader.exec_module(later)
