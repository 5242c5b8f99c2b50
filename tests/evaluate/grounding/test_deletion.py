"""Masks of the deletion test, and a tag that lives on one quarter of the image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.grounding.deletion import DeletionImage, evenly, masked, measure_deletion, top_cells
from cxreport.evaluate.run import to_json

HEART, FLUID = "Cardiomegaly", "Effusion"


def corner(row: int, column: int) -> np.ndarray:
    """(2, 2) a map with all its weight in one patch."""
    weights = np.zeros((2, 2), np.float32)
    weights[row, column] = 1
    return weights


def test_masking_by_hand() -> None:
    pixels, blank = np.arange(16, dtype=np.uint8).reshape(4, 4), np.full((4, 4), 99, np.uint8)
    cells = np.array([[False, True], [False, False]])
    assert masked(pixels, blank, cells).tolist() == [[0, 1, 99, 99], [4, 5, 99, 99], [8, 9, 10, 11], [12, 13, 14, 15]]
    weights = np.arange(25, dtype=np.float32).reshape(5, 5)
    assert np.flatnonzero(top_cells(weights)).tolist() == [20, 21, 22, 23, 24]
    assert top_cells(corner(1, 0)).sum() == 1
    assert evenly(np.arange(10), 3).tolist() == [0, 3, 6]
    assert evenly(np.arange(2), 3).tolist() == [0, 1]


def test_a_tag_falls_where_what_it_lives_on_is_masked() -> None:
    """A made-up tag that is the brightness of the upper left quarter: one map finds it, the other does not."""
    blank = np.zeros((8, 8), np.uint8)

    def probabilities(images: list[np.ndarray]) -> list[dict[str, float]]:
        return [{FLUID: float(image[:4, :4].mean() / 255), HEART: 0.5} for image in images]

    bright = np.full((8, 8), 255, np.uint8)
    seeing, missing = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)
    seeing[:4, :4], missing[4:, 4:] = 1, 1
    images = [
        DeletionImage(bright, {FLUID: 1.0, HEART: 0.5}, {FLUID: (seeing, missing), HEART: (seeing, None)})
        for _ in range(4)
    ]
    figures = measure_deletion(images, blank, probabilities, 10)
    fluid, heart = figures.findings[FLUID], figures.findings[HEART]
    assert (fluid.pairs, heart.pairs, figures.overall.pairs) == (4, 4, 8)
    assert fluid.figures["attended"] == Figure(1, 1, 1)
    assert fluid.figures["activation"].value == 0
    assert fluid.figures["drop attended"].value == pytest.approx(13 / 16)  # a fifth of 64 patches
    assert fluid.figures["drop activation"].value == 0
    assert 0.1 < fluid.figures["drop random"].value < 0.3  # a fifth of the quarter
    assert heart.figures["attended"].value == 0  # it does not fall at all
    assert math.isnan(heart.figures["activation"].value)
    assert figures.overall.figures["attended"].value == pytest.approx(1 / 2)
    assert figures.overall.figures["activation"].value == 0
    assert to_json(measure_deletion(images, blank, probabilities, 10)) == to_json(figures)
