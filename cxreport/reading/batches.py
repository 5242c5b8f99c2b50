"""Batches of studies: preprocessed once each, and drafted so that an error fails its own study only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from cxreport.errors import CxreportError, NotAChestRadiographError, StudyError, UsageError
from cxreport.reading.network_input import drafting_failure, preprocess
from cxreport.types import Failure, InputShape, Study, View

log = logging.getLogger(__name__)
_T = TypeVar("_T")
_STUDIES_HINT = "Studies come from read_studies, read_study, read_image and read_tag_table."


def preprocessed_batches(
    studies: Iterable[Study | Failure], shape: InputShape, length: int
) -> Iterator[list[Study | Failure]]:
    """Take ``length`` studies at a time, each with the network's input as its pixels."""
    batch: list[Study | Failure] = []
    if isinstance(studies, Study | str):
        raise UsageError(f"A {type(studies).__name__} is no list of studies.", hint=_STUDIES_HINT)
    for study in studies:
        if not isinstance(study, Study | Failure):
            raise UsageError(f"A {type(study).__name__} is no study.", hint=_STUDIES_HINT)
        batch.append(study if isinstance(study, Failure) else preprocess(study, shape))
        if len(batch) == length:
            yield batch
            batch = []
    if batch:
        yield batch


def draft_safely(draft: Callable[[list[Study]], Iterable[_T]], batch: Sequence[Study | Failure]) -> list[_T | Failure]:
    """Draft a batch; where that fails, its studies one by one, so that only the culprit fails.

    Returns:
        Outcomes in the order of the batch, whose failures stay in their places.

    Raises:
        CxreportError: what is wrong with the run, not with a study.
    """
    outcomes = iter(_draft(draft, [study for study in batch if isinstance(study, Study)]))
    return [next(outcomes) if isinstance(study, Study) else study for study in batch]


def _draft(draft: Callable[[list[Study]], Iterable[_T]], studies: list[Study]) -> list[_T | Failure]:
    """Outcomes of studies without failures among them."""
    if not studies:
        return []
    try:
        return list(draft(studies))
    except Exception as error:
        if isinstance(error, CxreportError) and not isinstance(error, StudyError):
            raise
        if len(studies) == 1:
            return _draft_next_view(draft, studies[0], error)
        log.debug("a batch failed, its studies follow one by one", exc_info=error)
        return [outcome for study in studies for outcome in _draft(draft, [study])]


def _draft_next_view(
    draft: Callable[[list[Study]], Iterable[_T]], study: Study, error: Exception
) -> list[_T | Failure]:
    """Outcomes of a study with the next of its views that is not refused; the failure of the first one without any."""
    if not isinstance(error, NotAChestRadiographError):
        return [drafting_failure(study, error)]
    if study.view is not None and study.next_view is not None:
        following = study.next_view(error.message)
        prepared = following if isinstance(following, Failure) else preprocess(following, _shape(study.view))
        if isinstance(prepared, Study):
            outcomes = _draft(draft, [prepared])
            if not any(isinstance(outcome, Failure) for outcome in outcomes):
                return outcomes
    explained = NotAChestRadiographError(" ".join((error.message, *study.doubts)), hint=error.hint)
    return [drafting_failure(study, explained)]


def _shape(view: View) -> InputShape:
    """The shape that a preprocessed view has."""
    return InputShape(len(view.pixels), view.pixels.shape[2] if view.pixels.ndim > 2 else 1)
