"""Reports drafted from images of NIH ChestX-ray14, and the tags behind them, against the labels of the images."""

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
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_data_told
from cxreport.evaluate.guards import Agreement, GuardCounts, count_guards, measure_agreement, planned_tags
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.variety import variety
from cxreport.model.session import Model
from cxreport.text import lexicon
from cxreport.text.conventions import JING_REPORT, SectionTexts
from cxreport.text.labeler import CLASSES
from cxreport.types import Position, Report, Study, View, ViewInfo

_SAMPLED = ("Effusion", "Cardiomegaly", "Pneumothorax", "Emphysema", "No Finding", *FINDINGS)


@dataclass(frozen=True)
class ImageFigures:
    """Everything measured on one folder, or on several together."""

    name: str
    images: int
    means: dict[str, Figure]
    """Of AUC, AP and ECE over the findings with enough positives."""
    findings: dict[str, tags.FindingFigures]
    agreement: tuple[Agreement, ...]
    variety: dict[str, Figure]
    sentences: float
    """Mean number in a report."""
    guards: GuardCounts
    ms_per_study: float


@dataclass(frozen=True)
class Sample:
    """The report of an image, as an example."""

    image: str
    label: str
    plan: dict[str, float]
    """Planned tag -> its probability."""
    findings: str
    impression: str


@dataclass(frozen=True)
class NihFigures:
    """The first folder alone, and all of them together where there are several."""

    sets: tuple[ImageFigures, ...]
    reliability: dict[str, tags.ReliabilityBins]
    """Of all images together."""
    samples: tuple[Sample, ...]
    """The first images, of the first folder, that have one label alone, whatever their reports are like."""
    abstention: tuple[AbstentionRates, ...]
    """On the images of each folder, on what can be made of those of the first, and on real files of other kinds."""


def evaluate_nih(model: Model, folders: Sequence[Path], options: EvaluateOptions) -> NihFigures:
    """Draft the val images and measure tags and reports.

    Args:
        model: a bundle whose tag head knows findings of NIH ChestX-ray14.
        folders: of its layout, each with a ``val_list.txt``.
        options: how much is measured.

    Raises:
        UsageError: a file is missing, or the tag head knows other findings.
    """
    if not set(FINDINGS) & set(model.manifest.tag_names):
        raise UsageError("The bundle's tags are not the findings of NIH ChestX-ray14.")
    splits = read_val(folders, model.manifest.image_size, options.limit)
    drafted = [draft(model, image_studies(split), options) for split in splits]
    sets = [_measure(model, folders[0].name, drafted[0], splits[0].labels, options)]
    everything = reduce(add, drafted), reduce(add, splits)
    if len(folders) > 1:
        name = " + ".join(folder.name for folder in folders)
        sets.append(_measure(model, name, everything[0], everything[1].labels, options))
    scores, labels, names, _ = _aligned(model, everything[0], everything[1].labels)
    bins = {name: tags.reliability_bins(scores[:, i], labels[:, i]) for i, name in enumerate(names)}
    samples = _samples(drafted[0], splits[0].labels, options.samples)
    return NihFigures(tuple(sets), bins, samples, tuple(_abstention(model, folders, splits, options.bootstrap)))


def _abstention(
    model: Model, folders: Sequence[Path], splits: Sequence[LabelledImages], resamples: int
) -> Iterator[AbstentionRates]:
    for folder, split in zip(folders, splits, strict=True):
        yield measure_abstention(model, f"{folder.name} as it is", split.pixels, resamples, plausible=True)
    yield from abstain_on_altered(model, splits[0].pixels, resamples)
    yield from abstain_on_files(model, resamples)


def read_val(folders: Sequence[Path], size: int, limit: int | None = None) -> list[LabelledImages]:
    """The val images of each folder, or the first ``limit`` of them, as network input of a side of ``size``.

    Raises:
        UsageError: a file is missing.
    """
    with missing_data_told():
        splits = [read_split(folder, "val", size) for folder in folders]
    return [LabelledImages(split.pixels[:limit], split.labels[:limit], split.names[:limit]) for split in splits]


