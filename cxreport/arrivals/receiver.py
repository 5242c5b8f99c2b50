"""Receiver of DICOM instances: Storage and Verification as an SCP (PS3.4 Annexes B and A)."""

from __future__ import annotations

import functools
import logging
import queue
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


class Receiver:
    """Application entity that stores what others send, undecoded, and counts what has arrived.

    Every storage SOP class of pynetdicom is taken, in the transfer syntaxes that are read: a sender that forwards all
    that it has would otherwise fail as a whole. What is no chest radiograph is told later, with the study.

    Args:
        inbox: takes the instances.
        title: AE title that senders have to call.
        callers: AE titles that senders may have; none for any.
        host: address to listen at.
        port: TCP port; 0 takes a free one.

    Raises:
        UsageError: nothing can listen there.
    """

    def __init__(self, inbox: Inbox, title: str, callers: Sequence[str], host: str, port: int) -> None:
        self._inbox = inbox
        self._arrived: queue.SimpleQueue[str] = queue.SimpleQueue()
        for path in inbox.instances():  # of an earlier run, which may have been killed before it entered them
            self._arrived.put(path)
        entity = _application_entity(title, callers)
        from pynetdicom import evt

        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda event: _SUCCESS),
            (evt.EVT_REJECTED, functools.partial(_tell_of_rejection, title)),
        ]
        try:
            self._server = entity.start_server((host, port), block=False, evt_handlers=handlers)
        except OSError as error:
            hint = "Name another --port; below 1024 is for root alone." if port else None
            raise UsageError(f"{host}:{port}: cannot be listened at ({error.strerror}).", hint=hint) from error
        self._entity = entity

    @property
    def port(self) -> int:
        """TCP port that it listens at."""
        return int(self._server.socket.getsockname()[1])

    @property
    def busy(self) -> bool:
        """True while somebody is connected."""
        return bool(self._server.active_associations)

    def arrived(self) -> list[ArrivedFile]:
        """The instances that arrived since the last call."""
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
        self._server.shutdown()
        end = time.monotonic() + _GRACE_S
        while self.busy and time.monotonic() < end:
            time.sleep(0.05)
        self._entity.shutdown()

    def _store(self, event: Event) -> int:
        request: Any = event.request
        try:
            path = self._inbox.store(str(request.AffectedSOPInstanceUID), event.encoded_dataset())
        except OutputError as error:
            log.error("an instance was not taken: %s", error.message)
            return _OUT_OF_RESOURCES
        self._arrived.put(path)
        return _SUCCESS


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


def _tell_of_rejection(title: str, event: Event) -> None:
    requestor = event.assoc.requestor
    called = requestor.primitive.called_ae_title if requestor.primitive else ""
    log.warning(
        "an association was rejected: %s called %s; --aet is %s, and --from names who may call",
        *(printable(str(text).strip()) for text in (requestor.ae_title, called, title)),
    )
