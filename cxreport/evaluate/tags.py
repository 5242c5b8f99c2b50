"""Tag head against labels: discrimination, calibration, and the bundle's operating points."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.drafting.plan import log_odds
from cxreport.evaluate.bootstrap import Draws, Figure, estimate_by_rows
from cxreport.train.fit.auc import auc

LEAST_POSITIVES = 10
"""Positives that a finding needs to count in the means."""
METRICS = ("AUC", "AP", "ECE", "ECE held out")
_BINS = 15
_FOLDS = 5
_PENALTY = 1e-3  # as in training, of the squared slope
_NEWTON_STEPS = 30

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

    @functools.cached_property
    def held_out(self) -> Scores:
        """(N, T) probabilities of `recalibrate_held_out`."""
        columns = zip(self.probabilities.T, self.labels.T, strict=True)
        return np.stack([recalibrate_held_out(*column) for column in columns], 1)


@dataclass(frozen=True)
class OperatingPoint:
    """Errors of a yes or no; nan where nobody could have erred."""

    sensitivity: float
    specificity: float
    ppv: float
    """Share of the alarms that are right."""
    npv: float
    """Share of the others that are right."""

    @classmethod
    def of(cls, alarm: NDArray[np.bool_], positive: NDArray[np.bool_]) -> OperatingPoint:
        """Compare alarms (N,) with what is so (N,)."""
        return cls(
            sensitivity=_share(alarm, positive),
            specificity=_share(~alarm, ~positive),
            ppv=_share(positive, alarm),
            npv=_share(~positive, ~alarm),
        )


@dataclass(frozen=True)
class FindingFigures:
    """Figures of one finding of the tag head."""

    positives: int
    figures: dict[str, Figure]
    """Figures by the names of `METRICS`; AUC and AP are nan without positives, or with nothing else."""
    threshold: float
    """Threshold of the bundle."""
    at_threshold: OperatingPoint


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


def recalibrate_held_out(probabilities: Scores, labels: Scores) -> Scores:
    """Probabilities (N,) of one finding by Platt's scaling (1999), fitted without the fifth that they are of.

    A bundle is calibrated on the val images that it is measured on. What its calibration is worth on others is what
    the same fit is worth on images that had no part in it, whatever scale the probabilities have. Fifths are runs of
    neighbouring images, so that the images of a patient, named one after the other, are in the same one.

    Args:
        probabilities: (N,) of the bundle.
        labels: (N,) 0 or 1.
    """
    odds = log_odds(probabilities)
    fifth = np.arange(len(odds)) * _FOLDS // len(odds)
    held_out = np.empty(len(odds))
    for k in range(_FOLDS):
        slope, bias = _platt(odds[fifth != k], labels[fifth != k])
        held_out[fifth == k] = 1 / (1 + np.exp(-(slope * odds[fifth == k] + bias)))
    return np.asarray(held_out, np.float32)


def _platt(odds: NDArray[np.float64], labels: Scores) -> tuple[float, float]:
    """Slope and bias of a logistic regression, by Newton's method; the prevalence alone where all labels are alike."""
    mean, deviation = odds.mean(), odds.std() + 1e-9
    x = np.stack([(odds - mean) / deviation, np.ones(len(odds))], 1)
    prior = np.clip(labels.mean(), 1e-4, 1 - 1e-4)
    weights, penalty = np.array([0.0, np.log(prior / (1 - prior))]), np.diag([2 * _PENALTY * len(odds), 1e-9])
    for _ in range(_NEWTON_STEPS if 0 < labels.sum() < len(labels) else 0):
        predicted = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (predicted - labels) + penalty @ weights
        hessian = (x * (predicted * (1 - predicted))[:, None]).T @ x + penalty
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step / max(1.0, float(np.abs(step).max()))  # far from the end, a full one may overshoot
    return float(weights[0] / deviation), float(weights[1] - weights[0] * mean / deviation)


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
            figures=estimate_by_rows(METRICS, functools.partial(_measure, scores, i), draws),
            threshold=float(scores.thresholds[i]),
            at_threshold=OperatingPoint.of(alarm, positive),
        )
    return figures


def measure_means(scores: LabelledScores, draws: Draws) -> dict[str, Figure]:
    """Means of the figures over the findings with at least `LEAST_POSITIVES`, with intervals over ``draws`` (B, N)."""
    columns = np.flatnonzero(scores.labels.sum(0) >= LEAST_POSITIVES)
    if not len(columns):
        return {name: Figure(float("nan")) for name in METRICS}

    def means(rows: NDArray[np.intp]) -> list[float]:
        figures = [_measure(scores, int(i), rows) for i in columns]
        return [float(value) for value in np.mean(figures, axis=0)]

    return estimate_by_rows(METRICS, means, draws)


def _measure(scores: LabelledScores, finding: int, rows: NDArray[np.intp]) -> list[float]:
    """Figures of a finding, a column, by the names of `METRICS`."""
    probabilities, labels, held_out = (
        values[rows, finding] for values in (scores.probabilities, scores.labels, scores.held_out)
    )
    errors = [reliability_bins(values, labels).error for values in (probabilities, held_out)]
    return [auc(probabilities, labels), average_precision(probabilities, labels), *errors]


def _share(mask: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Share of the (N,) cases ``among`` that are in the ``mask`` too; nan where there are none."""
    return float(mask[among].mean()) if among.any() else float("nan")
