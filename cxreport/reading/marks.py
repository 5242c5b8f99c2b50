"""Marks of studies on their way through a run: which result is which study's, and which studies are done already."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable

from cxreport.journal import Mark
from cxreport.reading.grouping import StudyFiles
from cxreport.reading.parts import Part
from cxreport.types import Failure, Study

_Studies = Generator[Study | Failure, None, None]


class Marks:
    """Marks of the studies of a run, in the order of their results: the pipeline gives one for each.

    Args:
        is_done: is asked for every study in order, and tells whether it is to be passed over.
        part: the studies to take; None takes all.
        pass_by: is told the id of a study of another part, in its turn.
    """

    def __init__(
        self, is_done: Callable[[Mark], bool], part: Part | None = None, pass_by: Callable[[str], object] = str
    ) -> None:
        self.by_path: dict[str, Mark] = {}
        """By each file of a study that is to be read."""
        self.places = itertools.count()
        """Numbers of the studies to come."""
        self._is_done = is_done
        self._part = part
        self._pass_by = pass_by
        self._waiting: deque[Mark] = deque()

    def take(self) -> Mark:
        """The mark of the next result."""
        return self._waiting.popleft()

    def undone(self, studies: Iterable[StudyFiles]) -> list[StudyFiles]:
        """Studies that are to be read, all of them found before the first is."""
        selected = []
        for files in studies:
            if self._is_of_another(files.key, files.id):
                continue
            mark = Mark(_digest_of_files(files), next(self.places), files.id, alone=len(files.paths) == 1)
            if not self._is_done(mark):
                self.by_path.update(dict.fromkeys(files.paths, mark))
                selected.append(files)
        return selected

    def of_files(self, studies: _Studies) -> _Studies:
        """Pass on the studies that are read from those of `undone`, marked."""
        with contextlib.closing(studies):
            for study in studies:
                self._waiting.append(self.by_path[study.sources[0]])
                yield study

    def of_rows(self, studies: _Studies) -> _Studies:
        """Pass on the studies of a table that are not done, marked."""
        with contextlib.closing(studies):
            for study in studies:
                if self._is_of_another(study.id, study.id):
                    continue
                mark = Mark(_digest_of_row(study), next(self.places), study.id, alone=True)
                if not self._is_done(mark):
                    self._waiting.append(mark)
                    yield study

    def _is_of_another(self, key: str, id_: str) -> bool:
        """True for a study of another part."""
        if self._part is None or self._part.holds(key):
            return False
        self._pass_by(id_)
        return True


def _digest_of_files(files: StudyFiles) -> str:
    """Digest of a study's id, which another secret changes, and of its files as they are named, with sizes and times.

    A file that was written since is another.
    """
    facts: list[object] = [files.id]
    for path in files.paths:
        try:
            status = os.stat(path)
            facts.append((path, status.st_size, status.st_mtime_ns))
        except (OSError, ValueError):
            facts.append((path, None))
    return _digest(facts)


def _digest_of_row(study: Study | Failure) -> str:
    """Digest of a row: its id, which only one row that can be read has, and its probabilities."""
    tags = study.tags if isinstance(study, Study) else None
    return _digest([study.id, study.sources, sorted((tags or {}).items())])


def _digest(facts: list[object]) -> str:
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
