"""Reports drafted from Open-I's CheXNet evidence, against what the radiologists wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets import openi
from cxreport.datasets.nih import FINDINGS
from cxreport.errors import UsageError
from cxreport.evaluate import baselines
from cxreport.evaluate.abstention import AbstentionRates, abstain_on_openi
from cxreport.evaluate.bootstrap import Systems, draw_studies
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_data_told
from cxreport.evaluate.guards import GuardCounts, count_guards, planned_tags
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.variety import variety
from cxreport.model.session import Model
from cxreport.reading.tag_table import read_tag_table
from cxreport.text.conventions import CONVENTIONS, Convention, Preparer, SectionTexts
from cxreport.text.labeler import label
from cxreport.types import Failure, Report, Study

EVIDENCE = "chexnet"
"""Name of the table's classifier in a bundle."""
MODEL, TAGS_ALONE, REFERENCES = "model", "tags alone", "references"


@dataclass(frozen=True)
class TextFigures:
    """Figures of texts made in one convention."""

    convention: str
    title: str
    signature: str
    studies: int
    """Studies whose reference has the sections."""
    abnormal: int
    """Studies among them whose reference states a finding."""
    systems: Systems
    """Who wrote -> metric -> figure. `TAGS_ALONE` has no words, so only clinical figures; `REFERENCES` only variety."""
    classes: dict[str, clinical.ClassFigures]
    """Of the model."""


@dataclass(frozen=True)
class OpeniFigures:
    """Everything measured on Open-I."""

    split: str
    metrics: str
    """Versions of the text metrics."""
    texts: tuple[TextFigures, ...]
    guards: GuardCounts
    abstention: tuple[AbstentionRates, ...]


@dataclass(frozen=True, eq=False)
class _Train:
    """The train reports that have a text in a convention, and where there is one their evidence."""

    texts: list[str]
    evidence: list[NDArray[np.float32] | None]


@dataclass(frozen=True, eq=False)
class _Val:
    """A val study."""

    reference: SectionTexts
    evidence: NDArray[np.float32]
    report: Report


def evaluate_openi(model: Model, folder: Path, options: EvaluateOptions) -> OpeniFigures:
    """Draft the val studies from their CheXNet probabilities and measure the reports.

    Args:
        model: a bundle with evidence "chexnet".
        folder: Open-I's layout with ``chexnet_predictions.csv``. Val studies without a row are left out, and from
            images those without one.
        options: how much is measured.

    Raises:
        UsageError: a file is missing, the bundle does not know CheXNet, or no val study has evidence.
        TrainingError: there are no reports.
    """
    with missing_data_told():
        train, val = openi.split_reports(openi.read_reports(folder), folder)
        evidence = openi.read_evidence(folder)
    table = folder / "chexnet_predictions.csv"
    references = {str(r.uid): r for r in [r for r in val if r.uid in evidence][: options.limit]}
    if not references:
        raise UsageError(f"{table}: no val study has a frontal row.")
    if options.from_images:
        pictures = {uid: openi.frontal_study(report, folder) for uid, report in references.items()}
        seen = {uid: replace(study, id=uid) for uid, study in pictures.items() if study is not None}
        if not seen:
            raise UsageError(f"{folder}/images: no val study has an image there.")
        references = {uid: report for uid, report in references.items() if uid in seen}
        rows: Iterable[Study | Failure] = seen.values()
    else:
        rows = (study for study in read_tag_table(table, FINDINGS) if study.id in references)
    drafted = {report.study.id: report for report in draft(model, rows, options, EVIDENCE)}
    studies = [_Val(sections(r), evidence[r.uid], drafted[uid]) for uid, r in references.items()]
    metrics = CaptionMetrics()
    texts = []
    for convention in CONVENTIONS:
        pairs = [(convention.text(sections(r)), evidence.get(r.uid)) for r in train]
        told = [(text, given) for text, given in pairs if text]
        if told and any(convention.text(study.reference) for study in studies):
            texts.append(_measure(convention, _Train(*map(list, zip(*told, strict=True))), studies, metrics, options))
    name = split_name(folder) + (" from images" if options.from_images else f" from {EVIDENCE}")
    guards = count_guards([study.report for study in studies], model.manifest.lexicon)
    abstention = tuple(abstain_on_openi(model, folder, options.bootstrap))
    return OpeniFigures(name, metrics.signature, tuple(texts), guards, abstention)


def split_name(folder: Path) -> str:
    """Which reports of a folder are val."""
    return "r2gen val" if (folder / openi.SPLIT_FILE).exists() else "every tenth"


def sections(report: openi.OpeniReport) -> SectionTexts:
    """The text of a radiologist's report."""
    return SectionTexts(report.findings, report.impression)


def _measure(
    convention: Convention, train: _Train, studies: Sequence[_Val], metrics: CaptionMetrics, options: EvaluateOptions
) -> TextFigures:
    """Measure the model and the baselines in one convention, all on the same resamples."""
    studies = [study for study in studies if convention.text(study.reference)]
    prepare = Preparer(convention, train.texts)
    references = [convention.text(study.reference) for study in studies]
    abnormal = np.array([not label(f"{s.reference.findings} {s.reference.impression}")["No Finding"] for s in studies])
    truth = clinical.read_classes(references)
    draws = draw_studies(len(studies), options.bootstrap)
    written = {MODEL: [convention.text(SectionTexts.of(study.report)) for study in studies]}
    systems: Systems = {}
    for name, texts in (written | _baselines(train, prepare, studies)).items():
        statistics = metrics.measure([prepare(t) for t in references], [prepare(t) for t in texts])
        statistics.append(clinical.f1_statistics(truth, clinical.read_classes(texts)))
        systems[name] = {k: v for s in statistics for k, v in s.estimate(draws).items()} | variety(texts, abnormal)
    planned = clinical.planned_classes([planned_tags(study.report) for study in studies])
    systems[TAGS_ALONE] = clinical.f1_statistics(truth, planned).estimate(draws)
    systems[REFERENCES] = variety(references, abnormal)
    classes = clinical.per_class(truth, clinical.read_classes(written[MODEL]))
    return TextFigures(
        convention.name,
        convention.title,
        convention.signature,
        len(studies),
        int(abnormal.sum()),
        systems,
        classes,
    )


def _baselines(train: _Train, prepare: Preparer, studies: Sequence[_Val]) -> dict[str, list[str]]:
    """What is written without a model, from the train split alone."""
    prepared = [prepare(text) for text in train.texts]
    constant, frequent = baselines.best_constant(prepared), baselines.most_frequent(prepared)
    evident = [i for i, given in enumerate(train.evidence) if given is not None]
    picks = {
        "constant": [constant] * len(studies),
        "frequent": [frequent] * len(studies),
        "random": baselines.random_reports(len(studies), len(train.texts)).tolist(),
    }
    if evident:
        known = np.array([train.evidence[i] for i in evident])
        nearest = baselines.nearest_neighbours(np.array([study.evidence for study in studies]), known)
        picks["nearest"] = [evident[i] for i in nearest.tolist()]
    return {name: [train.texts[i] for i in chosen] for name, chosen in picks.items()}
