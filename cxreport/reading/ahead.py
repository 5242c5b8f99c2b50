"""Reading beside inference: studies come as the network's input, read ahead in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Generator, Iterable
from pathlib import Path

from cxreport.errors import ReaderEndedError
from cxreport.model.cpus import usable_cpus
from cxreport.reading.batches import preprocess
from cxreport.reading.discover import Group, index
from cxreport.reading.study import ReadOptions, read_group
from cxreport.types import Failure, Study

_LEAST_STUDIES = 16
"""Fewer are read sooner than a process starts."""
_MAX_WORKERS = 8


def read_ahead(
    paths: Iterable[Path], options: ReadOptions, size: int, channels: int, workers: int | None = None
) -> Generator[Study | Failure, None, None]:
    """Find, group, read and preprocess studies, as `read_studies` and `pipeline.generate` do one after the other.

    Args:
        paths: files, and folders to search.
        options: what to accept.
        size: side of the network input in pixels.
        channels: of the network input.
        workers: processes that read; 0 reads in this one, when a study's turn comes. None chooses by the number of
            studies and CPUs.

    Yields:
        The same studies and failures in the same order, whatever the number of workers. A study that ends the
        process that reads it is a failure. Close the iterator to end the processes early.
    """
    groups = index(paths, options.group_by)
    if workers is None:
        workers = default_workers(len(groups))
    read = functools.partial(_read, options, size, channels)
    workers = min(workers, len(groups))
    if not workers:
        for group in groups:
            yield from read(group)
        return
    from cxreport.reading.workers import map_ahead  # few files do without

    with contextlib.closing(map_ahead(read, groups, workers)) as results:
        for group, found in zip(groups, results, strict=True):
            yield from [_lost(group)] if found is None else found


def default_workers(studies: int) -> int:
    """Choose how many processes read: none for few studies, on one CPU, and where Python cannot be started once more.

    As many as CPUs, beside an encoder with as many threads, finish first: whichever of the two is ahead waits for the
    other, and leaves it the CPUs meanwhile.
    """
    cpus = usable_cpus()
    if studies < _LEAST_STUDIES or cpus == 1 or not sys.executable or getattr(sys, "frozen", False):
        return 0
    return min(cpus, _MAX_WORKERS)


def _read(options: ReadOptions, size: int, channels: int, group: Group) -> list[Study | Failure]:
    """Read and preprocess one study."""
    return [
        preprocess(outcome, size, channels) if isinstance(outcome, Study) else outcome
        for outcome in read_group(group, options)
    ]


def _lost(group: Group) -> Failure:
    return Failure(group.id, tuple(group.members), ReaderEndedError("The process that read the study ended."))
