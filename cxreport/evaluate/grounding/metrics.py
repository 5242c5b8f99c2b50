"""Measures of one map against boxes: pointing game (Zhang et al. 2016), mass ratio and overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxreport.explain.heatmap import upsampled
from cxreport.types import Floats

THRESHOLDS = np.arange(1, 20) / 20
"""Shares of a map's maximum from which on a pixel counts as marked."""
_PLATEAU = 1e-6
"""Share of a map's maximum by which pixels of its peak may differ."""

Mask = NDArray[np.bool_]


def peak(weights: Floats, size: tuple[int, int]) -> Mask:
    """Pixels where a map (rows, columns), enlarged to ``size`` (height, width), is at its highest: (height, width)."""
    heat = upsampled(weights, *size)
    return np.asarray(heat >= heat.max() * (1 - _PLATEAU))


def share(pixels: Mask, target: Mask) -> float:
    """Share of pixels that lie in a target, both (height, width)."""
    return float(target[pixels].mean())


def hit(weights: Floats, mask: Mask) -> float:
    """Share of a map's peak inside the mask (S, S), which the map (rows, columns) is enlarged to: mostly 0 or 1."""
    height, width = mask.shape
    return share(peak(weights, (height, width)), mask)


def mass_ratio(weights: Floats, mask: Mask) -> float:
    """Share of the enlarged map that is inside, over the mask's share of the image: 1 for an even map."""
    heat = upsampled(weights, *mask.shape).astype(np.float64)
    return float(heat[mask].sum() / heat.sum() / mask.mean())


def overlaps(weights: Floats, mask: Mask) -> NDArray[np.float64]:
    """Intersection over union of the mask and what the enlarged map marks, for each of `THRESHOLDS`: (T,)."""
    heat = upsampled(weights, *mask.shape)
    marked = heat[None] >= THRESHOLDS[:, None, None].astype(np.float32) * heat.max()
    return np.asarray((marked & mask).sum((1, 2)) / (marked | mask).sum((1, 2)))


def leave_one_out(masks: Sequence[Mask]) -> list[Floats]:
    """Prior of each mask (S, S), the mean of the others (S, S); an even map where there is no other."""
    if len(masks) == 1:
        return [np.ones(masks[0].shape, np.float32)]
    total = np.sum(masks, axis=0, dtype=np.int64)
    return [np.asarray((total - mask) / (len(masks) - 1), np.float32) for mask in masks]
