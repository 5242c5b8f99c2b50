"""Reading beside inference: studies as the network's input, read ahead in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cxreport.errors import OutOfMemoryError, ReaderEndedError, StudyError, TimedOutError
from cxreport.model.cpus import usable_cpus
from cxreport.reading.discover import find_studies, references
from cxreport.reading.grouping import FileReference, FoundFile, StudiesFound, StudyFiles
from cxreport.reading.network_input import preprocess
from cxreport.reading.options import ReadOptions
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT, TaskLimits, reader_limits
from cxreport.reading.processes.workers import Lost, Processes, map_ahead
from cxreport.reading.reader import read_files
from cxreport.reading.study import only_study
from cxreport.types import Failure, InputShape, Study

_LEAST_STUDIES = 16
"""Fewer are read sooner by one process than more processes start."""
_FILES_OF_A_TASK = 64
"""Files whose studies a process tells at a time."""
_MAX_WORKERS = 8


def read_ahead(
    paths: Iterable[Path],
    options: ReadOptions,
    shape: InputShape,
    workers: int | None = None,
    select: Callable[[StudiesFound], Iterable[StudyFiles]] = iter,
    processes: Processes | None = None,
) -> Generator[Study | Failure, None, None]:
    """Find, group, read and preprocess studies, as `read_studies` and `pipeline.generate` do one after the other.

    No file is opened in this process, so that whatever a file does to the process that reads it, the run goes on.

    Args:
        paths: files, and folders to search.
        options: of reading.
        shape: of the network's input.
        workers: processes that read; 0 reads in this one, without limits of time and memory, when a study's turn
            comes. None chooses by the number of studies and CPUs.
        select: leaves out studies that are not to be read, as they are found.
        processes: to read in, with limits of their own, which go on afterwards; None starts some with the usual ones.

    Yields:
        The same studies and failures in the same order, whatever the number of workers; the first ones before all
        files were looked at, where `StudiesFound` hands them on. A study that ends the
        process that reads it, or passes a limit, is a failure. Close the iterator to end the processes early.
    """
    if workers == 0 or (workers is None and not _can_start_processes()):
        for files in select(find_studies(paths, options.group_by, options.salt)):
            yield from read_prepared(options, shape, files)
        return
    own = Processes(reader_limits(DEFAULT_TIMEOUT, options.max_megapixels)) if processes is None else None
    with own or contextlib.nullcontext(processes) as members:
        assert members is not None
        find = functools.partial(_references, members, workers)
        studies = select(find_studies(paths, options.group_by, options.salt, find))
        with contextlib.closing(read_found(studies, options, shape, workers, members)) as outcomes:
            yield from outcomes


def read_found(
    studies: Iterable[StudyFiles], options: ReadOptions, shape: InputShape, workers: int | None, processes: Processes
) -> Generator[Study | Failure, None, None]:
    """Read and preprocess studies as they are found, as `read_ahead` does; the processes go on afterwards."""
    following = iter(studies)
    first = list(itertools.islice(following, max(_LEAST_STUDIES, workers or 0)))
    taken, studies = itertools.tee(itertools.chain(first, following))
    sound = (files for files in taken if files.error is None)
    task = functools.partial(read_prepared, options, shape)
    with contextlib.closing(processes.map(task, sound, _number(workers, len(first)))) as results:
        for files in studies:
            outcomes = files.error or next(results)
            if isinstance(outcomes, Lost):
                outcomes = lost_error(outcomes, processes.limits)
            if isinstance(outcomes, StudyError):
                yield _failure(files, outcomes)
            else:
                yield from (_with_reader(outcome, processes.limits, shape) for outcome in outcomes)
        next(results, None)  # to its end: closed before, it would end the processes


def read_alone(path: Path, options: ReadOptions, shape: InputShape, processes: Processes) -> Study:
    """Read the one study of a file or folder in another process, and preprocess it.

    Args:
        path: a file, or a folder to search.
        options: of reading.
        shape: of the network's input.
        processes: to read in.

    Raises:
        NothingReadableError: there is no study, or none that can be read.
        UsageError: there are several.
    """
    with contextlib.closing(read_ahead([path], options, shape, processes=processes)) as outcomes:
        return only_study(path, outcomes)


def read_prepared(options: ReadOptions, shape: InputShape, files: StudyFiles) -> list[Study | Failure]:
    """Read and preprocess one study: the task of a process that reads."""
    return [
        preprocess(outcome, shape) if isinstance(outcome, Study) else outcome for outcome in read_files(files, options)
    ]


def default_workers(studies: int) -> int:
    """Number of processes that read: one for few studies, and on one CPU.

    As many as CPUs, beside an encoder with as many threads, finish first: whichever of the two is ahead waits for the
    other, and leaves it the CPUs meanwhile.
    """
    return 1 if studies < _LEAST_STUDIES else min(usable_cpus(), _MAX_WORKERS)


def _number(workers: int | None, tasks: int) -> int:
    """Number of processes for so many tasks."""
    return max(1, min(workers or default_workers(tasks), tasks))


def _can_start_processes() -> bool:
    """True if Python can be started once more."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def _references(
    processes: Processes, workers: int | None, files: Sequence[FoundFile], group_by: str
) -> Generator[FileReference | StudyError | None, None, None]:
    """References of files that other processes open, a few at a time; where that fails, each of the few alone."""
    task = functools.partial(_references_of_few, group_by)
    few = [files[start : start + _FILES_OF_A_TASK] for start in range(0, len(files), _FILES_OF_A_TASK)]
    answers = processes.map(task, few, _number(workers, len(few)))
    for number, some in enumerate(answers):
        if isinstance(some, Lost):
            yield from _retried(processes, task, few[number:], [some, *answers])
            return
        yield from some


