"""``twistd filetransfer``: the options, and the service that they make."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, MultiService
from twisted.application.strports import service as listening
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python import usage

from twisted_ft.allocation import keep_freed_buffers, share_one_heap
from twisted_ft.errors import FileTransferError
from twisted_ft.quantities import size_of, time_of
from twisted_ft.server import FileTransferFactory
from twisted_ft.stores.local import LocalStore
from twisted_ft.sweeping import Sweeping
from twisted_ft.terminal import escaped
from twisted_ft.transfer.runtime import Runtime, installed_reactor

if TYPE_CHECKING:  # loaded where a file is offered to the lab's client
    from twisted_ft.lab import LabServerFactory

_PIDFILE = "twistd.pid"
"""Twisted's default."""
DEFAULT_LISTEN = "tcp:22222:interface=127.0.0.1"


_PART_KEPT = 10
"""One in so many bytes of the file system may be kept of transfers that were cut off."""


def _number(text: str) -> int:
    """A whole number, 1 or more; ValueError else, with what is wanted."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


class Options(usage.Options):
    """What can stand behind ``twistd filetransfer``."""

    synopsis = "[--root DIR] [--listen ENDPOINT]... [--writable] | --lab FILE [--listen ENDPOINT]"
    longdesc = (
        "Serve the files of a folder over TCP to the ft command and to programs that embed it. "
        "Downloads and uploads are resumed, verified, and get their names only when they are "
        "whole. Without --writable nobody can change anything; without --listen only this machine "
        "can connect."
    )
    optParameters = [
        ["root", None, ".", "The folder to serve."],
        ["lab", None, None, "Offer this one file to the lab's client instead (see docs/lab.md)."],
        [
            "max-connections",
            None,
            1000,
            "Connections at once; more are refused, unless one is idle.",
            _number,
        ],
        ["timeout", None, 60, "Seconds that a peer may do nothing when it should act.", _number],
        ["min-free", None, "64M", "Bytes that uploads leave free on the disk."],
        ["keep-partial", None, "1d", "How long to keep partial files of interrupted uploads."],
    ]
    optFlags = [
        ["writable", "w", "Take uploads, and let clients make folders, rename and remove."],
        ["no-sync", None, "Don't sync uploads: files may be lost in a crash."],
        ["no-overwrite", None, "Keep existing files: replace, rename and remove nothing."],
    ]
    compData = usage.Completions(
        optActions={"root": usage.CompleteDirs(), "lab": usage.CompleteFiles()}
    )

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []

    def opt_listen(self, description: str) -> None:
        """An endpoint to listen on, as in tcp:22222 or
        ssl:22222:privateKey=key.pem:certKey=cert.pem; may be given several times.
        Default: tcp:22222:interface=127.0.0.1
        """
        self["listen"].append(description)

    opt_l = opt_listen

    def parseOptions(self, options: list[str] | None = None) -> None:
        """See usage.Options; what is wrong is one line, and exit status 1."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(
                f"twistd filetransfer: {error}; see: twistd filetransfer --help"
            ) from None

    def parseArgs(self, *args: str) -> None:
        """There are none."""
        if args:
            raise usage.UsageError(f"{args[0]!r}: give the folder to serve with --root")

    def postOptions(self) -> None:
        """Find what is wrong before anything starts."""
        self._leave_no_pidfile()
        self["listen"] = self["listen"] or [DEFAULT_LISTEN]
        for description in self["listen"]:
            _check_endpoint(description)
        for option, read in (("min-free", size_of), ("keep-partial", time_of)):
            try:
                self[option] = read(self[option])
            except ValueError as error:
                raise usage.UsageError(f"--{option} {escaped(self[option])}: {error}") from None
        self["root"] = os.path.abspath(self["root"])
        if self["lab"] is not None:
            self._check_lab()
        elif not os.path.isdir(self["root"]):
            raise usage.UsageError(f"--root {escaped(self['root'])}: there is no such folder")
        elif not os.access(self["root"], os.R_OK | os.X_OK):
            raise usage.UsageError(f"--root {escaped(self['root'])}: permission denied")

    def _leave_no_pidfile(self) -> None:
        """In the foreground, Twisted's default is left out: it would stand in the current folder.

        Twisted reads the parent's options after these.
        """
        twistd = getattr(self, "parent", None)
        if twistd is not None and twistd.get("nodaemon") and twistd.get("pidfile") == _PIDFILE:
            twistd["pidfile"] = ""

    def _check_lab(self) -> None:
        if self["writable"] or self["no-overwrite"] or self["no-sync"]:
            raise usage.UsageError(
                "--lab offers one file; --writable, --no-overwrite and --no-sync don't apply"
            )


