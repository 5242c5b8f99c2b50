"""Several bundles on the same val data: NIH images against their labels, and texts against Open-I's reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from cxreport import __version__
from cxreport.datasets import openi
from cxreport.datasets.nih import FINDINGS, LabelledImages, nih_targets
from cxreport.errors import UsageError
from cxreport.evaluate import baselines
from cxreport.evaluate.bootstrap import Figure, draw_studies, mean_statistics
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_data_told
from cxreport.evaluate.nih import image_studies, read_nih_classes, read_val
from cxreport.evaluate.openi import EVIDENCE, sections, split_name
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.variety import variety
from cxreport.model.choices import Precision
from cxreport.model.manifest import Manifest
from cxreport.model.precision import load_model
from cxreport.model.session import Model
from cxreport.text import lexicon
from cxreport.text.conventions import JING_REPORT, R2GEN_FINDINGS, Preparer, SectionTexts
from cxreport.text.labeler import label
from cxreport.train.data.pseudo_pairs import nih_vector, stand_ins
from cxreport.types import Floats, Report, Study

SENTENCES = "sentences"
OWN = -1
"""In place of a stand-in: the report's own image is there."""


@dataclass(frozen=True)
class SystemFigures:
    """What one system writes."""

    name: str
    """Of the bundle, which is that of its recipe; or of a baseline."""
    architecture: str | None
    """None of a baseline, which sees no image."""
    sha256: str | None
    """Of the bundle's ``model.json``."""
    images: dict[str, Figure]
    """Of the reports of the NIH images: ``F1, <reader> micro`` and ``macro`` of what they state against the labels, by
    the readers of `read_nih_classes`; `SENTENCES`, the mean number in a report; those of `variety`."""
    texts: dict[str, Figure]
    """Against Open-I's reports, those of `captions`, `clinical` and `variety`."""
    ms_per_study: float | None
    """Of the NIH images; None of a baseline."""


@dataclass(frozen=True)
class Comparison:
    """Systems measured on the same images and the same references."""

    signature: str
    images: int
    """Of NIH."""
    reports: int
    """Of Open-I, with the section that is compared."""
    abnormal: int
    """Reports among them that state a finding."""
    own: int
    """Reports with an image of their own, from which all systems drafted."""
    stand_ins: int
    """Different NIH images that stand in for those of the other reports."""
    systems: tuple[SystemFigures, ...]
    """As they were given, then the baselines."""


@dataclass(frozen=True, eq=False)
class _Data:
    """What is the same for all systems."""

    labels: Floats
    """(N, 14) of the NIH images."""
    train: list[SectionTexts]
    """Train reports with the section that is compared."""
    val: list[openi.OpeniReport]
    """M val reports with that section."""
    images: list[int]
    """M indices of the NIH images that stand in for their images, or `OWN`."""


@dataclass(frozen=True)
class _Written:
    """What a system wrote."""

    images: list[SectionTexts]
    """N, of the NIH images."""
    texts: list[SectionTexts]
    """M, that have to do with the val reports."""
    sentences: list[int]
    """N, of the NIH images."""


def compare(
    bundles: Sequence[Path],
    folder: Path,
    folders: Sequence[Path],
    options: EvaluateOptions,
    precision: Precision = Precision.AUTO,
) -> Comparison:
    """Draft from the same images with every bundle, and measure them beside baselines.

    Few copies of Open-I have its images, so a val report is compared with what a system drafts from the NIH image that
    stands in for the report's own, by a rule that no model has a part in (`stand_ins`). Where the report's own image is
    there, all systems draft from that.

    Args:
        bundles: their folders.
        folder: of Open-I, with ``chexnet_predictions.csv``.
        folders: of NIH ChestX-ray14, whose val images are taken together.
        options: how much is measured; every image is drafted from once, whatever it stands in for.
        precision: of all bundles; ``auto`` takes each as its folder holds it, so that figures do not depend on what is
            faster on this machine.

    Raises:
        UsageError: a file is missing, no val report has Findings, or the precision is for GPUs.
        BundleError: one of the bundles cannot be loaded, or lacks the precision; before anything is measured.
        CxreportError: that of a study that failed.
    """
    manifests = [_load(bundle, precision).manifest for bundle in bundles]
    sizes = {manifest.image_size for manifest in manifests}
    pixels = {size: reduce(add, read_val(folders, size, options.limit)) for size in sizes}
    data = _read(folder, pixels[manifests[0].image_size].labels, options.limit)
    measure = _Measure(data, options.bootstrap)
    systems = []
    for bundle, manifest in zip(bundles, manifests, strict=True):
        reports, texts = _draft(_load(bundle, precision), data, folder, pixels[manifest.image_size], options)
        written = _Written(
            [SectionTexts.of(report) for report in reports],
            [SectionTexts.of(report) for report in texts],
            [len(report.findings + report.impression) for report in reports],
        )
        spent = float(np.mean([sum(report.timing_ms.values()) for report in reports]))
        figures = measure(written)
        systems.append(SystemFigures(manifest.name, manifest.architecture, manifest.sha256, *figures, spent))
    systems += [
        SystemFigures(name, None, None, *measure(written), None) for name, written in _baselines(data, measure.prepare)
    ]
    return Comparison(
        _signature(manifests, data, measure.metrics, folder, folders, options),
        len(data.labels),
        len(data.val),
        int(measure.abnormal.sum()),
        data.images.count(OWN),
        len(set(data.images) - {OWN}),
        tuple(systems),
    )


def _load(bundle: Path, precision: Precision) -> Model:
    return (
        Model.load(bundle, "cpu")
        if precision is Precision.AUTO
        else load_model(bundle, device="cpu", precision=precision)
    )


