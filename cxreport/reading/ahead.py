"""Reading beside inference: studies as the network's input, read ahead in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from cxreport.errors import OutOfMemoryError, ReaderEndedError, StudyError, TimedOutError
from cxreport.model.cpus import usable_cpus
from cxreport.reading.discover import FoundFile, StudyFiles, StudyKey, group_files, study_keys
from cxreport.reading.limits import DEFAULT_TIMEOUT, TaskLimits, reader_limits
from cxreport.reading.network_input import preprocess
from cxreport.reading.study import ReadOptions, only_study, read_files
from cxreport.reading.workers import Lost, Processes
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
        processes: to read in, with limits of their own; None starts some with the usual ones.

    Yields:
        The same studies and failures in the same order, whatever the number of workers. A study that ends the
        process that reads it, or passes a limit, is a failure. Close the iterator to end the processes early.
    """
    if workers == 0 or (workers is None and not _can_start_processes()):
        for files in group_files(paths, options.group_by, options.salt):
            yield from read_prepared(options, shape, files)
        return
    with processes or Processes(reader_limits(DEFAULT_TIMEOUT, options.max_megapixels)) as members:
        studies = group_files(paths, options.group_by, options.salt, functools.partial(_keys, members, workers))
        sound = [files for files in studies if files.error is None]
        task = functools.partial(read_prepared, options, shape)
        with contextlib.closing(members.map(task, sound, _number(workers, len(sound)))) as results:
            for files in studies:
                outcomes = files.error or next(results)
                if isinstance(outcomes, Lost):
                    outcomes = _error(outcomes, members.limits)
                yield from [_failure(files, outcomes)] if isinstance(outcomes, StudyError) else outcomes


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


def _keys(
    processes: Processes, workers: int | None, files: Sequence[FoundFile], group_by: str
) -> list[StudyKey | StudyError]:
    """Keys of files that other processes open, a few at a time; where that fails, each of the few alone."""
    task = functools.partial(_keys_of_few, group_by)
    few = [files[start : start + _FILES_OF_A_TASK] for start in range(0, len(files), _FILES_OF_A_TASK)]
    answers = list(processes.map(task, few, _number(workers, len(few))))
    alone = [[file] for group, keys in zip(few, answers, strict=True) if isinstance(keys, Lost) for file in group]
    retried = iter(list(processes.map(task, alone, 1)))
    found: list[StudyKey | StudyError] = []
    for group, keys in zip(few, answers, strict=True):
        if not isinstance(keys, Lost):
            found += keys
            continue
        for key in itertools.islice(retried, len(group)):
            found += [_error(key, processes.limits)] if isinstance(key, Lost) else key
    return found


def _keys_of_few(group_by: str, files: Sequence[FoundFile]) -> list[StudyKey]:
    return list(study_keys(files, group_by))


def _error(lost: Lost, limits: TaskLimits) -> StudyError:
    """Reason why a process has no study to show."""
    if lost is Lost.TIMED_OUT:
        return TimedOutError(f"Reading the study took longer than {limits.seconds:g} s.")
    if lost is Lost.OUT_OF_MEMORY:
        return OutOfMemoryError()
    return ReaderEndedError("The process that read the study ended.")


def _failure(files: StudyFiles, error: StudyError) -> Failure:
    return Failure(files.id, tuple(files.paths), error)
