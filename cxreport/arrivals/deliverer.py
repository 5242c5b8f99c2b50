"""Deliverer of results: a thread that sends what is pending, and tries again for as long as it takes."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from cxreport.arrivals.ledger import Ledger
from cxreport.arrivals.sending import Answer, Sent
from cxreport.errors import CxreportError, DeliveryError

log = logging.getLogger(__name__)

_AT_A_TIME = 100
_LOOK_S = 1.0
"""Seconds until a look at what another process has put in the ledger."""
FIRST_WAIT_S = 2.0
"""Seconds until the first try again; each further one waits twice as long."""
LONGEST_WAIT_S = 300.0


class Deliverer:
    """Sends results that are pending, in a thread of its own with a ledger of its own.

    Args:
        ledger_folder: that the ledger is in.
        results: folder of the results.
        send: sends files and yields the answers.
    """

    def __init__(self, ledger_folder: Path, results: Path, send: Callable[[Sequence[Path]], Iterator[Sent]]) -> None:
        self._ledger_folder = ledger_folder
        self._results = results
        self._send = send
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._failures = 0
        """Tries in a row that failed."""
        self._told = ""
        """Reason that the log has already."""
        self._error: CxreportError | None = None
        self._thread = threading.Thread(target=self._run, name="cxreport-deliverer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Have it look for new results at once."""
        self._wake.set()

    @property
    def waiting(self) -> bool:
        """True after a try that failed, until one succeeds."""
        return self._failures > 0

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def finish(self, patience_s: float) -> None:
        """Deliver what is pending as far as it goes now, and end; a try that failed is not repeated."""
        self._stop.set()
        self._wake.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        try:
            with Ledger(self._ledger_folder) as ledger:
                self._deliver_until_stopped(ledger)
        except CxreportError as error:
            self._error = error
        except Exception as error:  # its text may quote patient data
            log.debug("the deliverer ended", exc_info=error)
            self._error = CxreportError.of(error, "delivering results")

    def _deliver_until_stopped(self, ledger: Ledger) -> None:
        while True:
            names = ledger.pending(_AT_A_TIME)
            if names and self._deliver(ledger, names):
                self._failures = 0
                continue
            if names:
                self._failures += 1
            if self._stop.is_set():
                return
            if names:
                self._stop.wait(_pause(self._failures))
                if self._stop.is_set():
                    return
            else:
                self._wake.wait(_LOOK_S)
                self._wake.clear()

    def _deliver(self, ledger: Ledger, names: list[str]) -> bool:
        """Send results; True unless some have to wait."""
        paths = {self._results / name: name for name in names}
        complete = True
        try:
            with contextlib.closing(_answers(self._send(list(paths)))) as answers:
                for sent in answers:
                    name = paths[sent.path]
                    if sent.answer is Answer.STORED:
                        ledger.delivered(name)
                    elif sent.answer is Answer.REFUSED:
                        ledger.refused(name, sent.reason)
                        log.warning("%s: was not taken: %s", name, sent.reason)
                    else:
                        ledger.postponed(name, sent.reason)
                        self._tell(sent.reason)
                        complete = False
        except DeliveryError as error:
            ledger.held_up(error.message)
            self._tell(error.message)
            return False
        if complete and self._told:
            log.warning("results are delivered again")
            self._told = ""
        return complete

    def _tell(self, reason: str) -> None:
        """Say once why results have to wait."""
        if reason != self._told:
            log.warning("results wait to be delivered: %s", reason)
            self._told = reason


def _answers(answers: Iterator[Sent]) -> Generator[Sent, None, None]:
    yield from answers


def _pause(failures: int) -> float:
    """Seconds to wait, scattered so that many senders do not come at once."""
    return min(FIRST_WAIT_S * 2.0 ** (failures - 1), LONGEST_WAIT_S) * random.uniform(0.8, 1.0)