def _retried(
    processes: Processes,
    task: Callable[[Sequence[FoundFile]], list[FileReference | None]],
    few: Sequence[Sequence[FoundFile]],
    answers: Sequence[list[FileReference | None] | Lost],
) -> Generator[FileReference | StudyError | None, None, None]:
    """Answers, with the files of those that are lost looked at again one by one."""
    alone = [[file] for group, some in zip(few, answers, strict=True) if isinstance(some, Lost) for file in group]
    retried = iter(list(processes.map(task, alone, 1)))
    for group, some in zip(few, answers, strict=True):
        if not isinstance(some, Lost):
            yield from some
            continue
        for one in itertools.islice(retried, len(group)):
            yield from [lost_error(one, processes.limits)] if isinstance(one, Lost) else one


def _references_of_few(group_by: str, files: Sequence[FoundFile]) -> list[FileReference | None]:
    return list(references(files, group_by))


def _with_reader(outcome: Study | Failure, limits: TaskLimits, shape: InputShape) -> Study | Failure:
    """A study that, where the model refuses its view, reads the next one in another process, too."""
    if isinstance(outcome, Failure) or outcome.next_view is None:
        return outcome
    task = functools.partial(_next_prepared, outcome.next_view, shape)
    return replace(outcome, next_view=functools.partial(_next_view, outcome, task, limits, shape))


def _next_view(
    study: Study, task: Callable[[str], Study | Failure], limits: TaskLimits, shape: InputShape, reason: str
) -> Study | Failure:
    """Read a study anew without its view, in a process for that alone: it is rarely asked for, perhaps at the end."""
    with contextlib.closing(map_ahead(task, [reason], 1, limits)) as results:
        outcome = next(results)
    if isinstance(outcome, Lost):
        return Failure(study.id, study.sources, lost_error(outcome, limits))
    return _with_reader(outcome, limits, shape)


def _next_prepared(next_view: Callable[[str], Study | Failure], shape: InputShape, reason: str) -> Study | Failure:
    outcome = next_view(reason)
    return preprocess(outcome, shape) if isinstance(outcome, Study) else outcome


def lost_error(lost: Lost, limits: TaskLimits) -> StudyError:
    """Reason why a process has no study to show."""
    if lost is Lost.TIMED_OUT:
        return TimedOutError(f"Reading the study took longer than {limits.seconds:g} s.")
    if lost is Lost.OUT_OF_MEMORY:
        return OutOfMemoryError()
    return ReaderEndedError("The process that read the study ended.")


def _failure(files: StudyFiles, error: StudyError) -> Failure:
    return Failure(files.id, tuple(files.paths), error)
