"""Square grids of patches: shape and resolution of the maps over them."""

from __future__ import annotations

import math

import numpy as np

from cxreport.types import Floats

_SMALL = 1e-9


def square(weights: Floats) -> Floats:
    """(P,) -> (rows, columns)."""
    side = math.isqrt(weights.size)
    return weights.reshape(side, side)


def resized(weights: Floats, patches: int) -> Floats:
    """(P,) of a square grid -> (patches,) of a finer or coarser one, bilinearly, with a sum of 1."""
    if len(weights) == patches:
        return weights

    from PIL import Image  # only maps that are asked for are resized

    side = math.isqrt(patches)
    picture = Image.fromarray(square(weights).astype(np.float32))
    scaled = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR), np.float32).ravel()
    return np.asarray(scaled / max(float(scaled.sum()), _SMALL), np.float32)