def _read(folder: Path, labels: Floats, limit: int | None) -> _Data:
    """Find the reports to compare with, and an image for each."""
    with missing_data_told():
        train, val = openi.split_reports(openi.read_reports(folder), folder)
        evidence = openi.read_evidence(folder)
    train = [report for report in train if R2GEN_FINDINGS.text(sections(report))]
    val = [report for report in val if R2GEN_FINDINGS.text(sections(report))][:limit]
    if not train or not val:
        raise UsageError(f"{folder}: no {'val' if train else 'train'} report has Findings.")
    images = [OWN if isinstance(openi.frontal_study(report, folder), Study) else 0 for report in val]
    others = [i for i, image in enumerate(images) if image != OWN]
    if others:
        unknown = np.zeros(len(FINDINGS), np.float32)
        affirmed = [lexicon.packaged().affirmed_in((val[i].findings, val[i].impression)) for i in others]
        stated = np.stack([nih_vector(tags) for tags in affirmed])
        evident = np.stack([evidence.get(val[i].uid, unknown) for i in others])
        for i, image in zip(others, stand_ins(labels, stated, evident), strict=True):
            images[i] = image
    return _Data(labels, [sections(report) for report in train], val, images)


def _draft(
    model: Model, data: _Data, folder: Path, images: LabelledImages, options: EvaluateOptions
) -> tuple[list[Report], list[Report]]:
    """The reports of the N NIH images, and of the images of the M val reports."""
    reports = draft(model, image_studies(images), options)
    own = draft(model, _own_images(data, folder), options)
    drafted = {report.study.id: report for report in own}
    pairs = zip(data.val, data.images, strict=True)
    return reports, [drafted[str(r.uid)] if image == OWN else reports[image] for r, image in pairs]


def _own_images(data: _Data, folder: Path) -> Iterator[Study]:
    """Read for each system anew, as they are too large to be kept."""
    for report in data.val:
        study = openi.frontal_study(report, folder)
        if isinstance(study, Study):
            yield replace(study, id=str(report.uid))


def _baselines(data: _Data, prepare: Preparer) -> Iterator[tuple[str, _Written]]:
    """One train report for all, that with the best BLEU-4 among them, and train reports drawn at random."""
    constant = baselines.best_constant([prepare(R2GEN_FINDINGS.text(report)) for report in data.train])
    sizes = len(data.labels), len(data.val)
    yield "constant", _copied(data.train, *([constant] * size for size in sizes))
    yield "random", _copied(data.train, *(baselines.random_reports(s, len(data.train)).tolist() for s in sizes))


def _copied(train: Sequence[SectionTexts], images: Sequence[int], texts: Sequence[int]) -> _Written:
    sentences = [len(lexicon.split_sentences(JING_REPORT.text(train[i]))) for i in images]
    return _Written([train[i] for i in images], [train[i] for i in texts], sentences)


class _Measure:
    """Measures what systems wrote, all of them on the same references and resamples."""

    def __init__(self, data: _Data, resamples: int) -> None:
        self.metrics = CaptionMetrics()
        self.prepare = Preparer(R2GEN_FINDINGS, (R2GEN_FINDINGS.text(report) for report in data.train))
        self.abnormal = np.array([not label(f"{r.findings} {r.impression}")["No Finding"] for r in data.val])
        self._labels = data.labels
        texts = [R2GEN_FINDINGS.text(sections(report)) for report in data.val]
        self._references, self._truth = [self.prepare(text) for text in texts], clinical.read_classes(texts)
        self._draws = draw_studies(len(data.labels), resamples), draw_studies(len(data.val), resamples)

    def __call__(self, written: _Written) -> tuple[dict[str, Figure], dict[str, Figure]]:
        """Figures of the reports of the NIH images, and of the texts against the val reports."""
        return self._images(written), self._texts([R2GEN_FINDINGS.text(report) for report in written.texts])

    def _images(self, written: _Written) -> dict[str, Figure]:
        texts = [JING_REPORT.text(report) for report in written.images]
        statistics = [mean_statistics((SENTENCES,), np.array(written.sentences, np.float64)[:, None])]
        for reader, (classes, told) in read_nih_classes(texts).items():
            truth = nih_targets(self._labels, classes, FINDINGS) > 0
            statistics.append(clinical.micro_macro_statistics(f"F1, {reader}", truth, told))
        figures = {k: v for some in statistics for k, v in some.estimate(self._draws[0]).items()}
        return figures | variety(texts, self._labels.sum(1) > 0)

    def _texts(self, texts: list[str]) -> dict[str, Figure]:
        statistics = self.metrics.measure(self._references, [self.prepare(text) for text in texts])
        statistics.append(clinical.f1_statistics(self._truth, clinical.read_classes(texts)))
        figures = {k: v for some in statistics for k, v in some.estimate(self._draws[1]).items()}
        return figures | variety(texts, self.abnormal)


def _signature(
    manifests: Sequence[Manifest],
    data: _Data,
    metrics: CaptionMetrics,
    folder: Path,
    folders: Sequence[Path],
    options: EvaluateOptions,
) -> str:
    """What has to be the same for two comparisons to compare, in one line."""
    own = data.images.count(OWN)
    limit = f", first {options.limit} only" if options.limit else ""
    return " | ".join(
        [
            f"compare {len(manifests)} bundles",
            f"nih val {' + '.join(some.name for some in folders)} ({len(data.labels)})",
            f"openi {split_name(folder)} ({len(data.val)}) from {own} own images, {len(data.val) - own} stand-ins by"
            f" labels and {EVIDENCE}",
            R2GEN_FINDINGS.signature,
            metrics.signature,
            "labels lexicon rules, uncertain positive",
            f"95 % of {options.bootstrap} resamples{limit}",
            f"cxreport {__version__}",
            *(manifest.identity for manifest in manifests),
        ]
    )
