"""Evaluation on NIH ChestX-ray14: reports drafted from images, and the tags behind them, against labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from cxreport.datasets.nih import FINDINGS, LabelledImages, nih_targets, read_split
from cxreport.errors import UsageError
from cxreport.evaluate import tags
from cxreport.evaluate.abstention import AbstentionRates, abstain_on_altered, abstain_on_files, measure_abstention
from cxreport.evaluate.bootstrap import Draws, Figure, draw_studies
from cxreport.evaluate.certainty import CertaintyFigures, measure_certainty
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_files_reported
from cxreport.evaluate.judges import NO_JUDGES, JudgeFigures, JudgeFiles, measure_judges, read_relabels
from cxreport.evaluate.plan_agreement import (
    Agreement,
    GuardCounts,
    StatedClasses,
    count_guards,
    measure_agreement,
    planned_tags,
)
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.language import LanguageCounts, count_language
from cxreport.evaluate.text.variety import report_variety
from cxreport.model.session import Model
from cxreport.text import lexicon
from cxreport.text.labeler import CLASSES
from cxreport.text.scoring_conventions import JING_REPORT, SectionTexts
from cxreport.types import Position, Report, Study, View, ViewInfo

_SAMPLE_LABELS = ("Effusion", "Cardiomegaly", "Pneumothorax", "Emphysema", "No Finding", *FINDINGS)


@dataclass(frozen=True)
class ImageFigures:
    """Figures of the images of one folder, or of several together."""

    name: str
    images: int
    means: dict[str, Figure]
    """Means of AUC, AP and ECE over the findings with enough positives."""
    findings: dict[str, tags.FindingFigures]
    agreement: tuple[Agreement, ...]
    variety: dict[str, Figure]
    sentences: float
    """Mean number in a report."""
    guards: GuardCounts
    language: LanguageCounts
    ms_per_study: float


@dataclass(frozen=True)
class Sample:
    """Example of a report."""

    image: str
    label: str
    plan: dict[str, float]
    """Planned tag -> its probability."""
    findings: str
    impression: str


@dataclass(frozen=True)
class NihFigures:
    """Figures of the first folder alone, and of all of them together where there are several."""

    sets: tuple[ImageFigures, ...]
    reliability: dict[str, tags.ReliabilityBins]
    """Reliability diagrams of all images together, by finding."""
    samples: tuple[Sample, ...]
    """The first images, of the first folder, that have one label alone, whatever their reports are like."""
    judges: JudgeFigures
    """Of all images together, by others than their labels."""
    certainty: CertaintyFigures | None
    """How surely the reports of all images together speak; None for a bundle that plans nothing."""
    abstention: tuple[AbstentionRates, ...]
    """Rates on the images of each folder, on alterations of those of the first, and on real files of other kinds."""

    @property
    def signature(self) -> str:
        """Names and sizes of the folders."""
        return "nih val " + ", ".join(f"{images.name} ({images.images})" for images in self.sets)


def evaluate_nih(
    model: Model, folders: Sequence[Path], options: EvaluateOptions, judges: JudgeFiles = NO_JUDGES
) -> NihFigures:
    """Draft the val images and measure tags and reports.

    Args:
        model: a bundle whose tag head knows findings of NIH ChestX-ray14.
        folders: of its layout, each with a ``val_list.txt``.
        options: how much is measured.
        judges: files of other opinions of the images.

    Raises:
        UsageError: a file is missing or unusable, or the tag head knows other findings.
    """
    if not set(FINDINGS) & set(model.manifest.tag_names):
        raise UsageError("The bundle's tags are not the findings of NIH ChestX-ray14.")
    splits = read_val(folders, model.manifest.image_size, options.limit)
    drafted = [draft(model, image_studies(split), options) for split in splits]
    sets = [_measure(model, folders[0].name, drafted[0], splits[0].labels, options)]
    reports, images = reduce(add, drafted), reduce(add, splits)
    if len(folders) > 1:
        sets.append(_measure(model, " + ".join(folder.name for folder in folders), reports, images.labels, options))
    scores = _labelled_scores(model, reports, images.labels)
    bins = [tags.reliability_bins(*columns) for columns in zip(scores.probabilities.T, scores.labels.T, strict=True)]
    return NihFigures(
        sets=tuple(sets),
        reliability=dict(zip(scores.findings, bins, strict=True)),
        samples=_samples(drafted[0], splits[0].labels, options.samples),
        judges=measure_judges(images.names, scores, judges, options.bootstrap),
        certainty=measure_certainty(
            model.manifest,
            reports,
            images.labels,
            read_relabels(images.names, judges),
            draw_studies(len(reports), options.bootstrap),
            options.point,
        ),
        abstention=tuple(_abstention(model, folders, splits, options.bootstrap)),
    )


def _abstention(
    model: Model, folders: Sequence[Path], splits: Sequence[LabelledImages], resamples: int
) -> Iterator[AbstentionRates]:
    for folder, split in zip(folders, splits, strict=True):
        yield measure_abstention(model, f"{folder.name} as it is", split.pixels, resamples, plausible=True)
    yield from abstain_on_altered(model, splits[0].pixels, resamples)
    yield from abstain_on_files(model, resamples)


def read_val(folders: Sequence[Path], size: int, limit: int | None = None) -> list[LabelledImages]:
    """Read the val images of each folder, or the first ``limit`` of them, as network input of a side of ``size``.

    Raises:
        UsageError: a file is missing.
    """
    with missing_files_reported():
        splits = [read_split(folder, "val", size) for folder in folders]
    return [LabelledImages(split.pixels[:limit], split.labels[:limit], split.names[:limit]) for split in splits]


def image_studies(images: LabelledImages) -> list[Study]:
    """Studies to draft from, one for each image."""
    return [
        Study(name, (name,), View(ViewInfo(name, 0, Position.UNKNOWN), pixels))
        for name, pixels in zip(images.names, images.pixels, strict=True)
    ]


def _labelled_scores(model: Model, reports: Sequence[Report], labels: tags.Scores) -> tags.LabelledScores:
    """Scores of the findings that both the bundle and the labels (N, 14) have."""
    head_columns = {tag.name: i for i, tag in enumerate(model.manifest.tags)}
    findings = tuple(name for name in FINDINGS if name in head_columns)
    columns = [head_columns[name] for name in findings]
    probabilities = np.array([[tag.probability for tag in report.tags] for report in reports], np.float32)
    thresholds = np.array([tag.threshold for tag in model.manifest.tags], np.float32)
    return tags.LabelledScores(
        findings=findings,
        probabilities=probabilities[:, columns],
        labels=labels[:, [FINDINGS.index(name) for name in findings]],
        thresholds=thresholds[columns],
    )


def _measure(
    model: Model, name: str, reports: Sequence[Report], labels: tags.Scores, options: EvaluateOptions
) -> ImageFigures:
    draws = draw_studies(len(reports), options.bootstrap)
    texts = [JING_REPORT.text(SectionTexts.of(report)) for report in reports]
    scores = _labelled_scores(model, reports, labels)
    return ImageFigures(
        name=name,
        images=len(reports),
        means=tags.measure_means(scores, draws),
        findings=tags.measure_findings(scores, draws),
        agreement=_agreement(reports, texts, labels, draws),
        variety=report_variety(texts, labels.sum(1) > 0),
        sentences=float(np.mean([len(report.findings + report.impression) for report in reports])),
        guards=count_guards(reports, model.manifest.lexicon),
        language=count_language([SectionTexts.of(report) for report in reports]),
        ms_per_study=mean_milliseconds(reports),
    )


def mean_milliseconds(reports: Sequence[Report]) -> float:
    """Mean time of a report, over all stages."""
    return float(np.mean([sum(report.timing_ms.values()) for report in reports]))


def _agreement(
    reports: Sequence[Report], texts: Sequence[str], labels: tags.Scores, draws: Draws
) -> tuple[Agreement, ...]:
    plans = [planned_tags(report) for report in reports]
    evidence = lexicon.packaged().nih_findings
    positives = [{tag.name for tag in report.tags if tag.positive} for report in reports]
    agreements = []
    for reader, (classes, report) in read_nih_classes(texts).items():
        statements = StatedClasses(
            labels=nih_targets(labels, classes, FINDINGS) > 0,
            report=report,
            plan=np.array([[name in plan for name in classes] for plan in plans]),
            tags=np.array([[bool(positive & set(evidence[name])) for name in classes] for positive in positives]),
        )
        agreements.append(measure_agreement(reader, classes, statements, draws))
    return tuple(agreements)


def read_nih_classes(texts: Sequence[str]) -> dict[str, tuple[tuple[str, ...], clinical.Statements]]:
    """Read N texts with the labeler, and with the lexicon, which knows more of the NIH findings.

    Returns:
        Reader -> the C classes that NIH labels speak for, and (N, C) which of them each text states.
    """
    tags_of_nih = tuple(lexicon.packaged().nih_findings)
    shared = tuple(name for name in CLASSES if name in tags_of_nih)
    columns = [CLASSES.index(name) for name in shared]
    affirmed = [lexicon.packaged().affirmed(text) for text in texts]
    return {
        "labeler": (shared, clinical.read_classes(texts)[:, columns]),
        "lexicon": (tags_of_nih, np.array([[name in names for name in tags_of_nih] for names in affirmed])),
    }


def _samples(reports: Sequence[Report], labels: tags.Scores, count: int) -> tuple[Sample, ...]:
    """Take the first image of each of some labels."""
    samples: list[Sample] = []
    for finding in tuple(dict.fromkeys(_SAMPLE_LABELS)):
        alone = np.array([finding == name for name in FINDINGS], np.float32)
        rows = np.flatnonzero((labels == alone).all(1))
        if len(rows) and len(samples) < count:
            samples.append(_sample(reports[int(rows[0])], finding))
    return tuple(samples)


def _sample(report: Report, label: str) -> Sample:
    text = SectionTexts.of(report)
    return Sample(
        image=report.study.id,
        label=label,
        plan={planned.tag: planned.probability for planned in report.plan},
        findings=text.findings,
        impression=text.impression,
    )
