"""Tag head against labels: discrimination, calibration, and the bundle's operating points."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Draws, Figure, estimate_by_rows
from cxreport.train.fit.auc import auc

LEAST_POSITIVES = 10
"""Positives that a finding needs to count in the means."""
METRICS = ("AUC", "AP", "ECE")
_BINS = 15

Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """Probabilities of the tag head beside the labels of N images, for T findings."""

    findings: tuple[str, ...]
    probabilities: Scores
    """(N, T)"""
    labels: Scores
    """(N, T), 0 or 1."""
    thresholds: Scores
    """(T,) of the bundle."""


@dataclass(frozen=True)
class FindingFigures:
    """Figures of one finding of the tag head."""

    positives: int
    figures: dict[str, Figure]
    """Figures by the names of `METRICS`; AUC and AP are nan without positives, or with nothing else."""
    threshold: float
    """Threshold of the bundle."""
    sensitivity: float
    specificity: float


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Reliability diagram: the equal-width bins of probability that hold any image, lowest first; (K,) each."""

    counts: NDArray[np.int64]
    predicted: NDArray[np.float64]
    """Mean probability."""
    observed: NDArray[np.float64]
    """Share of positives."""

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al. 2017): mean gap, weighed by the images of a bin."""
        return float((self.counts * np.abs(self.predicted - self.observed)).sum() / self.counts.sum())


def reliability_bins(probabilities: Scores, labels: Scores) -> ReliabilityBins:
    """Sort (N,) probabilities and 0 or 1 labels into 15 bins."""
    index = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(index, minlength=_BINS)
    filled = counts > 0
    sums = [np.bincount(index, weights=values, minlength=_BINS)[filled] for values in (probabilities, labels)]
    return ReliabilityBins(counts=counts[filled], predicted=sums[0] / counts[filled], observed=sums[1] / counts[filled])


def average_precision(scores: Scores, labels: Scores) -> float:
    """Precision averaged over the positives, ties taken together; nan without positives."""
    positives = labels.sum()
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))
    hits = np.cumsum(labels[order])[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / positives)


def measure_findings(scores: LabelledScores, draws: Draws) -> dict[str, FindingFigures]:
    """Figures of each finding, with intervals over ``draws`` (B, N)."""
    figures = {}
    for i, finding in enumerate(scores.findings):
        probabilities, labels = scores.probabilities[:, i], scores.labels[:, i]
        positive, alarm = labels > 0, probabilities >= scores.thresholds[i]
        figures[finding] = FindingFigures(
            positives=int(positive.sum()),
            figures=estimate_by_rows(METRICS, functools.partial(_measure, probabilities, labels), draws),
            threshold=float(scores.thresholds[i]),
            sensitivity=_share(alarm, positive),
            specificity=_share(~alarm, ~positive),
        )
    return figures


def measure_means(scores: LabelledScores, draws: Draws) -> dict[str, Figure]:
    """Means of the figures over the findings with at least `LEAST_POSITIVES`, with intervals over ``draws`` (B, N)."""
    columns = np.flatnonzero(scores.labels.sum(0) >= LEAST_POSITIVES)
    if not len(columns):
        return {name: Figure(float("nan")) for name in METRICS}

    def means(rows: NDArray[np.intp]) -> list[float]:
        figures = [_measure(scores.probabilities[:, i], scores.labels[:, i], rows) for i in columns]
        return [float(value) for value in np.mean(figures, axis=0)]

    return estimate_by_rows(METRICS, means, draws)


def _measure(scores: Scores, labels: Scores, rows: NDArray[np.intp]) -> list[float]:
    scores, labels = scores[rows], labels[rows]
    return [auc(scores, labels), average_precision(scores, labels), reliability_bins(scores, labels).error]


def _share(mask: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Share of the (N,) cases ``among`` that are in the ``mask`` too; nan where there are none."""
    return float(mask[among].mean()) if among.any() else float("nan")
