"""Pictures of more than 8 bits as 8-bit grey: as they are where they fill their range, else stretched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxreport.reading.grey import (
    LUMINANCE,
    STRETCHED,
    Counts,
    Integers,
    OwnBrightness,
    Values,
    own_brightness,
    row_blocks,
    through_table,
)
from cxreport.reading.instance import Rendering
from cxreport.reading.pictures.bands import bands
from cxreport.reading.shrink import shrink

if TYPE_CHECKING:
    from cxreport.reading.pictures.sixteen_bits import Samples

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Modes of Pillow for grey of more than 8 bits."""
_SIXTEEN_BITS = 65535
_WHOLE_RANGE = (0.0, float(_SIXTEEN_BITS))
_NO_LIMITS = (0.0, 0.0)


def deep_rendering(samples: Samples, colour: bool, side: int | None) -> Rendering:
    """Colour of 16 bits: one window over the three channels, or over the luminance.

    Args:
        samples: (H, W) grey or (H, W, 3) RGB.
        colour: keep the colours.
        side: of the square that the pixels are needed for; None keeps every pixel.

    Returns:
        (H, W), or (H, W, 3) in colour.
    """
    if samples.ndim == 2:
        return _deep_grey(samples, side)
    if colour and any((samples[rows] != samples[rows, :, :1]).any() for rows in row_blocks(samples)):
        return _shown(samples, _WHOLE_RANGE)[0]
    luminance = np.empty(samples.shape[:2], np.uint16)
    for rows in row_blocks(samples):
        luminance[rows] = np.rint(samples[rows] @ LUMINANCE)
    return _deep_grey(luminance, side)


def deep_picture(image: Image.Image, side: int | None) -> Rendering:
    """A loaded picture of one of `DEEP_MODES`, (H, W); floating-point grey keeps every pixel."""
    return _float_grey(image) if image.mode == "F" else _deep_grey(_values(image), side)


def _deep_grey(values: Integers, side: int | None) -> Rendering:
    """Integers, (H, W): as they are where they fill 16 bits, else stretched."""
    limits = _WHOLE_RANGE if values.dtype.kind == "u" and values.dtype.itemsize == 2 else _NO_LIMITS
    shrunk = shrink(values, side)
    shown, doubtful = _shown(shrunk, limits)
    return _shown(values, limits)[0] if doubtful and shrunk is not values else shown


def _float_grey(image: Image.Image) -> Rendering:
    """Floating-point grey, in 16 bits between its least and its greatest value, in bands."""
    bounds = [(numbers.min(), numbers.max()) for box in bands(image) for numbers in [_finite(image.crop(box))]]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
    levels = np.zeros((image.height, image.width), np.uint16)
    if high <= low:
        return Rendering(levels.astype(np.uint8))
    for box in bands(image):
        numbers = _finite(image.crop(box))
        levels[box[1] : box[3]] = np.rint((numbers - low) / (high - low) * _SIXTEEN_BITS)
    return _shown(levels, _NO_LIMITS)[0]


def _shown(values: Integers, limits: tuple[float, float]) -> tuple[Rendering, bool]:
    """Integers as grey, and whether a few values more or less would change the window."""
    found: list[OwnBrightness] = []

    def table(present: Integers, counts: Counts) -> Values:
        found.append(own_brightness(present.astype(np.float64), counts, limits, believed=False))
        return found[0].values

    grey = through_table(values, table)
    return Rendering(grey, (STRETCHED,) if found[0].stretched else ()), found[0].doubtful


def _values(image: Image.Image) -> Integers:
    """(H, W) values of deep grey, in bands: numpy would take a copy of the whole on the way."""
    values = np.empty((image.height, image.width), np.asarray(image.crop((0, 0, 1, 1))).dtype)
    for box in bands(image):
        values[box[1] : box[3]] = np.asarray(image.crop(box))
    return values


def _finite(image: Image.Image) -> NDArray[np.float64]:
    """(H, W) floating-point grey, with zeros for what is no number."""
    return np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)
