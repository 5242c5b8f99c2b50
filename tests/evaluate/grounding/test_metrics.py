"""Measures of one map against boxes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cxreport.evaluate.grounding.boxes import box_mask
from cxreport.evaluate.grounding.metrics import THRESHOLDS, hit, leave_one_out, mass_ratio, overlaps

QUARTER = box_mask([(0, 0, 0.5, 0.5)], 8)


def corner(row: int, column: int) -> np.ndarray:
    """(2, 2) a map with all its weight in one patch."""
    weights = np.zeros((2, 2), np.float32)
    weights[row, column] = 1
    return weights


EVEN = np.full((2, 2), 0.25, np.float32)


def test_the_peak_is_inside_or_outside_or_everywhere() -> None:
    assert hit(corner(0, 0), QUARTER) == 1
    assert hit(corner(1, 0), QUARTER) == 0
    assert hit(EVEN, QUARTER) == pytest.approx(1 / 4)


def test_mass_ratio_by_hand() -> None:
    assert mass_ratio(EVEN, QUARTER) == pytest.approx(1)
    exact = np.zeros((8, 8), np.float32)
    exact[:4, :4] = 1
    assert mass_ratio(exact, QUARTER) == pytest.approx(4)
    assert mass_ratio(1 - exact, QUARTER) == 0
    assert mass_ratio(3 * exact + 1, QUARTER) == pytest.approx(16 * 4 / (16 * 4 + 48) * 4)


def test_overlap_by_hand() -> None:
    weights = np.zeros((8, 8), np.float32)
    weights[:4, :4], weights[:4, 4:] = 1, 0.5
    by_threshold = dict(zip(THRESHOLDS.round(2), overlaps(weights, QUARTER), strict=True))
    assert by_threshold[0.5] == pytest.approx(16 / 32)
    assert by_threshold[0.55] == 1
    assert overlaps(7 * weights, QUARTER) == pytest.approx(overlaps(weights, QUARTER))


def test_the_prior_is_that_of_the_other_images() -> None:
    left, right = np.zeros((2, 2), bool), np.zeros((2, 2), bool)
    left[:, 0], right[:, 1] = True, True
    own, *others = leave_one_out([left, right, right])
    assert own.tolist() == [[0, 1], [0, 1]]
    assert all(other.tolist() == [[0.5, 0.5], [0.5, 0.5]] for other in others)
    assert leave_one_out([left])[0].tolist() == [[1, 1], [1, 1]]
