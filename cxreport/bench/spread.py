"""Repeated measurements: their median, their spread, and how they are taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """What repeats of a measurement gave."""

    repeats: tuple[float, ...]
    """At least one."""

    @property
    def median(self) -> float:
        """Half of the repeats are no larger."""
        return statistics.median(self.repeats)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half of the repeats lies between them."""
        if len(self.repeats) == 1:
            return self.repeats[0], self.repeats[0]
        low, _, high = statistics.quantiles(self.repeats, n=4, method="inclusive")
        return low, high

    def scaled(self, factor: float) -> Spread:
        """In another unit, or of a share."""
        return Spread(tuple(factor * value for value in self.repeats))


@dataclass(frozen=True)
class Times:
    """How long something takes, in milliseconds."""

    wall_ms: Spread
    cpu_ms: Spread
    """Of all threads of this process."""


def measure(action: Callable[[], object], repeats: int, share: float = 1.0) -> Times:
    """Time an action after one run to warm up.

    Args:
        action: what to time.
        repeats: how often.
        share: what to multiply times by, 1 / n where the action does n things.
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
    """The mean of several things in each repeat."""
    return Spread(tuple(statistics.fmean(values) for values in zip(*(s.repeats for s in spreads), strict=True)))


def mean_times(times: Sequence[Times]) -> Times:
    """The mean of several things in each repeat."""
    return Times(mean([t.wall_ms for t in times]), mean([t.cpu_ms for t in times]))