def _check_endpoint(description: str) -> None:
    try:
        serverFromString(installed_reactor(), description)
    except Exception as error:
        raise usage.UsageError(f"--listen {escaped(description)}: {error}") from None


class CantListen(SystemExit, CannotListenError):
    """A port that is taken, or not ours: one line and exit status 1, and no traceback.

    It is a CannotListenError too, as twistd looks for an Exception when it has gone into the
    background.
    """

    def __init__(self, text: str) -> None:
        SystemExit.__init__(self, f"twistd filetransfer: {text}")
        self.text = text

    def __str__(self) -> str:
        return self.text  # of which twistd shows the first 100 bytes


class FileTransferService(MultiService):
    """Listens on some endpoints, and says in the log what is served, where, and to whom.

    :param factory: what answers
    :param listen: endpoint descriptions
    :param what: a sentence for the log
    """

    log = Logger()

    def __init__(
        self, factory: FileTransferFactory | LabServerFactory, listen: list[str], what: str
    ) -> None:
        super().__init__()
        self.factory = factory
        self._listen, self._what = listen, what
        for description in listen:
            listening(description, factory).setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Take the ports."""
        try:
            super().privilegedStartService()
        except CannotListenError as error:
            raise CantListen(
                f"can't listen on {error.interface or '*'}:{error.port}: "
                f"{getattr(error.socketError, 'strerror', None) or error.socketError}"
            ) from None
        except OverflowError as error:  # a port number beyond what there is
            raise CantListen(f"can't listen on {', '.join(self._listen)}: {error}") from None

    def startService(self) -> None:
        """Say what is served."""
        super().startService()
        self.log.info("{what}, on {listen}", what=self._what, listen=", ".join(self._listen))

    def stopService(self) -> Any:
        """Stop listening, and close what is open; clients carry on when they come again."""
        stopped = super().stopService()
        self.factory.disconnect()
        return stopped


def makeService(options: Options) -> IService:
    """What twistd asks for."""
    keep_freed_buffers()
    share_one_heap()
    if options["lab"] is not None:
        from twisted_ft.lab import LabServerFactory

        try:
            lab = LabServerFactory(
                options["lab"],
                timeout=options["timeout"],
                max_connections=options["max-connections"],
            )
        except FileTransferError as error:
            raise SystemExit(f"twistd filetransfer: --lab {error.text}") from None
        what = f"offering {escaped(options['lab'])} to the lab's client, one transfer a connection"
        return FileTransferService(lab, options["listen"], what)
    store = LocalStore(options["root"], min_free=options["min-free"])
    factory = FileTransferFactory(
        store,
        writable=options["writable"],
        overwrite=not options["no-overwrite"],
        durable=not options["no-sync"],
        max_connections=options["max-connections"],
        timeout=options["timeout"],
    )
    service = FileTransferService(factory, options["listen"], _what(options))
    if options["writable"]:
        _sweeping(store, options["keep-partial"]).setServiceParent(service)
    return service


def _sweeping(store: LocalStore, age: int) -> Sweeping:
    def total() -> int:
        return shutil.disk_usage(store.root).total // _PART_KEPT

    return Sweeping(store, Runtime.of(installed_reactor()), age, total)


def _what(options: Options) -> str:
    rights = "read"
    if options["writable"]:
        rights = "read, and upload"
        rights += " new files" if options["no-overwrite"] else " and replace files"
    return f"serving {escaped(options['root'])}: everybody who connects may {rights}"
