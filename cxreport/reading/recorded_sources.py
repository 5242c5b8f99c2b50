"""Source files of recorded studies, found and read again: for documents that show the image or name the patient."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cxreport.errors import InvalidRecordError, StudyError
from cxreport.reading.ahead import default_workers, lost_error, read_prepared
from cxreport.reading.discover import group_files
from cxreport.reading.options import ReadOptions
from cxreport.reading.processes.workers import Lost, Processes
from cxreport.reading.walk import walk
from cxreport.types import Failure, InputShape, Outcome, Report, Study

_AT_A_TIME = 64
_PSEUDONYM = re.compile(r"study-[0-9a-f]{12}")
_NUMBER = re.compile(r"[~-]\d+$")
"""End of an id by which one run told studies apart."""
_HINT = "Name the folder that they are in with --sources, and the --salt that the records were drafted with."


class RecordedSource(NamedTuple):
    """Image that a record was drafted from."""

    id: str
    """Of the study."""
    paths: tuple[str, ...]
    """Where it may be, the most likely place first."""
    frame: int


class Sources:
    """Places of source files: where records have them, or by their names in a folder.

    Args:
        folder: with the files, in any arrangement; None leaves the paths of the records as they are.
    """

    def __init__(self, folder: Path | None) -> None:
        self._by_name: dict[str, list[str]] | None = None
        if folder is not None:
            self._by_name = {}
            for path in walk(str(folder)):
                self._by_name.setdefault(os.path.basename(path), []).append(path)

    def places(self, path: str) -> tuple[str, ...]:
        """Paths at which a file may be: those of its name, first those in folders of the same names."""
        if self._by_name is None:
            return (path,)
        parts = Path(path).parts
        found = self._by_name.get(os.path.basename(path), [])
        return tuple(sorted(found, key=lambda place: -_common(parts, Path(place).parts)))


def read_sources(
    outcomes: Iterable[Outcome], sources: Sources, options: ReadOptions, shape: InputShape, processes: Processes
) -> Iterator[Outcome]:
    """Read the images of recorded reports again, in other processes.

    Args:
        outcomes: reports without pixels, and failures.
        sources: places of the files.
        options: of reading; images are not refused a second time.
        shape: of the pixels.
        processes: to read in.

    Yields:
        The outcomes, in order: a report with its pixels, and with paths at which its files are. A failure stands in
        its place where the image is not there, or is not that of the study: ids are compared, which tell DICOM studies
        apart by a keyed digest, and pictures by their names.
    """
    task = functools.partial(read_source, replace(options, force=True), shape)
    rest = iter(outcomes)
    while batch := list(itertools.islice(rest, _AT_A_TIME)):
        reports = [outcome for outcome in batch if isinstance(outcome, Report) and outcome.study.view]
        places = [_source(report.study, sources) for report in reports]
        with contextlib.closing(processes.map(task, places, default_workers(len(places)))) as images:
            for outcome in batch:
                if isinstance(outcome, Report) and outcome.study.view:
                    outcome = _with(outcome, next(images), sources, processes)
                yield outcome


def read_source(options: ReadOptions, shape: InputShape, source: RecordedSource) -> Study | StudyError:
    """Read the image of a record: the task of a process that reads.

    Returns:
        A study of that file alone, with the pixels; or the reason why there is none.
    """
    error: StudyError = InvalidRecordError("The image of the record is not there.", hint=_HINT)
    for path in source.paths:
        if not os.path.isfile(path):
            continue
        (files,) = group_files([Path(path)], "study", options.salt)
        if not _is_same(source.id, files.id, path):
            error = InvalidRecordError(f"{path}: is not of the study of the record.", hint=_HINT)
            continue
        (outcome, *_) = read_prepared(options, shape, files)
        if isinstance(outcome, Failure):
            error = _study_error(outcome)
        elif outcome.view is None or outcome.view.info.frame != source.frame:
            error = InvalidRecordError(f"{path}: frame {source.frame} cannot be read again.")
        else:
            return replace(outcome, next_view=None)
    return error


def _source(study: Study, sources: Sources) -> RecordedSource:
    assert study.view is not None
    info = study.view.info
    return RecordedSource(study.id, sources.places(info.source), info.frame)


def _with(report: Report, image: Study | StudyError | Lost, sources: Sources, processes: Processes) -> Outcome:
    """The report with the pixels of its image, or a failure."""
    study = report.study
    if isinstance(image, Lost):
        image = lost_error(image, processes.limits)
    if isinstance(image, StudyError) or image.view is None or study.view is None:
        error = image if isinstance(image, StudyError) else InvalidRecordError("The record has no image.")
        return Failure(study.id, study.sources, error)
    place = image.view.info.source
    info = replace(study.view.info, source=place)
    paths = tuple(
        place if path == study.view.info.source else next(iter(sources.places(path)), path) for path in study.sources
    )
    return replace(report, study=replace(study, sources=paths, view=replace(image.view, info=info)))


def _is_same(recorded: str, found: str, path: str) -> bool:
    """True where a file may be that of a record: by a pseudonym, or by the name of the file or its folder."""
    if _PSEUDONYM.fullmatch(found):
        return recorded == found or _NUMBER.sub("", recorded) == found
    names = {os.path.basename(path), os.path.basename(os.path.dirname(os.path.abspath(path)))}
    last = recorded.rsplit("/", 1)[-1]
    return bool({last, _NUMBER.sub("", last)} & names)


def _study_error(failure: Failure) -> StudyError:
    error = failure.error
    return error if isinstance(error, StudyError) else InvalidRecordError(error.message, hint=error.hint)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Number of parts that two paths have in common at their ends."""
    pairs = zip(reversed(a), reversed(b), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
