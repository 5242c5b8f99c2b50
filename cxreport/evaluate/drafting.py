"""Drafting the reports that are to be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.errors import UsageError
from cxreport.model.session import Model
from cxreport.types import Failure, Report, Study

_BATCH = 32


@dataclass(frozen=True)
class EvaluateOptions:
    """How much is measured."""

    bootstrap: int = 1000
    """Resamples of the intervals; 0 gives none."""
    limit: int | None = None
    """Only so many studies of a split, the first ones."""
    samples: int = 0
    """Images whose reports are kept as examples."""
    from_images: bool = False
    """Draft Open-I's reports from their own images instead of a classifier's probabilities."""
    drafted: Callable[[int], None] = lambda studies: None
    """Is told how many reports of a split are drafted."""


def draft(
    model: Model,
    studies: Iterable[Study | Failure],
    options: EvaluateOptions,
    evidence: str | None = None,
    attention: bool = False,
) -> list[Report]:
    """Draft the reports of all studies, also where the bundle would refuse the image.

    Args:
        model: a loaded bundle.
        studies: to draft from.
        options: who is told of the progress.
        evidence: the classifier that tag probabilities are from.
        attention: whether the reports get maps.

    Raises:
        CxreportError: that of the first study that failed, as figures over the others would flatter.
    """
    reports = []
    how = GenerateOptions(_BATCH, evidence=evidence, force=True, attention=attention)
    for outcome in generate(model, studies, how):
        if isinstance(outcome, Failure):
            raise outcome.error
        reports.append(outcome)
        options.drafted(len(reports))
    return reports


@contextmanager
def missing_data_told() -> Iterator[None]:
    """Tell the user which file of a data folder is not there.

    Raises:
        UsageError: in place of a FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError as error:
        message = f"{error.filename}: not found." if error.filename else f"{error}."
        raise UsageError(message, hint="docs/evaluation.md describes the layouts of the data folders.") from error
