"""The tag head against labels: discrimination, calibration, and the bundle's operating points."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.bootstrap import Draws, Figure, estimate_by_rows
from cxreport.train.fit.metrics import auc

LEAST_POSITIVES = 10
"""Findings with fewer positives have no place in the means."""
METRICS = ("AUC", "AP", "ECE")
_BINS = 15

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class FindingFigures:
    """One finding of the tag head."""

    positives: int
    figures: dict[str, Figure]
    """By the names of `METRICS`; AUC and AP are nan without positives, or with nothing else."""
    threshold: float
    """Of the bundle."""
    sensitivity: float
    specificity: float


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """Equal-width bins of probability that hold any image, lowest first: (K,) each."""

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
    kept = counts > 0
    sums = [np.bincount(index, weights=values, minlength=_BINS)[kept] for values in (probabilities, labels)]
    return ReliabilityBins(counts[kept], sums[0] / counts[kept], sums[1] / counts[kept])


def average_precision(scores: Scores, labels: Scores) -> float:
    """Precision averaged over the positives, ties taken together; nan without positives."""
    positives = labels.sum()
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=np.nan))
    hits = np.cumsum(labels[order])[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / positives)


def measure_findings(
    scores: Scores, labels: Scores, names: tuple[str, ...], thresholds: Scores, draws: Draws
) -> dict[str, FindingFigures]:
    """Measure each finding.

    Args:
        scores: (N, T) probabilities.
        labels: (N, T) 0 or 1.
        names: of the T findings.
        thresholds: (T,) of the bundle.
        draws: (B, N) of `draw_studies`.
    """
    found = {}
    for i, name in enumerate(names):
        score, truth = scores[:, i], labels[:, i]
        positive, told = truth > 0, score >= thresholds[i]
        found[name] = FindingFigures(
            int(positive.sum()),
            estimate_by_rows(METRICS, functools.partial(_measure, score, truth), draws),
            float(thresholds[i]),
            _share(told, positive),
            _share(~told, ~positive),
        )
    return found


def measure_means(scores: Scores, labels: Scores, draws: Draws) -> dict[str, Figure]:
    """Means of the figures over the findings with at least `LEAST_POSITIVES`; arguments as in `measure_findings`."""
    kept = np.flatnonzero(labels.sum(0) >= LEAST_POSITIVES)
    if not len(kept):
        return {name: Figure(float("nan")) for name in METRICS}

    def means(rows: NDArray[np.intp]) -> list[float]:
        figures = [_measure(scores[:, i], labels[:, i], rows) for i in kept]
        return [float(value) for value in np.mean(figures, axis=0)]

    return estimate_by_rows(METRICS, means, draws)


def _measure(scores: Scores, labels: Scores, rows: NDArray[np.intp]) -> list[float]:
    scores, labels = scores[rows], labels[rows]
    return [auc(scores, labels), average_precision(scores, labels), reliability_bins(scores, labels).error]


def _share(told: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(told[among].mean()) if among.any() else float("nan")
