"""The pipeline: study -> preprocess -> encode -> plan -> decode -> report, and the nearest reports of an index."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.plan import make_plan
from cxreport.drafting.report import write_report
from cxreport.model.encode import check_typical, encode, encode_tags
from cxreport.model.session import Model
from cxreport.reading.batches import batches, draft_safely
from cxreport.reading.stopwatch import Stopwatch
from cxreport.retrieval.index import Index, add_similar
from cxreport.types import Decoding, Encoding, Failure, Outcome, Report, Study


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
    force: bool = False
    """Draft also from images that do not look like a chest radiograph."""
    attention: bool = False
    """Tie sentences and words to the patches of the image, in `Report.maps`."""
    index: Index | None = None
    """Where to look for the nearest reports, opened with the model's manifest; None for no such look."""
    neighbours: int = 3
    """How many of them."""


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
    draft = functools.partial(_draft, model, options)
    size, channels = model.manifest.image_size, model.manifest.channels
    for batch in batches(size, channels, studies, options.batch_size):
        drafted = iter(draft_safely(draft, [study for study in batch if isinstance(study, Study)]))
        for study in batch:
            yield next(drafted) if isinstance(study, Study) else study


def _draft(model: Model, options: GenerateOptions, studies: list[Study]) -> Iterator[Report]:
    """Take a batch through the stages."""
    watch = Stopwatch()
    manifest = model.manifest
    with watch.stage("encode"):
        encodings = _encode(model, studies)
        warnings = [check_typical(manifest, encoding, options.force) for encoding in encodings]
    with watch.stage("plan"):
        plans = [
            make_plan(manifest, encoding, "head" if study.view else options.evidence, options.threshold)
            for study, encoding in zip(studies, encodings, strict=True)
        ]
    if options.tags_only:
        decodings = [Decoding(())] * len(studies)
    else:
        how = DecodeOptions(beam=options.beam, attention=options.attention)
        decodings = decode(model, encodings, plans, how, watch)
    with watch.stage("report"):
        reports = [
            write_report(manifest, study, encoding, plan, decoding, options.threshold, doubts, options.attention)
            for study, encoding, plan, decoding, doubts in zip(
                studies, encodings, plans, decodings, warnings, strict=True
            )
        ]
    if options.index is not None:
        with watch.stage("retrieve"):
            reports = [
                add_similar(options.index, report, encoding, options.neighbours)
                for report, encoding in zip(reports, encodings, strict=True)
            ]
    shared = {stage: spent / len(studies) for stage, spent in watch.timing_ms.items()}
    for report in reports:
        yield replace(report, timing_ms={**report.study.timing_ms, **shared})


def _encode(model: Model, studies: list[Study]) -> list[Encoding]:
    """Encode images in one batch and pass given tag probabilities on."""
    images = [study.view.pixels for study in studies if study.view is not None]
    encoded = iter(encode(model, images) if images else ())
    return [next(encoded) if study.view else encode_tags(model.manifest, study.tags or {}) for study in studies]
