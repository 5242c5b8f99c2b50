"""Log of an index build: entries as they are embedded, in a file of their own, so that a build can be resumed.

The index is written from it at the end, in the order of the inputs, whenever its entries came.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from cxreport.datasets.report_files import WrittenReport
from cxreport.errors import OutputError, UsageError
from cxreport.files import is_at, open_regular, write_whole
from cxreport.journal import Claim, Journal, Mark, Piece, crc32, finished
from cxreport.reading.marks import Marks
from cxreport.retrieval.index_file import Entry
from cxreport.types import Failure

_Report = TypeVar("_Report", bound="WrittenReport | Failure")

_SUFFIX = ".entries"
_MAX_PENDING = 32
"""Entries that are written together: those of a batch come at once."""
_MAX_PENDING_S = 1.0


class EntryMarks(Marks):
    """Marks of reports and images: entries need not come in the order of what they are made of."""

    def __init__(self, is_done: Callable[[Mark], bool]) -> None:
        super().__init__(is_done)
        self._reports: dict[str, deque[Mark]] = {}
        self._repeats: Counter[str] = Counter()

    def of_reports(self, reports: Iterable[_Report]) -> Iterator[_Report]:
        """Pass on the reports that are not done."""
        for report in reports:
            if isinstance(report, WrittenReport):
                digest = _digest(report)
                self._repeats[digest] += 1
                mark = Mark(f"{digest}-{self._repeats[digest]}", next(self.places), report.id, alone=True)
                if self._is_done(mark):
                    continue
                self._reports.setdefault(digest, deque()).append(mark)
            yield report

    def of(self, outcome: Entry | Failure) -> Mark | None:
        """The mark of what an entry was made of, or of a study that failed; None for a report that failed."""
        if isinstance(outcome, Failure):
            return self.by_path.get(outcome.sources[0])
        if outcome.kind == "image":
            return self.by_path[outcome.source]
        digest = _digest(outcome)
        marks = self._reports[digest]
        mark = marks.popleft()
        if not marks:
            del self._reports[digest]
        return mark


class EntryLog:
    """Log of a build, which stays where the build is interrupted.

    Args:
        claim: of the index.
        settings: what entries depend on besides reports and images, in words.
        resume: go on from what an interrupted build left.

    Raises:
        UsageError: it cannot be written, or there is an interrupted build and no ``resume``.
    """

    def __init__(self, claim: Claim, settings: Mapping[str, str], resume: bool = False) -> None:
        self.kept = 0
        """Studies and reports whose entries are taken over from an interrupted build."""
        self._claim = claim
        self._path = claim.target.with_name(claim.target.name + _SUFFIX)
        self._journal = Journal(claim, settings)
        self.differing = self._journal.differing
        """Names of settings that the interrupted build had otherwise: nothing is taken over from it."""
        if claim.size and not resume:
            raise UsageError(
                f"{claim.target}: an interrupted build has left entries.",
                hint=f"Add --resume to finish it, or remove {claim.path} to start anew.",
            )
        self._journal.require_own()
        try:
            self._file = open_regular(self._path)
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be written ({error.strerror}).") from error
        size = os.fstat(self._file.fileno()).st_size
        if size and not self._journal.found:
            self._file.close()
            raise UsageError(f"{self._path}: there is no journal of it.", hint="Move it away.")
        self._journal.keep(lambda piece: piece.end <= size and crc32(self._read(piece)) == piece.crc)
        pieces = self._journal.pieces
        self._finished = finished(pieces)
        self._end = pieces[-1].end if pieces else 0
        self._file.truncate(self._end)
        self._placed: list[tuple[int, Piece]] = []
        self._pending: list[tuple[Piece, bytes]] = []
        self._flushed = time.monotonic()

    def is_done(self, mark: Mark) -> bool:
        """Take the entry of a study or report over, if there is one."""
        pieces = self._finished.get(mark.key)
        if pieces is None:
            return False
        self._placed += [(mark.place, piece) for piece in pieces]
        self.kept += 1
        return True

    def add(self, outcome: Entry | Failure, mark: Mark | None) -> None:
        """Write an entry, or that a study failed.

        Raises:
            OutputError: it cannot be written.
        """
        if mark is None:
            return
        failed = isinstance(outcome, Failure)
        content = b"" if isinstance(outcome, Failure) else _encoded(outcome)
        end = self._end + len(content)
        piece = Piece(mark.key, self._journal.attempt, failed, mark.alone, self._end, end, crc32(content))
        self._end = end
        self._pending.append((piece, content))
        if not failed:
            self._placed.append((mark.place, piece))
        if len(self._pending) >= _MAX_PENDING or time.monotonic() - self._flushed > _MAX_PENDING_S:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet.

        Raises:
            OutputError: it cannot be written.
        """
        if self._pending:
            if not is_at(self._file, self._path):
                raise OutputError(f"{self._path}: was moved or removed while it was written.")
            self._journal.begin()
            try:
                write_whole(self._file, b"".join(content for _, content in self._pending))
            except OSError as error:
                raise OutputError(f"{self._path}: cannot be written ({error.strerror}).") from error
            self._journal.add(*(piece for piece, _ in self._pending))
            self._pending.clear()
        self._flushed = time.monotonic()

    def entries(self) -> Iterator[Entry]:
        """All entries in the order of what they are made of."""
        self.flush()
        for _, piece in sorted(self._placed, key=lambda placed: placed[0]):
            yield _decoded(self._read(piece))

    def close(self, complete: bool) -> bool:
        """Remove the log of a build that is complete or has no entry; True if it stays."""
        with contextlib.suppress(OutputError):
            self.flush()
        has_entries = bool(self._placed) or not all(piece.failed for piece in self._journal.pieces)
        stays = not complete and self._claim.size > 0 and has_entries
        self._file.close()
        if not stays:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._claim.release(remove=not stays)
        return stays

    def _read(self, piece: Piece) -> bytes:
        self._file.seek(piece.start)
        return self._file.read(piece.end - piece.start)


def _encoded(entry: Entry) -> bytes:
    """An entry without its warnings: a JSON object in a line, and its embedding."""
    fields = {"kind": entry.kind, "id": entry.id, "source": entry.source}
    line = json.dumps(fields | {"findings": entry.findings, "impression": entry.impression})
    return line.encode() + b"\n" + entry.embedding.astype("<f4").tobytes()


def _decoded(content: bytes) -> Entry:
    line, _, embedding = content.partition(b"\n")
    return Entry(embedding=np.frombuffer(embedding, "<f4").astype(np.float32), **json.loads(line))


def _digest(report: WrittenReport | Entry) -> str:
    texts = (report.id, report.source, report.findings, report.impression)
    return hashlib.sha256(repr(texts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
