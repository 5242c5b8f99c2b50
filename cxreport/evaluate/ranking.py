"""Rankings: similarities that tie where rows are equal, and precision of the first items, ties shared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Floats

Scores = NDArray[np.float32]
Relevant = NDArray[np.bool_]


def precision_at(scores: Scores, relevant: Relevant, count: int) -> NDArray[np.float64]:
    """Share of relevant items among those with the highest scores: (...).

    Items that tie at the last place share the remaining places, as the mean over all their orders would have it.

    Args:
        scores: (..., N).
        relevant: (..., N).
        count: places; N where there are fewer items.
    """
    count = min(count, scores.shape[-1])
    last = np.partition(scores, -count, axis=-1)[..., [-count]]
    above, tied = scores > last, scores == last
    remaining = count - above.sum(-1)
    hits = (above & relevant).sum(-1) + remaining * (tied & relevant).sum(-1) / tied.sum(-1)
    return np.asarray(hits / count, np.float64)


def product(queries: Floats, items: Floats) -> Scores:
    """Inner products of queries (N, E) and items (M, E): (N, M), equal to the last bit for equal items, which tie.

    A plain matrix product may give equal items other last bits, depending on their columns.
    """
    rows, indices = np.unique(items, axis=0, return_inverse=True)
    return np.asarray((queries @ rows.T)[:, indices.reshape(-1)], np.float32)


def cosine(queries: Floats, items: Floats) -> Scores:
    """Cosine similarities, as `product` of unit vectors; 0 where a row is zeros."""
    return product(_unit(queries), _unit(items))


def _unit(rows: Floats) -> Floats:
    lengths = np.sqrt((rows**2).sum(1, keepdims=True))
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
