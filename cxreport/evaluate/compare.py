"""Comparison of bundles on the same val data: NIH images against their labels, texts against Open-I's reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from cxreport.datasets import openi
from cxreport.datasets.nih import FINDINGS, LabelledImages, nih_targets
from cxreport.errors import UsageError
from cxreport.evaluate import baselines
from cxreport.evaluate.bootstrap import Figure, draw_studies, estimate_all, mean_statistics
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_files_reported
from cxreport.evaluate.nih import image_studies, mean_milliseconds, read_nih_classes, read_val
from cxreport.evaluate.openi import EVIDENCE, sections, split_name
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.variety import report_variety
from cxreport.model.choices import Device, Precision
from cxreport.model.manifest import Manifest
from cxreport.model.precision import load_model
from cxreport.model.session import Model
from cxreport.text import lexicon
from cxreport.text.labeler import label
from cxreport.text.scoring_conventions import JING_REPORT, R2GEN_FINDINGS, Preparer, SectionTexts
from cxreport.train.data.pseudo_pairs import nih_vector, stand_ins
from cxreport.types import Floats, Report, Study

SENTENCES = "sentences"
OWN = -1
"""Index in place of a stand-in's where the report's own image is there."""


@dataclass(frozen=True)
class SystemFigures:
    """Figures of one system, a bundle or a baseline."""

    name: str
    """Name of the bundle, which is that of its recipe, or of the baseline."""
    architecture: str | None
    """None of a baseline, which sees no image."""
    sha256: str | None
    """Digest of the bundle's ``model.json``."""
    images: dict[str, Figure]
    """Figures of the reports of the NIH images: ``F1, <reader> micro`` and ``macro`` against the labels, by
    the readers of `read_nih_classes`; `SENTENCES`, the mean number in a report; those of `report_variety`."""
    texts: dict[str, Figure]
    """Figures against Open-I's reports: those of `text.metrics`, `text.clinical` and `text.variety`."""
    ms_per_study: float | None
    """Mean time of a report of the NIH images; None of a baseline."""


@dataclass(frozen=True)
class Comparison:
    """Figures of systems on the same images and the same references."""

    signature: str
    """Conditions that two comparisons have to share to be compared, in one line."""
    images: int
    """NIH images."""
    reports: int
    """Open-I reports with the section that is compared."""
    abnormal: int
    """Reports among them that state a finding."""
    own: int
    """Reports with an image of their own, from which all systems drafted."""
    stand_ins: int
    """Different NIH images that stand in for those of the other reports."""
    systems: tuple[SystemFigures, ...]
    """Bundles in their order on the command line, then the baselines."""


@dataclass(frozen=True, eq=False)
class _ValData:
    """Val data, the same for all systems."""

    labels: Floats
    """(N, 14) of the NIH images."""
    train: list[SectionTexts]
    """Train reports with the section that is compared."""
    val: list[openi.OpeniReport]
    """M val reports with that section."""
    images: list[int]
    """M indices of the NIH images that stand in for their images, or `OWN`."""
    folders: str
    """Names of the NIH folders."""
    split: str
    """Name of the rule by which Open-I's reports are val."""

    @property
    def signature(self) -> str:
        """Images, reports, and how the reports come to images."""
        stand_ins = len(self.val) - self.own
        return (
            f"nih val {self.folders} ({len(self.labels)}) | openi {self.split} ({len(self.val)})"
            f" from {self.own} own images, {stand_ins} stand-ins by labels and {EVIDENCE}"
        )

    @property
    def own(self) -> int:
        """Number of val reports with an image of their own."""
        return self.images.count(OWN)


@dataclass(frozen=True)
class _SystemTexts:
    """Texts of a system."""

    images: list[SectionTexts]
    """N, of the NIH images."""
    texts: list[SectionTexts]
    """M, to compare with the val reports."""
    sentences: list[int]
    """N: sentences in each text of the NIH images."""


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
    images = {size: reduce(add, read_val(folders, size, options.limit)) for size in sizes}
    data = _read(folder, folders, images[manifests[0].image_size].labels, options.limit)
    measures = _Measures(data, options.bootstrap)
    systems = []
    for bundle, manifest in zip(bundles, manifests, strict=True):
        reports, texts = _draft(_load(bundle, precision), data, folder, images[manifest.image_size], options)
        systems.append(_bundle_figures(manifest, reports, texts, measures))
    systems += [_baseline_figures(name, texts, measures) for name, texts in _baselines(data, measures.prepare)]
    bundle_signatures = [manifest.identity for manifest in manifests]
    signatures = [data.signature, measures.signature, options.signature, *bundle_signatures]
    return Comparison(
        signature=" | ".join([f"compare {len(manifests)} bundles", *signatures]),
        images=len(data.labels),
        reports=len(data.val),
        abnormal=int(measures.abnormal.sum()),
        own=data.own,
        stand_ins=len(set(data.images) - {OWN}),
        systems=tuple(systems),
    )


def _bundle_figures(
    manifest: Manifest, reports: Sequence[Report], texts: Sequence[Report], measures: _Measures
) -> SystemFigures:
    system = _SystemTexts(
        images=[SectionTexts.of(report) for report in reports],
        texts=[SectionTexts.of(report) for report in texts],
        sentences=[len(report.findings + report.impression) for report in reports],
    )
    return SystemFigures(
        name=manifest.name,
        architecture=manifest.architecture,
        sha256=manifest.sha256,
        images=measures.images(system),
        texts=measures.texts(system),
        ms_per_study=mean_milliseconds(reports),
    )


