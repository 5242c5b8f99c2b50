"""Batches of studies on their way through the pipeline: reading ahead, timing, and who is to blame for an error."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cxreport.errors import CxreportError, StudyError
from cxreport.preprocess import network_input
from cxreport.types import Failure, Study

log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Read:
    """A study ready for the encoder, and the milliseconds that took."""

    study: Study
    timing_ms: dict[str, float]


@dataclass
class Stopwatch:
    """Times stages."""

    timing_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the body takes to stage ``name``."""
        start = time.perf_counter()
        yield
        self.timing_ms[name] = self.timing_ms.get(name, 0.0) + 1000 * (time.perf_counter() - start)


def batches(
    size: int, channels: int, studies: Iterable[Study | Failure], length: int
) -> Iterator[list[Read | Failure]]:
    """Read and preprocess ``length`` studies at a time."""
    source = iter(studies)
    batch: list[Read | Failure] = []
    while True:
        watch = Stopwatch()
        with watch.stage("read"):
            study = next(source, None)
        if study is None:
            break
        batch.append(study if isinstance(study, Failure) else _preprocess(study, size, channels, watch))
        if len(batch) == length:
            yield batch
            batch = []
    if batch:
        yield batch


def _preprocess(study: Study, size: int, channels: int, watch: Stopwatch) -> Read | Failure:
    """Replace a study's pixels by the network input."""
    try:
        with watch.stage("preprocess"):
            if study.view is not None:
                pixels = network_input(study.view.pixels, size, channels)
                study = replace(study, view=replace(study.view, pixels=pixels))
    except Exception as error:
        return _failure(study, error)
    return Read(study, watch.timing_ms)


def draft_safely(draft: Callable[[list[Read]], Iterable[_T]], batch: list[Read]) -> list[_T | Failure]:
    """Draft a batch; where that fails, its studies one by one, so that only the culprit fails.

    Raises:
        CxreportError: what is wrong with the run, not with a study.
    """
    if not batch:
        return []
    try:
        return list(draft(batch))
    except Exception as error:
        if isinstance(error, CxreportError) and not isinstance(error, StudyError):
            raise
        if len(batch) == 1:
            return [_failure(batch[0].study, error)]
        log.debug("a batch failed, its studies follow one by one", exc_info=error)
        return [outcome for item in batch for outcome in draft_safely(draft, [item])]


def _failure(study: Study, error: Exception) -> Failure:
    """Turn an exception into the failure of one study; an unexpected one is named by its kind alone."""
    log.debug("a study failed", exc_info=error)
    if not isinstance(error, CxreportError):
        error = CxreportError(f"{type(error).__name__} while drafting the report.")
    return Failure(study.id, study.sources, error)
