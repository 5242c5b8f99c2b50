"""Watched folder: files that came or changed since the last look."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxreport.arrivals.states import ArrivedFile
from cxreport.errors import UnreadableFileError, UsageError
from cxreport.reading.walk import walk

_LEAST_S = 1.0
"""Seconds between looks."""
_SHARE = 10
"""Looking takes at most one part in so many of the time."""
_UNFINISHED = (".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", ".temp", "~")
"""Suffixes of files that programs rename once they are whole."""


class WatchedFolder:
    """Folder that others put files into.

    Args:
        folder: to look through, with the folders in it.
        results: folder that is never looked into.
        known: size and time of change of the files that are known, by path relative to the folder.

    Raises:
        UsageError: there is no such folder, or results would be read as input.
    """

    busy = False
    """Nobody tells when somebody writes."""
    retried: Sequence[str] = (UnreadableFileError.code,)
    """A file may be half-written yet."""

    def __init__(self, folder: Path, results: Path, known: Mapping[str, tuple[int, int]]) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder}: is no folder.")
        self.folder = folder
        self._results = os.path.realpath(results)
        if _is_within(os.path.realpath(folder), self._results):
            hint = "Name another folder; one below the watched folder will do."
            raise UsageError(f"{results}: results would lie among the files that are read.", hint=hint)
        self._known = dict(known)
        self._next_look = 0.0

    def arrived(self) -> list[ArrivedFile]:
        """The files that came or changed since the last look; none where that was a moment ago."""
        start = time.monotonic()
        if start < self._next_look:
            return []
        files = []
        present: dict[str, tuple[int, int]] = {}  # what is gone, and comes back, is new
        excluded: dict[str, bool] = {}
        with _told_once:
            for path in walk(str(self.folder)):
                parent = os.path.dirname(path)
                if parent not in excluded:
                    excluded[parent] = _is_within(os.path.realpath(parent), self._results)
                if excluded[parent] or path.lower().endswith(_UNFINISHED):
                    continue
                try:
                    status = os.stat(path)
                except OSError:  # gone, or not to be looked at
                    continue
                name = os.path.relpath(path, self.folder)
                if not _is_text(name):
                    logging.getLogger(walk.__module__).warning("%a: passed over, its name is no UTF-8", name)
                    continue
                present[name] = (status.st_size, status.st_mtime_ns)
                if self._known.get(name) != present[name]:
                    files.append(ArrivedFile(name, status.st_size, status.st_mtime_ns))
        self._known = present
        now = time.monotonic()
        self._next_look = now + max(_LEAST_S, _SHARE * (now - start))
        return files

    def close(self) -> None:
        """Look no more."""


class _ToldOnce(logging.Filter):
    """Filter of the log of walks: what a walk passes over is told with the first of them."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """True for a text that was not told before."""
        text = record.getMessage()
        is_new = text not in self._told
        self._told.add(text)
        return is_new

    def __enter__(self) -> None:
        logging.getLogger(walk.__module__).addFilter(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger(walk.__module__).removeFilter(self)


_told_once = _ToldOnce()


def _is_text(name: str) -> bool:
    """True of a name that a ledger can keep."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_within(folder: str, parent: str) -> bool:
    return folder == parent or folder.startswith(os.path.join(parent, ""))
