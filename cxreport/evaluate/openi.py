"""Evaluation on Open-I: reports drafted from CheXNet evidence or images, against those of radiologists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets import openi
from cxreport.datasets.nih import FINDINGS
from cxreport.errors import UsageError
from cxreport.evaluate import baselines
from cxreport.evaluate.abstention import AbstentionRates, abstain_on_openi
from cxreport.evaluate.bootstrap import Systems, draw_studies, estimate_all
from cxreport.evaluate.drafting import EvaluateOptions, draft, missing_files_reported
from cxreport.evaluate.plan_agreement import GuardCounts, count_guards, planned_tags
from cxreport.evaluate.text import clinical
from cxreport.evaluate.text.language import LanguageCounts, count_language
from cxreport.evaluate.text.metrics import CaptionMetrics
from cxreport.evaluate.text.variety import report_variety
from cxreport.model.session import Model
from cxreport.reading.tag_table import read_tag_table
from cxreport.text.labeler import label
from cxreport.text.scoring_conventions import CONVENTIONS, Convention, Preparer, SectionTexts
from cxreport.types import Failure, Report, Study

EVIDENCE = "chexnet"
"""Name of the table's classifier in a bundle."""
MODEL, TAGS_ALONE, REFERENCES = "model", "tags alone", "references"


@dataclass(frozen=True)
class TextFigures:
    """Figures of texts that are prepared by one convention."""

    convention: str
    title: str
    signature: str
    studies: int
    """Studies whose reference has the sections."""
    abnormal: int
    """Studies among them whose reference states a finding."""
    systems: Systems
    """Figures by system and metric. `TAGS_ALONE` has no words, so only clinical figures; `REFERENCES` only variety."""
    classes: dict[str, clinical.ClassFigures]
    """Figures of the model by class."""


@dataclass(frozen=True)
class OpeniFigures:
    """Everything measured on Open-I."""

    split: str
    metrics: str
    """Versions of the text metrics."""
    texts: tuple[TextFigures, ...]
    guards: GuardCounts
    language: dict[str, LanguageCounts]
    """Of the drafted reports (`MODEL`), and of the radiologists' (`REFERENCES`), who do have earlier studies."""
    abstention: tuple[AbstentionRates, ...]

    @property
    def signature(self) -> str:
        """Split, conventions and versions of metrics."""
        conventions = "; ".join(f"{text.convention} ({text.studies}): {text.signature}" for text in self.texts)
        return f"openi {self.split} | {conventions} | {self.metrics} | labels lexicon rules, uncertain positive"


@dataclass(frozen=True, eq=False)
class _TrainTexts:
    """Train reports that have a text in a convention."""

    texts: list[str]
    evidence: list[NDArray[np.float32] | None]
    """(14,) of each; None without a row of the table."""


@dataclass(frozen=True, eq=False)
class _ValStudy:
    """Val study with evidence, its reference and the report that was drafted of it."""

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
    with missing_files_reported():
        train, val = openi.split_reports(openi.read_reports(folder), folder)
        evidence = openi.read_evidence(folder)
    references = {str(report.uid): report for report in [r for r in val if r.uid in evidence][: options.limit]}
    if not references:
        raise UsageError(f"{_table(folder)}: no val study has a frontal row.")
    drafted = {
        report.study.id: report
        for report in draft(model, _studies(folder, references, options.from_images), options, EVIDENCE)
    }
    studies = [
        _ValStudy(sections(report), evidence[report.uid], drafted[uid])
        for uid, report in references.items()
        if uid in drafted
    ]
    metrics = CaptionMetrics()
    texts = []
    for convention in CONVENTIONS:
        pairs = [(text, evidence.get(r.uid)) for r in train if (text := convention.text(sections(r)))]
        if pairs and any(convention.text(study.reference) for study in studies):
            train_texts = _TrainTexts([text for text, _ in pairs], [row for _, row in pairs])
            texts.append(_measure(convention, train_texts, studies, metrics, options))
    return OpeniFigures(
        split=split_name(folder) + (" from images" if options.from_images else f" from {EVIDENCE}"),
        metrics=metrics.signature,
        texts=tuple(texts),
        guards=count_guards([study.report for study in studies], model.manifest.lexicon),
        language={
            MODEL: count_language([SectionTexts.of(study.report) for study in studies]),
            REFERENCES: count_language([study.reference for study in studies]),
        },
        abstention=tuple(abstain_on_openi(model, folder, options.bootstrap)),
    )


