"""Variety of texts against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cxreport.evaluate.text.variety import report_variety, variety


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


def test_content_is_counted_whatever_the_words() -> None:
    texts = [
        "Small left effusion. No pneumothorax.",
        "There is a small left pleural effusion.",
        "Possible small left effusion.",
        "Small right effusion.",
        "The lungs are clear.",
        "Normal chest.",
    ]
    figures = report_variety(texts, np.array([True, True, True, True, False, False]))
    assert figures["distinct"].value == 1
    assert figures["distinct by content"].value == pytest.approx(4 / 6)
    assert figures["content, abnormal"].value == pytest.approx(3 / 4)
    assert np.isnan(report_variety(["Edema."], np.array([False]))["content, abnormal"].value)
