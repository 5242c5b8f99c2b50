"""Measures of maps against boxes: pointing game (Zhang et al. 2016), mass ratio and overlap, for one map each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.evaluate.grounding.words import peak, share
from cxreport.explain.heatmap import upsampled
from cxreport.types import Floats

THRESHOLDS = np.arange(1, 20) / 20
"""Shares of a map's maximum from which on a pixel counts as marked."""

Mask = NDArray[np.bool_]


def points(weights: Floats, mask: Mask) -> float:
    """Whether the peak of a map (rows, columns), enlarged to the mask (S, S), is inside; of several peaks the share."""
    height, width = mask.shape
    return share(peak(weights, (height, width)), mask)


def mass_ratio(weights: Floats, mask: Mask) -> float:
    """Share of the enlarged map that is inside, over the mask's share of the image: 1 for an even map."""
    heat = upsampled(weights, *mask.shape).astype(np.float64)
    return float(heat[mask].sum() / heat.sum() / mask.mean())


def overlaps(weights: Floats, mask: Mask) -> NDArray[np.float64]:
    """(T,) intersection over union of the mask and what the enlarged map marks, for each of `THRESHOLDS`."""
    heat = upsampled(weights, *mask.shape)
    marked = heat[None] >= THRESHOLDS[:, None, None].astype(np.float32) * heat.max()
    return np.asarray((marked & mask).sum((1, 2)) / (marked | mask).sum((1, 2)))


def leave_one_out(masks: Sequence[Mask]) -> list[Floats]:
    """For each mask (S, S) the mean of the others, (S, S); an even map where there is no other."""
    if len(masks) == 1:
        return [np.ones(masks[0].shape, np.float32)]
    total = np.sum(masks, axis=0, dtype=np.int64)
    return [np.asarray((total - mask) / (len(masks) - 1), np.float32) for mask in masks]
