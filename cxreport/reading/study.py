"""Studies read from files and folders, one at a time, each with the frontal view that feeds the model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from cxreport.errors import CxreportError, NothingReadableError, StudyError, UsageError
from cxreport.reading.discover import find_studies
from cxreport.reading.options import DEFAULTS, ReadOptions
from cxreport.reading.reader import read_files
from cxreport.types import Failure, Study

__all__ = ["ReadOptions", "read_studies", "read_study"]

AnyPath = str | os.PathLike[str]


def read_studies(paths: AnyPath | Iterable[AnyPath], options: ReadOptions = DEFAULTS) -> Iterator[Study | Failure]:
    """Find, group and read studies, one at a time.

    A first pass opens every file once and keeps the paths of each study; from picture to picture it goes on while
    studies are taken. When a study's turn comes, its headers are read, and the pixels of the view that is used, from a
    file that is still open. Content decides what a file is. In folders, hidden files, DICOMDIR, operating-system
    leftovers, DICOM objects without an image and files that are plainly something else are passed over; a file that is
    named must be readable.

    Args:
        paths: files, and folders to search; or one of them.
        options: of reading.

    Yields:
        Studies and failures in order of first appearance: named order, then sorted within a folder. Ids are
        pseudonyms, each once in a run: see `StudyFiles.id`. Nothing is raised for
        a study that cannot be read; an unreadable file of a study that can is a failure of its own, behind the study.
    """
    named = [paths] if isinstance(paths, str | os.PathLike) else paths
    for files in find_studies(map(Path, named), options.group_by, options.salt):
        yield from read_files(files, options)


def read_study(path: AnyPath, options: ReadOptions = DEFAULTS) -> Study:
    """Read the one study of a file or folder.

    Args:
        path: a file, or a folder to search.
        options: of reading.

    Returns:
        The only study that can be read; files that cannot are named among its warnings.

    Raises:
        NothingReadableError: there is no study, or none that can be read.
        UsageError: there are several.
    """
    return only_study(Path(path), read_studies(path, options))


def only_study(path: Path | str, outcomes: Iterable[Study | Failure]) -> Study:
    """The one study among the outcomes of reading a file or folder, as `read_study` returns it."""
    study: Study | None = None
    failures: list[Failure] = []
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            failures.append(outcome)
        elif study is not None:
            raise UsageError(f"{path}: holds several studies.", hint="Name one file, or the folder of one study.")
        else:
            study = outcome
    if study is None:
        raise _no_study(path, failures)
    foreign = [failure for failure in failures if not set(failure.sources) <= set(study.sources)]
    warnings = [f"{', '.join(failure.sources)}: {failure.error.message}" for failure in foreign]
    return replace(study, warnings=(*study.warnings, *warnings))


def _no_study(path: Path | str, failures: list[Failure]) -> CxreportError:
    """The error of a path without a study that can be read; the first failure says why."""
    if not failures:
        return NothingReadableError(f"{path}: no study.")
    error = failures[0].error
    if not isinstance(error, StudyError):
        return error
    return NothingReadableError(f"{path}: {error.message}", hint=error.hint)
