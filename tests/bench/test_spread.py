"""Repeats of a measurement, and the clock that takes them."""

from __future__ import annotations

from cxreport.bench.result import to_json
from cxreport.bench.spread import Spread, measure


def spread(*values: float) -> Spread:
    return Spread(values)


def test_spreads() -> None:
    repeats = spread(5, 1, 2, 4, 3)
    assert (repeats.median, repeats.quartiles) == (3, (2, 4))
    assert spread(7).quartiles == (7, 7)
    assert to_json(repeats) == {"repeats": [5, 1, 2, 4, 3], "median": 3, "quartiles": [2, 4]}
    calls: list[int] = []
    measured = measure(lambda: calls.append(1), 3, 0.5)
    assert (len(calls), len(measured.wall_ms.repeats), len(measured.cpu_ms.repeats)) == (4, 3, 3)
