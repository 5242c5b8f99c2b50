"""Figures with 95 % intervals: a bootstrap over studies (Efron 1979), from what each study adds to a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Draws = NDArray[np.int64]
_SEED = 20180715
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Figure:
    """A measured value and its 95 % interval, None where none was asked for; nan where it is not defined."""

    value: float
    low: float | None = None
    high: float | None = None


Systems = dict[str, dict[str, Figure]]
"""Who wrote -> metric -> figure."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What each study adds to some figures, so that a resample costs a sum and not another run of the metric."""

    names: tuple[str, ...]
    """Of the F figures."""
    rows: Rows
    """(N, K) of each study."""
    figures: Callable[[Rows], Rows]
    """(B, K) sums over studies -> (B, F)."""

    def estimate(self, draws: Draws) -> dict[str, Figure]:
        """Figures over all studies, and their intervals over ``draws`` (B, N)."""
        values = self.figures(self.rows.sum(0, keepdims=True))[0]
        return _with_intervals(self.names, values, self.figures(draws @ self.rows))


def mean_statistics(names: tuple[str, ...], rows: Rows) -> Statistics:
    """Means over studies of ``rows`` (N, F)."""
    counted = np.column_stack([np.ones(len(rows)), rows])
    return Statistics(names, counted, lambda sums: sums[:, 1:] / sums[:, :1])


def pooled_means(names: tuple[str, ...], values: Rows, studies: NDArray[np.int64], resamples: int) -> dict[str, Figure]:
    """Means over things of which a study has several, with intervals over studies.

    Args:
        names: of the F figures.
        values: (M, F) of the things; nan where one has no such value.
        studies: (M,) number of the study that each belongs to.
        resamples: of the intervals.
    """
    known = ~np.isnan(values)
    rows = by_study(np.column_stack([known, np.where(known, values, 0)]), studies)
    statistics = Statistics(names, rows, lambda sums: ratios(*np.split(sums, 2, axis=1)))
    return statistics.estimate(draw_studies(len(rows), resamples))


def by_study(rows: Rows, studies: NDArray[np.int64]) -> Rows:
    """(M, K) of things -> (N, K) sums over those of each study, in the order of the studies' numbers."""
    _, places = np.unique(studies, return_inverse=True)
    sums = np.zeros((int(places.max()) + 1, rows.shape[1]))
    np.add.at(sums, places, rows)
    return sums


def ratios(counts: Rows, sums: Rows) -> Rows:
    """Means; nan where nothing was counted."""
    means: Rows = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def draw_studies(studies: int, resamples: int) -> Draws:
    """(resamples, studies): how often each resample has each study; the same numbers give the same draws."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(studies, np.full(studies, 1 / studies), size=resamples)


def estimate_by_rows(
    names: tuple[str, ...], measure: Callable[[NDArray[np.intp]], list[float]], draws: Draws
) -> dict[str, Figure]:
    """For figures that are no function of sums, such as ranks: measure every resample anew.

    Args:
        names: of the F figures.
        measure: indices of studies, some of them several times -> F values.
        draws: (B, N) of `draw_studies`.
    """
    everyone = np.arange(draws.shape[1])
    resampled = np.array([measure(np.repeat(everyone, draw)) for draw in draws]).reshape(len(draws), len(names))
    return _with_intervals(names, np.array(measure(everyone)), resampled)


def _with_intervals(names: tuple[str, ...], values: Rows, resampled: Rows) -> dict[str, Figure]:
    """Put values (F,) and the percentiles of their resamples (B, F) together."""
    if not len(resampled):
        return {name: Figure(float(value)) for name, value in zip(names, values, strict=True)}
    low, high = np.percentile(resampled, _PERCENTILES, axis=0)
    return {n: Figure(*map(float, three)) for n, *three in zip(names, values, low, high, strict=True)}
