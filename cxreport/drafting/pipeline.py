"""The pipeline: study -> preprocess -> encode -> plan -> decode -> report, and the nearest reports of an index."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.drafting.report import write_report
from cxreport.errors import UsageError
from cxreport.model.encode import check_typical, encode, encode_tags
from cxreport.model.session import Model
from cxreport.reading.batches import draft_safely, preprocessed_batches
from cxreport.stopwatch import Stopwatch
from cxreport.types import Draft, Failure, OperatingPoint, Outcome, Report, Study

if TYPE_CHECKING:
    from cxreport.retrieval.index import Index


@dataclass(frozen=True)
class GenerateOptions:
    """Options of drafting."""

    batch_size: int = 8
    """Studies that travel through the networks together; the reports do not depend on it."""
    beam: int = 1
    """Beam width of the decoder; 1 is greedy."""
    tags_only: bool = False
    """Stop after the plan: no Findings, no Impression."""
    threshold: float | None = None
    """One threshold for all tags instead of the bundle's own."""
    point: OperatingPoint = OperatingPoint.BALANCED
    """The bundle's limits from which findings are told, where there is no threshold."""
    evidence: str | None = None
    """Classifier of studies that come as tag probabilities; None takes the probabilities as they are."""
    force: bool = False
    """Draft also from images that do not look like a chest radiograph."""
    attention: bool = False
    """Map sentences and words to the patches of the image, in `Sentence.map`."""
    index: Index | None = None
    """Index of reports to search for the nearest ones, opened with the model's manifest; None for no search."""
    neighbours: int = 3
    """Number of nearest reports."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            UsageError: one does.
        """
        if min(self.batch_size, self.beam, self.neighbours) < 1:
            raise UsageError("batch_size, beam and neighbours are 1 or more.")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold is a probability from 0 to 1, not {self.threshold!r}.")


def generate(
    model: Model, studies: Iterable[Study | Failure], options: GenerateOptions | None = None
) -> Iterator[Outcome]:
    """Draft the report of every study, in order; failures stay in their places.

    Args:
        model: a loaded bundle.
        studies: from `read_studies` or `read_tag_table`; read one batch ahead, never all of them.
        options: of drafting.

    Yields:
        A report or a failure for each study. The study in a report holds the network's input as its pixels, so that
        results can be kept without keeping full-size images.

    Raises:
        CxreportError: for an error of the whole run, such as an unknown source of evidence.
    """
    options = options or GenerateOptions()
    for batch in preprocessed_batches(studies, model.manifest.input_shape, options.batch_size):
        yield from draft_safely(lambda group: _Stages(model, options).run(group), batch)


@dataclass(frozen=True)
class _Stages:
    """Stages of one batch of preprocessed studies, and the time that they take."""

    model: Model
    options: GenerateOptions
    watch: Stopwatch = field(default_factory=Stopwatch)

    def run(self, studies: list[Study]) -> list[Report]:
        """Preprocessed studies -> encode -> plan -> decode -> report, and the nearest reports."""
        drafts = self.encode(studies)
        drafts = [self.plan(draft) for draft in drafts]
        drafts = self.decode(drafts)
        reports = [self.retrieve(draft, self.report(draft)) for draft in drafts]
        return [self.timed(report, len(reports)) for report in reports]

    def encode(self, studies: list[Study]) -> list[Draft]:
        """Encode the images of the batch; tag probabilities stand in for an image."""
        manifest = self.model.manifest
        with self.watch.stage("encode"):
            images = iter(encode(self.model, [study.view.pixels for study in studies if study.view]))
            encodings = [next(images) if study.view else encode_tags(manifest, study.tags or {}) for study in studies]
            return [
                Draft(study, encoding, warnings=check_typical(manifest, encoding, self.options.force))
                for study, encoding in zip(studies, encodings, strict=True)
            ]

    def plan(self, draft: Draft) -> Draft:
        """Decide which reporting tags the report states and denies."""
        source = HEAD if draft.study.view else self.options.evidence
        with self.watch.stage("plan"):
            plan = make_plan(self.model.manifest, draft.encoding, source, self.options.threshold, self.options.point)
        return replace(draft, plan=plan)

    def decode(self, drafts: list[Draft]) -> list[Draft]:
        """Write the sentences of the batch, as word ids."""
        if self.options.tags_only:
            return drafts
        encodings, plans = [draft.encoding for draft in drafts], [draft.plan for draft in drafts]
        options = DecodeOptions(beam=self.options.beam, attention=self.options.attention)
        decodings = decode(self.model, encodings, plans, options, self.watch)
        exact = self.model.manifest.decoding.exact
        return [
            replace(draft, decoding=decoding, worded=exact) for draft, decoding in zip(drafts, decodings, strict=True)
        ]

    def report(self, draft: Draft) -> Report:
        """Put a draft into words."""
        with self.watch.stage("report"):
            options = self.options
            maps, point = options.attention, options.point
            return write_report(self.model.manifest, draft, options.threshold, maps=maps, point=point)

    def retrieve(self, draft: Draft, report: Report) -> Report:
        """Put the nearest reports of the index, if there is one, beside a report."""
        if self.options.index is None:
            return report
        from cxreport.retrieval.index import add_similar  # runs without an index start without

        with self.watch.stage("retrieve"):
            return add_similar(self.options.index, report, draft.encoding, self.options.neighbours)

    def timed(self, report: Report, studies: int) -> Report:
        """Give a report the times of its study, its share of those of the batch, and the time of day."""
        shares = {stage: time / studies for stage, time in self.watch.timing_ms.items()}
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        return replace(report, timing_ms={**report.study.timing_ms, **shares}, drafted_at=now)
