"""Repeats of a measurement, their median and quartiles, and the clock that takes them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Values of the repeats of a measurement."""

    repeats: tuple[float, ...]
    """At least one."""

    @property
    def median(self) -> float:
        """Median of the repeats."""
        return statistics.median(self.repeats)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the repeats."""
        if len(self.repeats) == 1:
            return self.repeats[0], self.repeats[0]
        low, _, high = statistics.quantiles(self.repeats, n=4, method="inclusive")
        return low, high

    def scaled(self, factor: float) -> Spread:
        """Convert to another unit, or to a share."""
        return Spread(tuple(factor * value for value in self.repeats))


@dataclass(frozen=True)
class Times:
    """Wall and CPU time of an action, in milliseconds."""

    wall_ms: Spread
    cpu_ms: Spread
    """CPU time of all threads of this process."""


def measure(action: Callable[[], object], repeats: int, share: float = 1.0) -> Times:
    """Time an action after one run to warm up.

    Args:
        action: what to time.
        repeats: of the measurement.
        share: factor of the times, 1 / n for an action on n studies.
    """
    action()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        walls.append(1000 * share * (time.perf_counter() - wall))
        cpus.append(1000 * share * (time.process_time() - cpu))
    return Times(Spread(tuple(walls)), Spread(tuple(cpus)))


def mean(spreads: Sequence[Spread]) -> Spread:
    """Mean of several measurements in each repeat."""
    return Spread(tuple(statistics.fmean(values) for values in zip(*(s.repeats for s in spreads), strict=True)))


def mean_times(times: Sequence[Times]) -> Times:
    """Mean of several measurements in each repeat, of wall and CPU time."""
    return Times(mean([t.wall_ms for t in times]), mean([t.cpu_ms for t in times]))
