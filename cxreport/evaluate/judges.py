"""Judges of NIH images other than their labels: relabels, a teacher's outputs, and radiologists.

NIH labels were mined from reports; against radiologists they miss about half of what is there (Majkowska et al. 2020).
What a tag head is worth depends on who is asked.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.nih import FINDINGS
from cxreport.datasets.tables import table_rows
from cxreport.datasets.teacher import TeacherOutputs, read_teacher
from cxreport.drafting.plan import log_odds
from cxreport.errors import TrainingError, UsageError
from cxreport.evaluate import tags
from cxreport.evaluate.bootstrap import Figure, draw_studies, estimate_by_rows
from cxreport.evaluate.tags import LabelledScores, OperatingPoint, Scores
from cxreport.train.fit.auc import auc, average_ranks
from cxreport.types import Floats

CORRELATIONS = ("linear", "rank")
_NAMES = ("Image Index", "Image ID")
_ANSWERS = {"YES": True, "NO": False}
_LEAST_IMAGES = 10
_PARTS = {
    "Pleural Thickening": ("Pleural_Thickening",),
    "Nodule or mass": ("Mass", "Nodule"),
    "Airspace opacity": ("Atelectasis", "Consolidation", "Edema", "Infiltration", "Pneumonia"),
}
"""Radiologists' findings -> those of NIH ChestX-ray14 that speak for them, where the name is another."""


@dataclass(frozen=True)
class JudgeFiles:
    """Files with the judges' opinions of images, by name of the image file."""

    teacher: Sequence[Path] = ()
    """Tables of `datasets.teacher`."""
    radiologists: Sequence[Path] = ()
    """CSV files, gzipped or not, with a column ``Image Index`` or ``Image ID`` and columns of ``YES`` and ``NO``."""


NO_JUDGES = JudgeFiles()


@dataclass(frozen=True)
class RelabelFigures:
    """Tag head against relabels, on the images that have one for each finding."""

    images: int
    means: dict[str, Figure]
    findings: dict[str, tags.FindingFigures]


@dataclass(frozen=True)
class TeacherFigures:
    """Correlation of the tag head's log odds with a teacher's, on the images that the teacher saw."""

    images: int
    means: dict[str, Figure]
    """Means over the findings by the names of `CORRELATIONS`."""
    findings: dict[str, dict[str, Figure]]


@dataclass(frozen=True)
class OpinionFigures:
    """Tag head, and the NIH labels, against radiologists' opinion of one finding."""

    images: int
    positives: int
    auc: Figure
    head: OperatingPoint
    labels: OperatingPoint


@dataclass(frozen=True)
class RadiologistFigures:
    """Opinions in one file; findings that no val image has are left out."""

    name: str
    findings: dict[str, OpinionFigures]


@dataclass(frozen=True)
class JudgeFigures:
    """Everything that judges other than the labels say of the val images of all folders."""

    relabels: RelabelFigures | None
    teacher: TeacherFigures | None
    radiologists: tuple[RadiologistFigures, ...]


def measure_judges(names: tuple[str, ...], scores: LabelledScores, files: JudgeFiles, resamples: int) -> JudgeFigures:
    """Measure a tag head by its judges.

    Args:
        names: of the N image files.
        scores: of the head on these images.
        files: of the judges.
        resamples: of the intervals.

    Raises:
        UsageError: a file is missing, or is none of its kind.
    """
    relabels, taught = None, None
    if files.teacher:
        outputs = _outputs(files, names, scores.findings)
        relabels = _relabels(scores, outputs.relabels, resamples)
        taught = _teacher(scores, outputs.logits, resamples)
    opinions = [(path.name.partition(".")[0], read_opinions(path)) for path in files.radiologists]
    return JudgeFigures(
        relabels=relabels,
        teacher=taught,
        radiologists=tuple(
            RadiologistFigures(name, dict(_opinions(names, scores, rows, resamples))) for name, rows in opinions
        ),
    )


def read_relabels(names: tuple[str, ...], files: JudgeFiles) -> Floats | None:
    """Relabels (N, 14) of NIH images, NaN where there is none; None without a table of a teacher.

    Raises:
        UsageError: as `measure_judges` does.
    """
    return _outputs(files, names, FINDINGS).relabels if files.teacher else None


def _outputs(files: JudgeFiles, names: tuple[str, ...], findings: tuple[str, ...]) -> TeacherOutputs:
    """A teacher's outputs for images, and the relabels of its tables."""
    try:
        return read_teacher(files.teacher, names, findings)
    except FileNotFoundError as error:
        raise UsageError(f"{error.filename}: not found.") from error
    except TrainingError as error:
        raise UsageError(str(error), hint=error.hint) from error


