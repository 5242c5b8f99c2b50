"""The pipeline: study -> preprocess -> encode -> plan -> decode -> report."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from cxreport.decode import DecodeOptions, decode
from cxreport.encode import encode, encode_tags
from cxreport.errors import CxreportError, StudyError
from cxreport.plan import make_plan
from cxreport.preprocess import network_input
from cxreport.report import write_report
from cxreport.session import Model
from cxreport.types import Decoding, Encoding, Failure, Outcome, Report, Study

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerateOptions:
    """How reports are drafted."""

    batch_size: int = 8
    """Studies that travel through the networks together; the reports do not depend on it."""
    beam: int = 1
    """Beam width of the decoder; 1 is greedy."""
    tags_only: bool = False
    """Stop after the plan: no Findings, no Impression."""
    threshold: float | None = None
    """One threshold for all tags instead of the bundle's own."""
    evidence: str | None = None
    """For studies that come as tag probabilities: the classifier they are from; None takes them as they are."""


def generate(
    model: Model, studies: Iterable[Study | Failure], options: GenerateOptions | None = None
) -> Iterator[Outcome]:
    """Draft the report of every study, in order; failures stay in their places.

    Args:
        model: a loaded bundle.
        studies: from `read_studies` or `read_tag_table`; read one batch ahead, never all of them.
        options: how to draft.

    Yields:
        A report or a failure for each study. The study in a report holds the network's input as its pixels, so that
        results can be kept without keeping full-size images.

    Raises:
        CxreportError: what ends the run, as an unknown source of evidence does.
    """
    options = options or GenerateOptions()
    for batch in _batches(model.manifest.image_size, studies, options.batch_size):
        drafted = iter(_draft_safely(model, [item for item in batch if isinstance(item, _Read)], options))
        for item in batch:
            yield next(drafted) if isinstance(item, _Read) else item


@dataclass(frozen=True)
class _Read:
    """A study ready for the encoder, and the milliseconds that took."""

    study: Study
    timing_ms: dict[str, float]


@dataclass
class _Stopwatch:
    """Times stages."""

    timing_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the body takes to stage ``name``."""
        start = time.perf_counter()
        yield
        self.timing_ms[name] = self.timing_ms.get(name, 0.0) + 1000 * (time.perf_counter() - start)


def _batches(size: int, studies: Iterable[Study | Failure], length: int) -> Iterator[list[_Read | Failure]]:
    """Read and preprocess ``length`` studies at a time."""
    source = iter(studies)
    batch: list[_Read | Failure] = []
    while True:
        watch = _Stopwatch()
        with watch.stage("read"):
            study = next(source, None)
        if study is None:
            break
        batch.append(study if isinstance(study, Failure) else _preprocess(study, size, watch))
        if len(batch) == length:
            yield batch
            batch = []
    if batch:
        yield batch


def _preprocess(study: Study, size: int, watch: _Stopwatch) -> _Read | Failure:
    """Replace a study's pixels by the network input."""
    try:
        with watch.stage("preprocess"):
            if study.view is not None:
                study = replace(study, view=replace(study.view, pixels=network_input(study.view.pixels, size)))
    except Exception as error:
        return _failure(study, error)
    return _Read(study, watch.timing_ms)


def _draft_safely(model: Model, batch: list[_Read], options: GenerateOptions) -> list[Outcome]:
    """Draft a batch; where it fails, draft its studies one by one, so that only the culprit fails."""
    if not batch:
        return []
    try:
        return list(_draft(model, batch, options))
    except Exception as error:
        if isinstance(error, CxreportError) and not isinstance(error, StudyError):
            raise
        if len(batch) == 1:
            return [_failure(batch[0].study, error)]
        log.debug("a batch failed, its studies follow one by one", exc_info=error)
        return [outcome for item in batch for outcome in _draft_safely(model, [item], options)]


def _draft(model: Model, batch: list[_Read], options: GenerateOptions) -> Iterator[Report]:
    """Take a batch through the stages."""
    watch = _Stopwatch()
    manifest, studies = model.manifest, [item.study for item in batch]
    with watch.stage("encode"):
        encodings = _encode(model, studies)
    with watch.stage("plan"):
        plans = [
            make_plan(manifest, encoding, "head" if study.view else options.evidence, options.threshold)
            for study, encoding in zip(studies, encodings, strict=True)
        ]
    with watch.stage("decode"):
        if options.tags_only:
            decodings = [Decoding(())] * len(studies)
        else:
            decodings = decode(model, encodings, plans, DecodeOptions(beam=options.beam))
    with watch.stage("report"):
        reports = [
            write_report(manifest, *parts, options.threshold)
            for parts in zip(studies, encodings, plans, decodings, strict=True)
        ]
    shared = {stage: spent / len(batch) for stage, spent in watch.timing_ms.items()}
    for item, report in zip(batch, reports, strict=True):
        yield replace(report, timing_ms={**item.timing_ms, **shared})


def _encode(model: Model, studies: list[Study]) -> list[Encoding]:
    """Encode images in one batch and pass given tag probabilities on."""
    images = [study.view.pixels for study in studies if study.view is not None]
    encoded = iter(encode(model, images) if images else ())
    return [next(encoded) if study.view else encode_tags(model.manifest, study.tags or {}) for study in studies]


def _failure(study: Study, error: Exception) -> Failure:
    """Turn an exception into the failure of one study; an unexpected one is named by its kind alone."""
    log.debug("a study failed", exc_info=error)
    if not isinstance(error, CxreportError):
        error = CxreportError(f"{type(error).__name__} while drafting the report.")
    return Failure(study.id, study.sources, error)
