"""Deliverer of results: a process that sends what is pending, and tries again for as long as it takes."""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cxreport.arrivals.companion import Companion, Told
from cxreport.arrivals.destination import destination
from cxreport.arrivals.ledger import Ledger
from cxreport.arrivals.sending import send
from cxreport.arrivals.sent import Answer, Sent
from cxreport.errors import DeliveryError

log = logging.getLogger(__name__)

_AT_A_TIME = 100
_LOOK_S = 1.0
"""Seconds until a look at what another process has put in the ledger."""
FIRST_WAIT_S = 2.0
"""Seconds until the first try again; each further one waits twice as long."""
LONGEST_WAIT_S = 300.0


class Deliverer:
    """Process that sends results that are pending.

    Args:
        ledger_folder: that the ledger is in.
        results: folder of the results.
        to: text that names the destination, see `destination`.
        authorization: value of the header Authorization, for a server that asks for it.
        title: own AE title.
    """

    def __init__(self, ledger_folder: Path, results: Path, to: str, authorization: str, title: str) -> None:
        settings = {"ledger": str(ledger_folder), "results": str(results), "to": to, "authorization": authorization}
        self.waiting = False
        """True after a try that failed, until one succeeds."""
        self._process = Companion(f"{__name__}:deliver", {**settings, "title": title}, self._take)

    def wake(self) -> None:
        """Have it look for new results at once."""
        self._process.ask("wake")

    def check(self) -> None:
        """Go on after an unexpected end.

        Raises:
            CxreportError: results cannot be delivered any more.
        """
        self._process.check()

    def finish(self, patience_s: float) -> None:
        """Deliver what is pending as far as it goes now, and end; a try that failed is not repeated."""
        self._process.stop(patience_s)

    def _take(self, told: Told) -> None:
        self.waiting = told["waiting"]


def deliver(settings: Mapping[str, Any], tell: Callable[[Told], None], asked: queue.SimpleQueue[str]) -> None:
    """Send results until it is asked to stop: what the process of a `Deliverer` does."""
    target = destination(settings["to"], settings["authorization"])
    sender = functools.partial(send, destination=target, title=settings["title"])
    with Ledger(Path(settings["ledger"])) as ledger:
        Delivery(ledger, Path(settings["results"]), sender, asked, lambda waiting: tell({"waiting": waiting})).run()


class Delivery:
    """Work of a deliverer.

    Args:
        ledger: that says what is pending.
        results: folder of the results.
        send: sends files and yields the answers.
        asked: words: ``wake``, or ``stop``.
        tell_waiting: takes whether the last try failed, when that changes.
    """

    def __init__(
        self,
        ledger: Ledger,
        results: Path,
        send: Callable[[Sequence[Path]], Iterator[Sent]],
        asked: queue.SimpleQueue[str],
        tell_waiting: Callable[[bool], None],
    ) -> None:
        self._ledger = ledger
        self._results = results
        self._send = send
        self._asked = asked
        self._tell_waiting = tell_waiting
        self._failures = 0
        """Tries in a row that failed."""
        self._told = ""
        """Reason that the log has already."""

    def run(self) -> None:
        """Send what is pending until it is asked to stop, and then what can be sent at once."""
        stopping = False
        while True:
            names = self._ledger.pending(_AT_A_TIME)
            failures = 0 if not names or self._deliver(self._ledger, names) else self._failures + 1
            if bool(failures) != bool(self._failures):
                self._tell_waiting(failures > 0)
            self._failures = failures
            if names and not failures:
                continue
            if stopping:
                return
            stopping = self._sleeps(_pause(failures) if failures else _LOOK_S, wakes=not failures)
            if stopping and failures:
                return

    def _sleeps(self, seconds: float, *, wakes: bool) -> bool:
        """Wait for a time, or for a word; True when it is to stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                word = self._asked.get(timeout=left)
            except queue.Empty:
                return False
            if word == "stop":
                return True
            if wakes:
                return False
        return False

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
