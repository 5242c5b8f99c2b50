"""Precision of rankings with ties, and similarities that tie."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cxreport.evaluate.ranking import cosine, precision_at


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_precision_by_hand() -> None:
    scores = floats([0.1, 0.9, 0.5, 0.7], [0.9, 0.1, 0.7, 0.5])
    relevant = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)
    assert precision_at(scores, relevant, 1).tolist() == [1, 0]
    assert precision_at(scores, relevant, 2).tolist() == [1 / 2, 1 / 2]
    assert precision_at(scores, relevant, 3) == pytest.approx([1 / 3, 2 / 3])
    assert precision_at(scores, relevant, 9).tolist() == [1 / 2, 1 / 2]  # there are four


@pytest.mark.parametrize("count", range(1, 6))
def test_ties_share_the_places_as_all_orders_would(count: int) -> None:
    scores, relevant = floats([0.9, 0.5, 0.5, 0.5, 0.1])[0], np.array([0, 1, 0, 1, 1], bool)
    orders = [
        order
        for order in itertools.permutations(range(5))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    assert len(orders) == 6
    expected = np.mean([relevant[list(order[:count])].mean() for order in orders])
    assert precision_at(scores, relevant, count) == pytest.approx(expected)


def test_cosine_by_hand_and_equal_rows_tie() -> None:
    similarities = cosine(floats([3, 4], [0, 0]), floats([1, 0], [8, 6]))
    assert similarities == pytest.approx(floats([0.6, 0.96], [0, 0]))
    random = np.random.default_rng(0)
    for images, reports, width in ((33, 19, 300), (1, 50, 257), (3, 7, 1000)):
        queries, item = random.standard_normal((images, width)), random.standard_normal((1, width))
        similar = cosine(queries.astype(np.float32), np.repeat(item, reports, 0).astype(np.float32))
        assert similar.shape == (images, reports)
        assert (similar == similar[:, :1]).all()
