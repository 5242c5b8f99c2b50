"""Maps on square grids of patches."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from cxreport.types import Floats

_SMALL = 1e-9


def square(weights: Floats) -> Floats:
    """(P,) -> (rows, columns)."""
    side = math.isqrt(weights.size)
    return weights.reshape(side, side)


def resized(weights: Floats, patches: int) -> Floats:
    """(P,) of a square grid -> (patches,) of a finer or coarser one, bilinearly, with a sum of 1."""
    side, wanted = math.isqrt(len(weights)), math.isqrt(patches)
    if side == wanted:
        return weights
    picture = Image.fromarray(weights.reshape(side, side).astype(np.float32))
    scaled = np.asarray(picture.resize((wanted, wanted), Image.Resampling.BILINEAR), np.float32).ravel()
    return np.asarray(scaled / max(float(scaled.sum()), _SMALL), np.float32)
