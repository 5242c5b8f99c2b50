"""Reading beside inference: studies as the network's input, read ahead in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from cxreport.errors import ReaderEndedError
from cxreport.model.cpus import usable_cpus
from cxreport.reading.discover import StudyFiles, group_files
from cxreport.reading.network_input import preprocess
from cxreport.reading.reader import ReadOptions, read_files
from cxreport.types import Failure, InputShape, Study

_LEAST_STUDIES = 16
"""Fewer are read sooner than a process starts."""
_MAX_WORKERS = 8


def read_ahead(
    paths: Iterable[Path],
    options: ReadOptions,
    shape: InputShape,
    workers: int | None = None,
    select: Callable[[list[StudyFiles]], list[StudyFiles]] | None = None,
) -> Generator[Study | Failure, None, None]:
    """Find, group, read and preprocess studies, as `read_studies` and `pipeline.generate` do one after the other.

    Args:
        paths: files, and folders to search.
        options: of reading.
        shape: of the network's input.
        workers: processes that read; 0 reads in this one, when a study's turn comes. None chooses by the number of
            studies and CPUs.
        select: leaves out studies that are not to be read, once they are found.

    Yields:
        The same studies and failures in the same order, whatever the number of workers. A study that ends the
        process that reads it is a failure. Close the iterator to end the processes early.
    """
    studies = group_files(paths, options.group_by)
    if select is not None:
        studies = select(studies)
    if workers is None:
        workers = default_workers(len(studies))
    task = functools.partial(read_prepared, options, shape)
    workers = min(workers, len(studies))
    if not workers:
        for files in studies:
            yield from task(files)
        return
    from cxreport.reading.workers import map_ahead  # few files do without

    with contextlib.closing(map_ahead(task, studies, workers)) as results:
        for files, outcomes in zip(studies, results, strict=True):
            yield from [_reader_ended(files)] if outcomes is None else outcomes


def read_prepared(options: ReadOptions, shape: InputShape, files: StudyFiles) -> list[Study | Failure]:
    """Read and preprocess one study: the task of a process that reads."""
    return [
        preprocess(outcome, shape) if isinstance(outcome, Study) else outcome for outcome in read_files(files, options)
    ]


def default_workers(studies: int) -> int:
    """Number of processes that read: none for few studies, on one CPU, and where Python cannot be started once more.

    As many as CPUs, beside an encoder with as many threads, finish first: whichever of the two is ahead waits for the
    other, and leaves it the CPUs meanwhile.
    """
    cpus = usable_cpus()
    if studies < _LEAST_STUDIES or cpus == 1 or not sys.executable or getattr(sys, "frozen", False):
        return 0
    return min(cpus, _MAX_WORKERS)


def _reader_ended(files: StudyFiles) -> Failure:
    return Failure(files.id, tuple(files.paths), ReaderEndedError("The process that read the study ended."))
