"""Figures with 95 % intervals: a bootstrap over studies (Efron 1979), from the summands of each study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Draws = NDArray[np.int64]
_SEED = 20180715
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Figure:
    """Measured value and its 95 % interval: None without resamples, nan where the value is not defined."""

    value: float
    low: float | None = None
    high: float | None = None


Systems = dict[str, dict[str, Figure]]
"""System, such as the model or a baseline -> metric -> figure."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Summands of figures by study, so that a resample costs a sum and not another run of the metric."""

    names: tuple[str, ...]
    """Names of the F figures."""
    rows: Rows
    """(N, K): the summands of each study."""
    figures: Callable[[Rows], Rows]
    """Function of sums over studies (B, K) -> figures (B, F)."""

    def estimate(self, draws: Draws) -> dict[str, Figure]:
        """Compute the figures over all studies, and their intervals over ``draws`` (B, N)."""
        values = self.figures(self.rows.sum(0, keepdims=True))[0]
        return _with_intervals(self.names, values, self.figures(draws @ self.rows))


def estimate_all(statistics: Iterable[Statistics], draws: Draws) -> dict[str, Figure]:
    """Figures of several statistics together, on the same ``draws`` (B, N)."""
    return {name: figure for summands in statistics for name, figure in summands.estimate(draws).items()}


def mean_statistics(names: tuple[str, ...], rows: Rows) -> Statistics:
    """Means over studies of ``rows`` (N, F)."""
    summands = np.column_stack([np.ones(len(rows)), rows])
    return Statistics(names, summands, lambda sums: sums[:, 1:] / sums[:, :1])


def pooled_means(names: tuple[str, ...], values: Rows, studies: NDArray[np.int64], resamples: int) -> dict[str, Figure]:
    """Means over items of which a study may have several, with intervals over studies.

    Args:
        names: of the F figures.
        values: (M, F) of the items; nan where one has no such value.
        studies: (M,) number of the study that each item belongs to.
        resamples: of the intervals.
    """
    defined = ~np.isnan(values)
    rows = by_study(np.column_stack([defined, np.where(defined, values, 0)]), studies)
    statistics = Statistics(names, rows, lambda sums: ratios(*np.split(sums, 2, axis=1)))
    return statistics.estimate(draw_studies(len(rows), resamples))


def by_study(rows: Rows, studies: NDArray[np.int64]) -> Rows:
    """Sum rows of items (M, K) over those of each study: (N, K), in the order of the studies' numbers."""
    _, indices = np.unique(studies, return_inverse=True)
    sums = np.zeros((int(indices.max()) + 1, rows.shape[1]))
    np.add.at(sums, indices, rows)
    return sums


def ratios(counts: Rows, sums: Rows) -> Rows:
    """Means from counts and sums; nan where the count is 0."""
    means: Rows = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def draw_studies(studies: int, resamples: int) -> Draws:
    """Draw resamples: (resamples, studies) counts of each study; the same numbers give the same draws."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(studies, np.full(studies, 1 / studies), size=resamples)


def estimate_by_rows(
    names: tuple[str, ...], measure: Callable[[NDArray[np.intp]], list[float]], draws: Draws
) -> dict[str, Figure]:
    """Estimate figures that are no function of sums, such as ranks, by measuring every resample anew.

    Args:
        names: of the F figures.
        measure: function of indices of studies, with repeats -> F values.
        draws: (B, N) of `draw_studies`.
    """
    studies = np.arange(draws.shape[1])
    resampled = np.array([measure(np.repeat(studies, draw)) for draw in draws]).reshape(len(draws), len(names))
    return _with_intervals(names, np.array(measure(studies)), resampled)


def _with_intervals(names: tuple[str, ...], values: Rows, resampled: Rows) -> dict[str, Figure]:
    """Figures from values (F,) and the percentiles of their resamples (B, F)."""
    if not len(resampled):
        return {name: Figure(float(value)) for name, value in zip(names, values, strict=True)}
    low, high = np.percentile(resampled, _PERCENTILES, axis=0)
    return {name: Figure(*map(float, row)) for name, *row in zip(names, values, low, high, strict=True)}
