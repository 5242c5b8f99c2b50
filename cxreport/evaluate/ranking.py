"""Similarities that tie where they should, and the precision of what comes first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Floats

Scores = NDArray[np.float32]
Relevant = NDArray[np.bool_]


def precision_at(scores: Scores, relevant: Relevant, count: int) -> NDArray[np.float64]:
    """Share of relevant items among those with the highest scores.

    Items that tie at the last place share the places left, as the mean over all their orders would have it.

    Args:
        scores: (..., N).
        relevant: (..., N).
        count: places; N where there are fewer items.

    Returns:
        (...)
    """
    count = min(count, scores.shape[-1])
    last = np.partition(scores, -count, axis=-1)[..., [-count]]
    above, tied = scores > last, scores == last
    left = count - above.sum(-1)
    hits = (above & relevant).sum(-1) + left * (tied & relevant).sum(-1) / tied.sum(-1)
    return np.asarray(hits / count, np.float64)


def product(some: Floats, others: Floats) -> Scores:
    """(N, E) and (M, E) -> (N, M), the same to the last bit for rows of ``others`` that are the same, so that they tie.

    A plain product gives equal columns other last bits in other places.
    """
    rows, places = np.unique(others, axis=0, return_inverse=True)
    return np.asarray((some @ rows.T)[:, places.reshape(-1)], np.float32)


def cosine(some: Floats, others: Floats) -> Scores:
    """As `product`, of unit vectors; 0 where a row is zeros."""
    return product(_unit(some), _unit(others))


def _unit(rows: Floats) -> Floats:
    lengths = np.sqrt((rows**2).sum(1, keepdims=True))
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
