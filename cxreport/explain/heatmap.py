"""Heat maps: maps of a patch grid, smooth and in colour, over a picture that stays readable."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cxreport.types import Floats, Grey, Pixels

__all__ = ["COLOURS", "OPACITY", "coloured", "describe", "enlarged", "overlay", "peak", "peak_pixel", "upsampled"]

COLOURS = (
    (0, 0, 4),
    (12, 8, 38),
    (36, 12, 79),
    (66, 10, 104),
    (93, 18, 110),
    (120, 28, 109),
    (147, 38, 103),
    (174, 48, 92),
    (199, 62, 76),
    (221, 81, 58),
    (237, 105, 37),
    (248, 133, 15),
    (252, 165, 10),
    (250, 198, 45),
)
"""RGB from the smallest to the largest weight, ever lighter, after matplotlib's inferno without its palest end."""
OPACITY = 0.65
"""Opacity of the colour at the largest weight; 0 at no weight."""
_PEAK_RATIO = 1.2
"""Least ratio of the largest weight to the mean at which a map has a peak to describe."""


def upsampled(weights: Floats, height: int, width: int) -> Floats:
    """Spread a map over a picture.

    Args:
        weights: (rows, columns), not negative.
        height: of the picture in pixels.
        width: of the picture in pixels.

    Returns:
        (height, width) bilinear between the centres of the patches; 1 for the largest weight of the map, 0 for none.
    """
    largest = float(weights.max())
    relative = weights.astype(np.float32) / largest if largest > 0 else np.zeros_like(weights, np.float32)
    smooth = Image.fromarray(relative).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(np.clip(np.asarray(smooth), 0, 1), dtype=np.float32)


def coloured(heat: Floats) -> Floats:
    """(H, W) from 0 to 1 -> (H, W, 3) RGB from 0 to 255, between the entries of the colour table."""
    levels, table = np.linspace(0, 1, len(COLOURS)), np.array(COLOURS, np.float32)
    return np.stack([np.interp(heat, levels, table[:, channel]) for channel in range(3)], -1).astype(np.float32)


def overlay(grey: Grey, weights: Floats) -> Pixels:
    """Lay a map over a picture.

    Args:
        grey: (H, W) picture.
        weights: (rows, columns) map that covers the picture.

    Returns:
        (H, W, 3) RGB; the opacity of the colour grows with the weight, up to `OPACITY`.
    """
    heat = upsampled(weights, *grey.shape)
    opacity = OPACITY * heat[..., None]
    blended = (1 - opacity) * grey[..., None] + opacity * coloured(heat)
    return np.asarray(np.floor(blended + 0.5), dtype=np.uint8)


def enlarged(grey: Grey, size: int) -> Grey:
    """(H, W) -> a picture whose longer side has at least ``size`` pixels; a larger one stays as it is."""
    height, width = grey.shape
    scale = size / max(height, width)
    if scale <= 1:
        return grey
    shape = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(grey).resize(shape, Image.Resampling.BICUBIC), dtype=np.uint8)


def peak(weights: Floats) -> tuple[int, int]:
    """Row and column of the patch with the largest weight, the first of several."""
    row, column = np.unravel_index(int(weights.argmax()), weights.shape)
    return int(row), int(column)


def peak_pixel(weights: Floats, height: int, width: int) -> tuple[float, float]:
    """Centre of that patch in a picture of that size: pixels from the top, pixels from image left."""
    (row, column), (rows, columns) = peak(weights), weights.shape
    return (row + 0.5) * height / rows, (column + 0.5) * width / columns


def describe(weights: Floats) -> str:
    """Describe in words where a map is strongest, by thirds of the picture.

    Sides are those of the image: in a frontal view, image left is usually the patient's right.
    """
    if weights.max() < _PEAK_RATIO * weights.mean():
        return "about even over the picture"
    down, across = peak_pixel(weights, 1, 1)
    level = "upper" if down < 1 / 3 else "lower" if down > 2 / 3 else ""
    side = "image left" if across < 1 / 3 else "image right" if across > 2 / 3 else "middle"
    if side == "middle" and not level:
        return "strongest at the centre"
    return f"strongest at the {level} {side}".replace("  ", " ")
