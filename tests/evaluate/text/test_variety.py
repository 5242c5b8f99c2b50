"""Variety of texts against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cxreport.evaluate.text.variety import variety


def test_variety_by_hand() -> None:
    figures = variety(["A b.", "a b", "a c d", "e"], np.array([True, True, True, False]))
    assert {name: figure.value for name, figure in figures.items()} == {
        "distinct": 3 / 4,
        "distinct, abnormal": pytest.approx(2 / 3),
        "modal": 1 / 2,
        "vocabulary": 5,
        "mean words": 2,
    }
    assert np.isnan(variety(["a"], np.array([False]))["distinct, abnormal"].value)
