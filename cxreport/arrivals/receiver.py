"""Receiver of DICOM instances: Storage and Verification as an SCP (PS3.4 Annexes B and A)."""

from __future__ import annotations

import errno
import functools
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxreport.arrivals.companion import Companion, Told
from cxreport.arrivals.inbox import Inbox
from cxreport.arrivals.states import ArrivedFile
from cxreport.errors import OutputError, UsageError
from cxreport.text.printable import printable

if TYPE_CHECKING:
    from pynetdicom.events import Event

log = logging.getLogger(__name__)

_SUCCESS = 0x0000
_OUT_OF_RESOURCES = 0xA700
_MOST_ASSOCIATIONS = 64
_GRACE_S = 10.0
"""Seconds that open associations have to end by themselves."""
_HELD_S = 5.0
"""Seconds to wait for an address that somebody holds."""


class Receiver:
    """Application entity that stores what others send, undecoded, and counts what has arrived.

    Every storage SOP class of pynetdicom is taken, in the transfer syntaxes that are read: a sender that forwards all
    that it has would otherwise fail as a whole. What is no chest radiograph is told later, with the study.

    Args:
        inbox: takes the instances.
        key: that the inbox names files with.
        title: AE title that senders have to call.
        callers: AE titles that senders may have; none for any.
        host: address to listen at.
        port: TCP port; 0 takes a free one.

    Raises:
        UsageError: nothing can listen there.
    """

    retried: Sequence[str] = ()
    """An instance is whole when it is stored."""

    def __init__(self, inbox: Inbox, key: bytes, title: str, callers: Sequence[str], host: str, port: int) -> None:
        self.port = port
        self._inbox = inbox
        self._arrived: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listening = threading.Event()
        self._open = 0
        self._closed = False
        settings = {"inbox": str(inbox.folder), "key": key.hex(), "title": title, "callers": list(callers)}
        self._process = Companion(f"{__name__}:receive", {**settings, "host": host, "port": port}, self._take)
        while not self._listening.wait(0.1):
            self._process.check()

    @property
    def busy(self) -> bool:
        """True while somebody is connected."""
        return self._open > 0

    def arrived(self) -> list[ArrivedFile]:
        """The instances that arrived since the last call.

        Raises:
            CxreportError: nothing can be received any more.
        """
        if not self._closed:
            self._process.check()
        files = []
        while not self._arrived.empty():
            path = self._arrived.get()
            try:
                status = (self._inbox.folder / path).stat()
            except OSError:  # taken away already
                continue
            files.append(ArrivedFile(path, status.st_size, status.st_mtime_ns))
        return files

    def close(self) -> None:
        """Take no more associations, and end those that are open once they had time to end by themselves."""
        self._closed = True
        self._process.stop(2 * _GRACE_S)

    def _take(self, told: Told) -> None:
        if "stored" in told:
            self._arrived.put(told["stored"])
        elif "open" in told:
            self._open += told["open"]
        else:
            self.port, self._open = told["port"], 0
            for path in self._inbox.instances():  # of an earlier run, which may have been killed before it told of them
                self._arrived.put(path)
            self._listening.set()


def receive(settings: Mapping[str, Any], tell: Callable[[Told], None], asked: queue.SimpleQueue[str]) -> None:
    """Store what is sent, until a word is asked: what the process of a `Receiver` does.

    Raises:
        UsageError: nothing can listen there.
    """
    inbox = Inbox(Path(settings["inbox"]), bytes.fromhex(settings["key"]))
    entity = _application_entity(settings["title"], settings["callers"])
    from pynetdicom import evt

    def store(event: Event) -> int:
        request: Any = event.request
        try:
            path = inbox.store(str(request.AffectedSOPInstanceUID), event.encoded_dataset())
        except OutputError as error:
            log.error("an instance was not taken: %s", error.message)
            return _OUT_OF_RESOURCES
        tell({"stored": path})
        return _SUCCESS

    def opened(event: Event) -> None:
        send_at_once(event)
        tell({"open": 1})

    handlers: list[Any] = [
        (evt.EVT_C_STORE, store),
        (evt.EVT_C_ECHO, lambda event: _SUCCESS),
        (evt.EVT_REJECTED, functools.partial(_tell_of_rejection, settings["title"])),
        (evt.EVT_CONN_OPEN, opened),
        (evt.EVT_CONN_CLOSE, lambda event: tell({"open": -1})),
    ]
    server = _server(entity, (settings["host"], settings["port"]), handlers)
    tell({"port": int(server.socket.getsockname()[1])})
    asked.get()
    server.shutdown()
    end = time.monotonic() + _GRACE_S
    while server.active_associations and time.monotonic() < end:
        time.sleep(0.05)
    entity.shutdown()


def _server(entity: Any, address: tuple[str, int], handlers: list[Any]) -> Any:
    """A server at an address, which a listener that was killed may hold for a moment yet."""
    end = time.monotonic() + _HELD_S
    while True:
        try:
            return entity.start_server(address, block=False, evt_handlers=handlers)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < end:
                time.sleep(0.2)
                continue
            hint = "Name another --host or --port; ports below 1024 are for root alone."
            raise UsageError(
                f"{address[0]}:{address[1]}: cannot be listened at ({error.strerror}).", hint=hint
            ) from error


def _application_entity(title: str, callers: Sequence[str]) -> Any:
    from pynetdicom import AE, AllStoragePresentationContexts, VerificationPresentationContexts, _config

    from cxreport.reading.dicom.codecs import CODECS

    mute()
    entity = AE(ae_title=title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(callers)
    entity.maximum_associations = _MOST_ASSOCIATIONS
    _config.STORE_RECV_CHUNKED_DATASET = False  # it would put images into the folder for temporary files
    syntaxes = [syntax for codec in CODECS for syntax in codec.transfer_syntaxes]
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), syntaxes)
    entity.add_supported_context(str(VerificationPresentationContexts[0].abstract_syntax))
    return entity


def mute() -> None:
    """Keep pynetdicom from writing to the log, where it quotes UIDs."""
    from pynetdicom import _config

    _config.LOG_HANDLER_LEVEL = "none"
    logger = logging.getLogger("pynetdicom")
    logger.setLevel(logging.CRITICAL + 1)
    for name in list(logger.manager.loggerDict):
        if name.startswith("pynetdicom."):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def send_at_once(event: Event) -> None:
    """Have a connection send short messages at once: else each waits some 40 ms for an acknowledgement (RFC 896)."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _tell_of_rejection(title: str, event: Event) -> None:
    requestor = event.assoc.requestor
    called = requestor.primitive.called_ae_title if requestor.primitive else ""
    log.warning(
        "an association was rejected: %s called %s; --aet is %s, and --from names who may call",
        *(printable(str(text).strip()) for text in (requestor.ae_title, called, title)),
    )
