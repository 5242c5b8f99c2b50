"""Cells of tables."""

from __future__ import annotations

import math

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.tables.format import interval, number


def test_cells_keep_their_digits() -> None:
    assert [number(value) for value in (0.5, -0.5, 1, 10.25, math.nan)] == [".500", "-.500", "1.000", "10.250", "-"]
    assert interval(Figure(0, -0.25, 0.5)) == "-.250 to .500"
    assert interval(Figure(0, 0.25, 0.5)) == ".250-.500"
