"""Points of growth: what something costs at one size after another."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class GrowthPoint:
    """Cost at one size."""

    size: float
    figures: dict[str, float]
    """Figure, which ends with its unit, as in ``first record, s`` -> value; without those that this system does not
    tell."""


@dataclass(frozen=True)
class Growth:
    """Cost at one size after another, the smallest first."""

    of: str
    """What grows, as ``files in a folder``."""
    points: tuple[GrowthPoint, ...]

    @property
    def exponents(self) -> dict[str, float]:
        """Exponent b of each figure that grows as size to the power of b, where size doubled last, or more."""
        if len(self.points) < 2:
            return {}
        last = self.points[-1]
        before = next((point for point in self.points[-2::-1] if 2 * point.size <= last.size), self.points[0])
        return {
            name: math.log(value / before.figures[name]) / math.log(last.size / before.size)
            for name, value in last.figures.items()
            if value > 0 and before.figures.get(name, 0) > 0
        }
