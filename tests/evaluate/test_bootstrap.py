"""Intervals: the same each time, and about as wide as theory says."""

from __future__ import annotations

import numpy as np
import pytest

from cxreport.evaluate.bootstrap import Figure, draw_studies, estimate_by_rows, mean_statistics
from cxreport.evaluate.run import to_json

NO_DRAWS = draw_studies(1, 0)


def test_the_bootstrap_is_the_same_each_time_and_holds_the_mean() -> None:
    rows = np.arange(100, dtype=float)[:, None]
    figures = [mean_statistics(("x",), rows).estimate(draw_studies(100, 500))["x"] for _ in range(2)]
    assert figures[0] == figures[1]
    assert figures[0].value == pytest.approx(49.5)
    # the standard error of the mean is 28.9 / 10
    assert figures[0].low == pytest.approx(49.5 - 1.96 * 2.89, abs=0.8)
    assert figures[0].high == pytest.approx(49.5 + 1.96 * 2.89, abs=0.8)
    by_rows = estimate_by_rows(("x",), lambda rows_drawn: [float(rows[rows_drawn].mean())], draw_studies(100, 500))["x"]
    assert (by_rows.low, by_rows.high) == pytest.approx((figures[0].low, figures[0].high))


def test_without_resamples_there_is_no_interval() -> None:
    assert mean_statistics(("x",), np.ones((1, 1))).estimate(NO_DRAWS)["x"] == Figure(1.0, None, None)
    assert to_json({"x": Figure(float("nan"))}) == {"x": {"value": None, "low": None, "high": None}}
