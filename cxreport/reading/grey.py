"""Grey values of any depth to 8 bits, through a table over the values that occur.

Every grey transformation of DICOM (PS3.3 C.11) is a function of the single value. So it is computed once per value
(65,536 at most for 16 bits) in float64, and the pixels are looked up: exact, and a 16-megapixel image needs no
floating-point copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Grey, Pixels

Integers = NDArray[np.integer[Any]]
Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
Table = Callable[[Integers, Counts], Values]
"""(N,) ascending values and how often each occurs -> (N,) brightness from 0 (black) to 1 (white)."""

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601, as PS3.3 C.7.6.3.1.2 has it for YBR_FULL)."""
PERCENTILES = (0.5, 99.5)
"""Limits of the window of an image that brings none, and whose range is not known."""
STRETCHED = "Stretched between percentiles 0.5 and 99.5: no window fits, and under a quarter of the range is in use."
"""Note on an image that is shown so."""
_LEAST_USED = 0.25
"""Share of a range that the values of an image have to fill for the range to be believed."""
_DOUBT = 0.02, 0.06
"""Shares as little above that, or below, may lie on its other side with every pixel looked at: averages vary less."""
_BLOCK_PIXELS = 1 << 20
_MAX_SPAN = 1 << 20


@dataclass(frozen=True)
class OwnBrightness:
    """Brightness of an image by its own values, for want of a window."""

    values: Values
    """(N,) from 0 (black) to 1 (white)."""
    stretched: bool
    """True where the window lies between two percentiles; False where values are shown as they are."""
    doubtful: bool = False
    """True where a few values more or less would decide otherwise."""


def through_table(pixels: Integers, table: Table, counted: Mask | None = None) -> Grey:
    """Map each pixel through a table that is computed once per value.

    Args:
        pixels: (H, W) or (H, W, channels) integers of any width.
        table: the mapping, called with the values that lie between minimum and maximum.
        counted: (H, W) true for the pixels that count; None counts all.

    Returns:
        8-bit grey of the same shape.
    """
    low, high = int(pixels.min()), int(pixels.max())
    if high - low >= _MAX_SPAN:
        distinct, inverse = np.unique(pixels, return_inverse=True)
        return _lookup(inverse.reshape(pixels.shape), 0, distinct.astype(np.int64), table, counted)
    return _lookup(pixels, low, np.arange(low, high + 1), table, counted)


def own_brightness(values: Values, counts: Counts, limits: tuple[float, float], *, believed: bool) -> OwnBrightness:
    """Brightness of an image that brings no window: its values as they are, in the range that they are stored in.

    That is what DICOM says (PS3.4 N.2: without a VOI LUT that step is the identity). A range of which the values leave
    three quarters unused is another one than theirs, 16 bits stated for values of 12 say; they are stretched.

    Args:
        values: (N,) grey values.
        counts: (N,) number of pixels with each; 0 leaves a value out.
        limits: black and white of the range.
        believed: the range is beyond doubt.

    Returns:
        The brightness; of values beyond the range, stretched.
    """
    low, high = limits
    present = values[counts > 0]
    inside = present.size > 0 and low < high and bool(present.min() >= low and present.max() <= high)
    if not inside:
        return OwnBrightness(percentile_window(values, counts), stretched=True)
    darkest, brightest = _percentiles(values, counts)
    used = float((brightest - darkest) / (high - low))
    if believed or used >= _LEAST_USED:
        shown = np.asarray(np.clip((values - low) / (high - low), 0, 1))
        return OwnBrightness(shown, stretched=False, doubtful=not believed and used < _LEAST_USED + _DOUBT[0])
    return OwnBrightness(percentile_window(values, counts), stretched=True, doubtful=used > _LEAST_USED - _DOUBT[1])


def percentile_window(values: Values, counts: Counts) -> Values:
    """Stretch the values between two percentiles to the whole range of brightness.

    Args:
        values: (N,) grey values.
        counts: (N,) number of pixels with each; 0 leaves a value out of the percentiles.

    Returns:
        (N,) brightness from 0 to 1; an image of a single value is black.
    """
    if not counts.any():
        return np.zeros_like(values)
    low, high = _percentiles(values, counts)
    if high <= low:  # almost everything has one value: show what stands out
        low, high = values[counts > 0].min(), values[counts > 0].max()
    if high <= low:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _percentiles(values: Values, counts: Counts) -> tuple[float, float]:
    """The values at `PERCENTILES`."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum() * 100
    low, high = (float(values[order][np.searchsorted(share, percentile)]) for percentile in PERCENTILES)
    return low, high


def is_blank(pixels: Pixels) -> bool:
    """True for pixels of one value: an exposure without a patient, or a frame that was never filled."""
    return bool(np.ptp(pixels[::16, ::16]) == 0) and bool(np.ptp(pixels) == 0)


def to_bytes(brightness: Values) -> Grey:
    """Round brightness from 0 to 1 to 8 bits."""
    return np.asarray(np.floor(np.clip(brightness, 0, 1) * 255 + 0.5).astype(np.uint8))


def _lookup(pixels: Integers, low: int, values: Integers, table: Table, counted: Mask | None) -> Grey:
    blocks = list(row_blocks(pixels))
    indices = _indices(pixels, low) if len(blocks) == 1 else None
    counts: Counts = np.zeros(len(values), np.int64)
    for rows in blocks:
        places = _indices(pixels[rows], low) if indices is None else indices
        counts += np.bincount((places if counted is None else places[counted[rows]]).ravel(), minlength=len(values))
        del places  # before the next block takes as much
    grey = to_bytes(table(values, counts))
    if indices is not None:
        return grey[indices]
    out = np.empty(pixels.shape, np.uint8)
    for rows in blocks:
        out[rows] = grey[_indices(pixels[rows], low)]
    return out


def _indices(pixels: Integers, low: int) -> NDArray[np.intp]:
    """Places of pixels in a table that begins with the value ``low``."""
    indices = pixels.astype(np.intp)
    indices -= low
    return indices


def row_blocks(pixels: Integers) -> Iterator[slice]:
    """Rows of an image, some at a time: what is done block by block takes no further copy of the whole."""
    step = max(1, _BLOCK_PIXELS // max(1, pixels.shape[1]))
    for start in range(0, pixels.shape[0], step):
        yield slice(start, start + step)
