"""Reliability diagrams: a square per finding."""

from __future__ import annotations

import numpy as np

from cxreport.evaluate import tags
from cxreport.evaluate.tables.reliability_plot import reliability_plot


def test_the_plot_has_a_square_per_finding() -> None:
    bins = tags.reliability_bins(np.array([0.1, 0.9], np.float32), np.array([0, 1], np.float32))
    few, many = (reliability_plot({str(i): bins for i in range(n)}) for n in (4, 5))
    assert many.width == few.width
    assert many.height > few.height
    assert len(few.getcolors(1 << 20)) > 2