def image_studies(images: LabelledImages) -> list[Study]:
    """Images as studies to draft from."""
    return [
        Study(name, (name,), View(ViewInfo(name, 0, Position.UNKNOWN), pixels))
        for name, pixels in zip(images.names, images.pixels, strict=True)
    ]


def _aligned(
    model: Model, reports: Sequence[Report], labels: tags.Scores
) -> tuple[tags.Scores, tags.Scores, tuple[str, ...], tags.Scores]:
    """Probabilities, labels, names and thresholds of the findings that both the bundle and the labels have."""
    own = {tag.name: i for i, tag in enumerate(model.manifest.tags)}
    names = tuple(name for name in FINDINGS if name in own)
    columns = [own[name] for name in names]
    scores = np.array([[tag.probability for tag in report.tags] for report in reports], np.float32)
    thresholds = np.array([tag.threshold for tag in model.manifest.tags], np.float32)
    return scores[:, columns], labels[:, [FINDINGS.index(name) for name in names]], names, thresholds[columns]


def _measure(
    model: Model, name: str, reports: Sequence[Report], labels: tags.Scores, options: EvaluateOptions
) -> ImageFigures:
    draws = draw_studies(len(reports), options.bootstrap)
    texts = [JING_REPORT.text(SectionTexts.of(report)) for report in reports]
    scores, truth, names, thresholds = _aligned(model, reports, labels)
    return ImageFigures(
        name,
        len(reports),
        tags.measure_means(scores, truth, draws),
        tags.measure_findings(scores, truth, names, thresholds, draws),
        _agreement(reports, texts, labels, draws),
        variety(texts, labels.sum(1) > 0),
        float(np.mean([len(report.findings + report.impression) for report in reports])),
        count_guards(reports, model.manifest.lexicon),
        float(np.mean([sum(report.timing_ms.values()) for report in reports])),
    )


def _agreement(
    reports: Sequence[Report], texts: Sequence[str], labels: tags.Scores, draws: Draws
) -> tuple[Agreement, ...]:
    plans = [planned_tags(report) for report in reports]
    evidence = lexicon.packaged().nih_findings
    positives = [{tag.name for tag in report.tags if tag.positive} for report in reports]
    return tuple(
        measure_agreement(
            reader,
            classes,
            nih_targets(labels, classes, FINDINGS) > 0,
            told,
            np.array([[name in plan for name in classes] for plan in plans]),
            np.array([[bool(positive & set(evidence[name])) for name in classes] for positive in positives]),
            draws,
        )
        for reader, (classes, told) in read_nih_classes(texts).items()
    )


def read_nih_classes(texts: Sequence[str]) -> dict[str, tuple[tuple[str, ...], clinical.Stated]]:
    """Read N texts with the labeler, and with the lexicon, which knows more of the NIH findings.

    Returns:
        Who read -> the C classes that NIH labels speak for, and (N, C) which of them each text states.
    """
    tags_of_nih = tuple(lexicon.packaged().nih_findings)
    shared = tuple(name for name in CLASSES if name in tags_of_nih)
    columns = [CLASSES.index(name) for name in shared]
    affirmed = [lexicon.packaged().affirmed(text) for text in texts]
    return {
        "labeler": (shared, clinical.read_classes(texts)[:, columns]),
        "lexicon": (tags_of_nih, np.array([[name in stated for name in tags_of_nih] for stated in affirmed])),
    }


def _samples(reports: Sequence[Report], labels: tags.Scores, count: int) -> tuple[Sample, ...]:
    """Take the first image of each of some labels."""
    samples: list[Sample] = []
    for finding in tuple(dict.fromkeys(_SAMPLED)):
        alone = np.array([finding == name for name in FINDINGS], np.float32)
        found = np.flatnonzero((labels == alone).all(1))
        if len(found) and len(samples) < count:
            report = reports[int(found[0])]
            text = SectionTexts.of(report)
            plan = {planned.tag: planned.probability for planned in report.plan}
            samples.append(Sample(report.study.id, finding, plan, text.findings, text.impression))
    return tuple(samples)