def _table(folder: Path) -> Path:
    return folder / "chexnet_predictions.csv"


def _studies(folder: Path, references: Mapping[str, openi.OpeniReport], from_images: bool) -> Iterable[Study | Failure]:
    """Studies of the references, by uid: from the table of evidence, or those whose image is there."""
    if not from_images:
        return (study for study in read_tag_table(_table(folder), FINDINGS) if study.id in references)
    images = {uid: openi.frontal_study(report, folder) for uid, report in references.items()}
    studies = [replace(study, id=uid) for uid, study in images.items() if study is not None]
    if not studies:
        raise UsageError(f"{folder}/images: no val study has an image there.")
    return studies


def split_name(folder: Path) -> str:
    """Name of the rule by which reports of a folder are val."""
    return "r2gen val" if (folder / openi.SPLIT_FILE).exists() else "every tenth"


def sections(report: openi.OpeniReport) -> SectionTexts:
    """Sections of a radiologist's report."""
    return SectionTexts(report.findings, report.impression)


def _measure(
    convention: Convention,
    train: _TrainTexts,
    studies: Sequence[_ValStudy],
    metrics: CaptionMetrics,
    options: EvaluateOptions,
) -> TextFigures:
    """Measure the model and the baselines in one convention, all on the same resamples."""
    studies = [study for study in studies if convention.text(study.reference)]
    prepare = Preparer(convention, train.texts)
    references = [convention.text(study.reference) for study in studies]
    abnormal = np.array([not label(f"{s.reference.findings} {s.reference.impression}")["No Finding"] for s in studies])
    truth = clinical.read_classes(references)
    draws = draw_studies(len(studies), options.bootstrap)
    drafts = [convention.text(SectionTexts.of(study.report)) for study in studies]
    systems: Systems = {}
    for name, texts in ({MODEL: drafts} | _baselines(train, prepare, studies)).items():
        statistics = metrics.measure([prepare(t) for t in references], [prepare(t) for t in texts])
        statistics.append(clinical.f1_statistics(truth, clinical.read_classes(texts)))
        systems[name] = estimate_all(statistics, draws) | report_variety(texts, abnormal)
    planned = clinical.planned_classes([planned_tags(study.report) for study in studies])
    systems[TAGS_ALONE] = clinical.f1_statistics(truth, planned).estimate(draws)
    systems[REFERENCES] = report_variety(references, abnormal)
    return TextFigures(
        convention=convention.name,
        title=convention.title,
        signature=convention.signature,
        studies=len(studies),
        abnormal=int(abnormal.sum()),
        systems=systems,
        classes=clinical.per_class(truth, clinical.read_classes(drafts)),
    )


def _baselines(train: _TrainTexts, prepare: Preparer, studies: Sequence[_ValStudy]) -> dict[str, list[str]]:
    """Texts without a model, from the train split alone: baseline -> a text for each study."""
    prepared = [prepare(text) for text in train.texts]
    picks = {
        "constant": [baselines.best_constant(prepared)] * len(studies),
        "frequent": [baselines.most_frequent(prepared)] * len(studies),
        "random": baselines.random_reports(len(studies), len(train.texts)).tolist(),
    }
    indices = [i for i, row in enumerate(train.evidence) if row is not None]
    if indices:
        rows = np.array([train.evidence[i] for i in indices])
        nearest = baselines.nearest_neighbours(np.array([study.evidence for study in studies]), rows)
        picks["nearest"] = [indices[i] for i in nearest.tolist()]
    return {name: [train.texts[i] for i in pick] for name, pick in picks.items()}
