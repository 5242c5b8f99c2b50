"""Desk: takes what arrives, has studies drafted once they are complete, and results delivered."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from cxreport.arrivals.deliverer import Deliverer
from cxreport.arrivals.identity import FileKind, Identity
from cxreport.arrivals.ledger import Ledger
from cxreport.arrivals.result_folder import ResultFolder
from cxreport.arrivals.states import ArrivedFile, Counts, DueStudy, IdentifiedFile, ResultFile
from cxreport.errors import CxreportError
from cxreport.types import Failure, Outcome, Report, Study

log = logging.getLogger(__name__)

_LOOK_S = 0.1
"""Seconds between looks while there is nothing to do."""
_IDENTIFIED_AT_A_TIME = 512
_DRAFTED_AT_A_TIME = 256
_SOON = ("timed-out", "out-of-memory", "reader-ended")
"""Codes of failures that may have passed the next time."""
_MOST_ATTEMPTS = 5
_FILE = "file:"
"""Beginning of the keys of files that are studies of their own."""
_DRAIN_S = 20.0


class Source(Protocol):
    """Where files come from."""

    @property
    def busy(self) -> bool:
        """True while files are being sent."""

    @property
    def retried(self) -> Sequence[str]:
        """Codes of failures that pass by themselves with its files, beside those of any source."""

    def arrived(self) -> list[ArrivedFile]:
        """The files that arrived since the last call."""

    def close(self) -> None:
        """Take no more."""


@dataclass(frozen=True)
class Timing:
    """Times, in seconds."""

    quiet: float
    """Since the last file of a study, after which it is complete."""
    at_most: float
    """Since the first file of a study, after which it is drafted all the same."""
    heartbeat: float
    """Between two messages about the state; 0 for none."""


@dataclass(frozen=True)
class Reading:
    """Reading of files, in processes of their own."""

    identify: Callable[[Sequence[str]], list[Identity | None]]
    """Tells what files are; None for one that ends a process."""
    read: Callable[[Sequence[Path]], Generator[Study | Failure, None, None]]
    """Reads the studies of some files."""
    key_of: Callable[[str], str]
    """Keyed digest of a digest."""


@dataclass
class Desk:
    """What works on the studies of one inbox or watched folder.

    Attributes:
        folder: that the paths of files are relative to.
    """

    folder: Path
    ledger: Ledger
    source: Source
    reading: Reading
    draft: Callable[[Iterable[Study | Failure]], Iterator[Outcome]]
    results: ResultFolder
    deliverer: Deliverer | None
    timing: Timing
    tell: Callable[[Counts], None]
    """Takes the numbers at every heartbeat."""
    _last_beat: float = field(default_factory=time.monotonic, init=False)

    def run(self, stop: Callable[[], bool], *, once: bool = False) -> Counts:
        """Work until it is stopped.

        What is in hand is finished then: instances that are being sent, studies that are being drafted, results
        that can be delivered at once. The rest is done by the next run.

        Args:
            stop: True once work is to stop.
            once: stop by itself when something arrived and nothing is left to do.

        Returns:
            The numbers at the end.

        Raises:
            CxreportError: the work cannot go on: a disk is full, or memory ran out.
        """
        try:
            while not stop():
                worked = self._take() + self._identify(stop) + self._draft_due(stop)
                self._beat()
                if self.deliverer:
                    self.deliverer.check()
                if worked:
                    continue
                if once and self._is_done():
                    break
                time.sleep(_LOOK_S)
        finally:
            self.source.close()
        self._take()
        if self.deliverer:
            self.deliverer.finish(_DRAIN_S)
            self.deliverer.check()
        return self.ledger.counts()

    def _beat(self) -> None:
        """Tell the numbers when it is time to."""
        if self.timing.heartbeat and time.monotonic() - self._last_beat >= self.timing.heartbeat:
            self._last_beat = time.monotonic()
            self.tell(self.ledger.counts())

    def _is_done(self) -> bool:
        """True when something arrived, and nothing waits but deliveries that failed once."""
        counts = self.ledger.counts()
        waits = counts.pending and self.deliverer and not self.deliverer.waiting
        return bool(counts.files and not (counts.received or counts.unidentified or waits or self.source.busy))

    def _take(self) -> int:
        """Enter the files that arrived."""
        files = self.source.arrived()
        if files:
            self.ledger.add(files, time.time())
        return len(files)

    def _identify(self, stop: Callable[[], bool]) -> int:
        """Find the studies of files, so that no study counts as complete whose last file is not known yet."""
        number = 0
        while not stop() and (paths := self.ledger.unidentified(_IDENTIFIED_AT_A_TIME)):
            identities = self.reading.identify([str(self.folder / path) for path in paths])
            self.ledger.enter(self._identified(path, found) for path, found in zip(paths, identities, strict=True))
            number += len(paths)
        return number

    def _identified(self, path: str, identity: Identity | None) -> IdentifiedFile:
        identity = identity or Identity(FileKind.IMAGE)  # reading its study will say what is wrong
        if identity.kind is not FileKind.IMAGE:
            return IdentifiedFile(path, identity.kind, "", "", "")
        instance = self.reading.key_of(identity.instance) if identity.instance else ""
        if not identity.study:
            return IdentifiedFile(path, identity.kind, _FILE + path, Path(path).as_posix(), instance)
        key = self.reading.key_of(identity.study)
        return IdentifiedFile(path, identity.kind, key, f"study-{key[:12]}", instance)

    def _draft_due(self, stop: Callable[[], bool]) -> int:
        """Draft studies that are complete, and enter each as soon as its results are in place."""
        due = self.ledger.due(time.time(), self.timing.quiet, self.timing.at_most, _DRAFTED_AT_A_TIME)
        studies = {}
        for study in due:
            present = self._present(study)
            if present is not None:
                studies.update(dict.fromkeys((str(self.folder / path) for path in present.paths), present))
        if not studies:
            return len(due)
        remaining = {study.key: study for study in studies.values()}
        hand: list[Outcome] = []
        with contextlib.closing(self.reading.read([Path(path) for path in studies])) as read:
            for outcome in self.draft(_until(stop, read)):
                if hand and studies[_sources(hand[0])[0]].key != studies[_sources(outcome)[0]].key:
                    self._enter(remaining.pop(studies[_sources(hand[0])[0]].key), hand)
                    hand = []
                hand.append(outcome)
                self._beat()
        if hand:
            last = studies[_sources(hand[0])[0]]
            read_paths = {path for outcome in hand for path in _sources(outcome)}
            if not stop() or {str(self.folder / path) for path in last.paths} <= read_paths:
                self._enter(remaining.pop(last.key), hand)
        if not stop():
            for study in remaining.values():
                self.ledger.failed(study.key, "unreadable", "The files hold no image.")
        self.results.write_indexes()
        return len(due)

    def _present(self, study: DueStudy) -> DueStudy | None:
        """The study with the files that are still there; None where all of them are gone."""
        paths = tuple(path for path in study.paths if (self.folder / path).exists())
        gone = set(study.paths) - set(paths)
        if gone:
            self.ledger.forget(gone)
        if not paths:
            self.ledger.remove(study.key)
            return None
        return study._replace(paths=paths)

    def _enter(self, study: DueStudy, outcomes: Sequence[Outcome]) -> None:
        """Write the results of a study, then enter them: whoever is killed in between writes the same files again."""
        reports = [outcome for outcome in outcomes if isinstance(outcome, Report)]
        files: list[ResultFile] = []
        errors: list[CxreportError] = []
        for outcome in reports or outcomes[:1]:
            written, refused = self.results.write(_named(study, outcome))
            files += written
            errors += refused
        failures = [outcome.error for outcome in outcomes if isinstance(outcome, Failure)]
        if reports and (files or not errors):
            for error in (*failures, *errors):
                log.warning("%s: drafted, but: %s", study.id, error.message)
            self.ledger.drafted(study.key, files)
            if self.deliverer:
                self.deliverer.wake()
            return
        error = (errors or failures)[0]
        log.warning("%s: failed: %s", study.id, error.message)
        self.ledger.failed(study.key, error.code, error.message, self._retry(study, error.code))

    def _retry(self, study: DueStudy, code: str) -> float | None:
        """When to try a study again that failed for a reason that may pass; None for never."""
        if code not in (*_SOON, *self.source.retried) or study.attempts >= _MOST_ATTEMPTS:
            return None
        return time.time() + max(self.timing.quiet, 1.0) * 2.0 ** (study.attempts + 1)


def _until(stop: Callable[[], bool], studies: Iterable[Study | Failure]) -> Iterator[Study | Failure]:
    """Studies until work is to stop; those before are in hand."""
    for study in studies:
        yield study
        if stop():
            return


def _sources(outcome: Outcome) -> tuple[str, ...]:
    return outcome.sources if isinstance(outcome, Failure) else outcome.study.sources


def _named(study: DueStudy, outcome: Outcome) -> Outcome:
    """The outcome under the id of its study: a file without one has its name in the folder, and so do its results."""
    if isinstance(outcome, Failure):
        return replace(outcome, id=study.id)
    if not study.key.startswith(_FILE):
        return outcome  # of several patients in one study each has an id of its own
    return replace(outcome, study=replace(outcome.study, id=study.id))