def _baseline_figures(name: str, system: _SystemTexts, measures: _Measures) -> SystemFigures:
    return SystemFigures(
        name=name,
        architecture=None,
        sha256=None,
        images=measures.images(system),
        texts=measures.texts(system),
        ms_per_study=None,
    )


def _load(bundle: Path, precision: Precision) -> Model:
    """Load a bundle in a precision, by default as its folder holds it."""
    if precision is Precision.AUTO:
        return Model.load(bundle, "cpu")
    return load_model(bundle, device=Device.CPU, precision=precision)


def _read(folder: Path, folders: Sequence[Path], labels: Floats, limit: int | None) -> _ValData:
    """Find the reports to compare with, and an image for each."""
    with missing_files_reported():
        train, val = openi.split_reports(openi.read_reports(folder), folder)
        evidence = openi.read_evidence(folder)
    train = [report for report in train if R2GEN_FINDINGS.text(sections(report))]
    val = [report for report in val if R2GEN_FINDINGS.text(sections(report))][:limit]
    if not train or not val:
        raise UsageError(f"{folder}: no {'val' if train else 'train'} report has Findings.")
    images = [OWN if isinstance(openi.frontal_study(report, folder), Study) else 0 for report in val]
    rows = [i for i, image in enumerate(images) if image != OWN]
    if rows:
        unknown = np.zeros(len(FINDINGS), np.float32)
        affirmed = [lexicon.packaged().affirmed_in((val[i].findings, val[i].impression)) for i in rows]
        statements = np.stack([nih_vector(tags) for tags in affirmed])
        probabilities = np.stack([evidence.get(val[i].uid, unknown) for i in rows])
        for i, image in zip(rows, stand_ins(labels, statements, probabilities), strict=True):
            images[i] = image
    return _ValData(
        labels=labels,
        train=[sections(report) for report in train],
        val=val,
        images=images,
        folders=" + ".join(path.name for path in folders),
        split=split_name(folder),
    )


def _draft(
    model: Model, data: _ValData, folder: Path, images: LabelledImages, options: EvaluateOptions
) -> tuple[list[Report], list[Report]]:
    """Draft the reports of the N NIH images, and of the images of the M val reports."""
    reports = draft(model, image_studies(images), options)
    by_uid = {report.study.id: report for report in draft(model, _own_images(data, folder), options)}
    pairs = zip(data.val, data.images, strict=True)
    return reports, [by_uid[str(r.uid)] if image == OWN else reports[image] for r, image in pairs]


def _own_images(data: _ValData, folder: Path) -> Iterator[Study]:
    """Read the val reports' own images, for each system anew, as they are too large to be kept."""
    for report in data.val:
        study = openi.frontal_study(report, folder)
        if isinstance(study, Study):
            yield replace(study, id=str(report.uid))


def _baselines(data: _ValData, prepare: Preparer) -> Iterator[tuple[str, _SystemTexts]]:
    """One train report for all, that with the best BLEU-4 among them, and train reports drawn at random."""
    constant = baselines.best_constant([prepare(R2GEN_FINDINGS.text(report)) for report in data.train])
    sizes = len(data.labels), len(data.val)
    yield "constant", _copied(data.train, *([constant] * size for size in sizes))
    yield "random", _copied(data.train, *(baselines.random_reports(s, len(data.train)).tolist() for s in sizes))


def _copied(train: Sequence[SectionTexts], images: Sequence[int], texts: Sequence[int]) -> _SystemTexts:
    sentences = [len(lexicon.split_sentences(JING_REPORT.text(train[i]))) for i in images]
    return _SystemTexts(images=[train[i] for i in images], texts=[train[i] for i in texts], sentences=sentences)


class _Measures:
    """Measures of systems, all on the same references and resamples."""

    def __init__(self, data: _ValData, resamples: int) -> None:
        self._metrics = CaptionMetrics()
        self.prepare = Preparer(R2GEN_FINDINGS, (R2GEN_FINDINGS.text(report) for report in data.train))
        self.abnormal = np.array([not label(f"{r.findings} {r.impression}")["No Finding"] for r in data.val])
        self._labels = data.labels
        texts = [R2GEN_FINDINGS.text(sections(report)) for report in data.val]
        self._references, self._truth = [self.prepare(text) for text in texts], clinical.read_classes(texts)
        self._draws = draw_studies(len(data.labels), resamples), draw_studies(len(data.val), resamples)

    @property
    def signature(self) -> str:
        """Convention of texts, versions of metrics, and the labeler."""
        return f"{R2GEN_FINDINGS.signature} | {self._metrics.signature} | labels lexicon rules, uncertain positive"

    def images(self, system: _SystemTexts) -> dict[str, Figure]:
        """Figures of the reports of the NIH images."""
        texts = [JING_REPORT.text(report) for report in system.images]
        statistics = [mean_statistics((SENTENCES,), np.array(system.sentences, np.float64)[:, None])]
        for reader, (classes, statements) in read_nih_classes(texts).items():
            truth = nih_targets(self._labels, classes, FINDINGS) > 0
            statistics.append(clinical.micro_macro_statistics(f"F1, {reader}", truth, statements))
        return estimate_all(statistics, self._draws[0]) | report_variety(texts, self._labels.sum(1) > 0)

    def texts(self, system: _SystemTexts) -> dict[str, Figure]:
        """Figures of the texts against the val reports."""
        texts = [R2GEN_FINDINGS.text(report) for report in system.texts]
        statistics = self._metrics.measure(self._references, [self.prepare(text) for text in texts])
        statistics.append(clinical.f1_statistics(self._truth, clinical.read_classes(texts)))
        return estimate_all(statistics, self._draws[1]) | report_variety(texts, self.abnormal)