def read_opinions(path: Path) -> dict[str, dict[str, bool]]:
    """Radiologists' opinions: finding -> name of the image file -> whether it is there.

    Columns that have another value than ``YES`` and ``NO`` in every row are passed over.

    Args:
        path: as in `JudgeFiles`.

    Raises:
        UsageError: no such file, or no opinion is in it.
    """
    try:
        rows = list(table_rows(path.read_bytes()))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: not found.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: not a table of radiologists' opinions ({error}).") from error
    key = next((name for name in _NAMES if rows and name in rows[0]), None)
    opinions: dict[str, dict[str, bool]] = {}
    for row in rows if key else ():
        for column, value in row.items():
            if value in _ANSWERS:
                opinions.setdefault(column, {})[row[key or ""]] = _ANSWERS[value]
    if not opinions:
        raise UsageError(
            f"{path}: not a table of radiologists' opinions.",
            hint=f"It needs a column {_NAMES[0]!r}, and a column of YES and NO for each finding.",
        )
    return opinions


def _relabels(scores: LabelledScores, relabels: Floats, resamples: int) -> RelabelFigures | None:
    """Figures against relabels (N, T), NaN where there are none."""
    rows = np.flatnonzero(~np.isnan(relabels).any(1))
    if not len(rows):
        return None
    judged = LabelledScores(scores.findings, scores.probabilities[rows], relabels[rows], scores.thresholds)
    draws = draw_studies(len(rows), resamples)
    return RelabelFigures(len(rows), tags.measure_means(judged, draws), tags.measure_findings(judged, draws))


def _teacher(scores: LabelledScores, taught: Floats, resamples: int) -> TeacherFigures | None:
    """Figures against a teacher's logits (N, T), NaN where there are none."""
    rows = np.flatnonzero(~np.isnan(taught).any(1))
    if len(rows) < _LEAST_IMAGES:
        return None
    odds, taught = log_odds(scores.probabilities[rows]), taught[rows]
    draws = draw_studies(len(rows), resamples)

    def correlations(sample: NDArray[np.intp]) -> list[float]:
        pairs = [(odds[sample, t], taught[sample, t]) for t in range(odds.shape[1])]
        linear = [_correlation(ours, theirs) for ours, theirs in pairs]
        rank = [_correlation(average_ranks(ours), average_ranks(theirs)) for ours, theirs in pairs]
        return [float(np.mean(linear)), float(np.mean(rank)), *linear, *rank]

    count = len(scores.findings)
    figures = estimate_by_rows(tuple(map(str, range(2 + 2 * count))), correlations, draws)
    values = list(figures.values())
    by_finding = zip(scores.findings, values[2 : 2 + count], values[2 + count :], strict=True)
    return TeacherFigures(
        images=len(rows),
        means=dict(zip(CORRELATIONS, values[:2], strict=True)),
        findings={name: dict(zip(CORRELATIONS, pair, strict=True)) for name, *pair in by_finding},
    )


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson's correlation; nan where one of the two is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")


def _opinions(
    names: tuple[str, ...], scores: LabelledScores, opinions: Mapping[str, Mapping[str, bool]], resamples: int
) -> Iterator[tuple[str, OpinionFigures]]:
    """Figures of each finding that the head knows and some of the images have."""
    for finding, answers in opinions.items():
        parts = [scores.findings.index(part) for part in _PARTS.get(finding, (finding,)) if part in scores.findings]
        rows = np.array([i for i, name in enumerate(names) if name in answers], np.intp)
        truth = np.array([answers[names[i]] for i in rows], bool)
        if parts and truth.any():
            probabilities, labels = (values[rows][:, parts] for values in (scores.probabilities, scores.labels))
            yield (
                finding,
                OpinionFigures(
                    images=len(rows),
                    positives=int(truth.sum()),
                    auc=_auc(probabilities.max(1), truth, resamples),
                    head=OperatingPoint.of(np.any(probabilities >= scores.thresholds[parts], axis=1), truth),
                    labels=OperatingPoint.of(np.any(labels > 0, axis=1), truth),
                ),
            )


def _auc(scores: Scores, truth: NDArray[np.bool_], resamples: int) -> Figure:
    """Area under the curve; resamples without both answers are left out of the interval."""
    draws = draw_studies(len(truth), resamples)
    both = (draws[:, truth].sum(1) > 0) & (draws[:, ~truth].sum(1) > 0)
    answers = truth.astype(np.float32)
    return estimate_by_rows(("AUC",), lambda rows: [auc(scores[rows], answers[rows])], draws[both])["AUC"]
