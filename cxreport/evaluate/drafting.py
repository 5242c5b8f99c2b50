"""Extent of an evaluation, and the drafting and encoding of the images that it measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from cxreport import __version__
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.errors import UsageError
from cxreport.model.encode import encode
from cxreport.model.session import Model
from cxreport.reading.network_input import network_input
from cxreport.types import Encoding, Failure, Grey, OperatingPoint, Report, Study

BATCH = 32
"""Images that run together."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Extent of an evaluation."""

    bootstrap: int = 1000
    """Resamples of the intervals; 0 gives none."""
    limit: int | None = None
    """Studies of a split, the first ones; None takes all."""
    samples: int = 0
    """Images whose reports are kept as examples."""
    from_images: bool = False
    """Draft Open-I's reports from their own images instead of a classifier's probabilities."""
    point: OperatingPoint = OperatingPoint.BALANCED
    """Limits from which reports tell findings."""
    report_progress: Callable[[int], None] = lambda studies: None
    """Called with the number of reports of a split that are drafted."""

    @property
    def signature(self) -> str:
        """Intervals, limit and program, as a signature has them."""
        limit = f", first {self.limit} only" if self.limit else ""
        point = "" if self.point is OperatingPoint.BALANCED else f" | {self.point} operating point"
        return f"95 % of {self.bootstrap} resamples{limit}{point} | cxreport {__version__}"


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
        options: for its progress.
        evidence: the classifier that tag probabilities are from.
        attention: whether the reports get maps.

    Raises:
        CxreportError: that of the first study that failed, as figures over the others would flatter.
    """
    reports = []
    settings = GenerateOptions(
        batch_size=BATCH, evidence=evidence, force=True, attention=attention, point=options.point
    )
    for outcome in generate(model, studies, settings):
        if isinstance(outcome, Failure):
            raise outcome.error
        reports.append(outcome)
        options.report_progress(len(reports))
    return reports


def encode_images(model: Model, images: Iterable[Grey]) -> Iterator[Encoding]:
    """Encode grey images (H, W) batch by batch, also by a bundle that takes colours."""
    size, channels = model.manifest.image_size, model.manifest.channels
    remaining = iter(images)
    while batch := list(islice(remaining, BATCH)):
        yield from encode(model, [network_input(image, size, channels) for image in batch])


@contextmanager
def missing_files_reported() -> Iterator[None]:
    """Name the file that a data folder lacks.

    Raises:
        UsageError: in place of a FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError as error:
        message = f"{error.filename}: not found." if error.filename else f"{error}."
        raise UsageError(message, hint="docs/evaluation.md describes the layouts of the data folders.") from error
