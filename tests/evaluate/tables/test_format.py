"""Cells of tables."""

from __future__ import annotations

import math

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.tables.format import factor, interval, number


def test_cells_keep_their_digits() -> None:
    assert [number(value) for value in (0.5, -0.5, 1, 10.25, math.nan)] == [".500", "-.500", "1.000", "10.250", "-"]
    assert interval(Figure(0, -0.25, 0.5)) == "-.250 to .500"
    assert interval(Figure(0, 0.25, 0.5)) == ".250-.500"


def test_factors_of_nothing_have_no_interval() -> None:
    assert (factor(1.25), factor(float("nan"))) == ("1.25", "-")
    assert interval(Figure(1.25, 1.0, 1.5), factor) == "1.00-1.50"
    assert interval(Figure(1.25, float("nan"), float("nan")), factor) == ""
