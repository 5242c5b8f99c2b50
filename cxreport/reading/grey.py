"""Grey values of any depth to 8 bits, through a table over the values that occur.

Every grey transformation of DICOM (PS3.3 C.11) is a function of the single value. So it is computed once per value
(65,536 at most for 16 bits) in float64, and the pixels are looked up: exact, and a 16-megapixel image needs no
floating-point copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxreport.types import Grey, Pixels

Integers = NDArray[np.integer[Any]]
Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Table = Callable[[Integers, Counts], Values]
"""(N,) ascending values and how often each occurs -> (N,) brightness from 0 (black) to 1 (white)."""

PERCENTILES = (0.5, 99.5)
"""Limits of the window of an image that brings none."""
_BLOCK_PIXELS = 1 << 20
_MAX_SPAN = 1 << 20


def through_table(pixels: Integers, table: Table) -> Grey:
    """Map each pixel through a table that is computed once per value.

    Args:
        pixels: (H, W) integers of any width.
        table: the mapping, called with the values that lie between minimum and maximum.

    Returns:
        (H, W) 8-bit grey.
    """
    low, high = int(pixels.min()), int(pixels.max())
    if high - low >= _MAX_SPAN:
        distinct, inverse = np.unique(pixels, return_inverse=True)
        return _lookup(inverse.reshape(pixels.shape), 0, distinct.astype(np.int64), table)
    return _lookup(pixels, low, np.arange(low, high + 1), table)


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
    order = np.argsort(values, kind="stable")
    share = np.cumsum(counts[order]) / counts.sum() * 100
    low, high = (values[order][np.searchsorted(share, percentile)] for percentile in PERCENTILES)
    if high <= low:  # almost everything has one value: show what stands out
        low, high = values[counts > 0].min(), values[counts > 0].max()
    if high <= low:
        return np.zeros_like(values)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def is_blank(pixels: Pixels) -> bool:
    """True for pixels of one value: an exposure without a patient, or a frame that was never filled."""
    return bool(np.ptp(pixels[::16, ::16]) == 0) and bool(np.ptp(pixels) == 0)


def to_bytes(brightness: Values) -> Grey:
    """Round brightness from 0 to 1 to 8 bits."""
    return np.asarray(np.floor(np.clip(brightness, 0, 1) * 255 + 0.5).astype(np.uint8))


def _lookup(pixels: Integers, low: int, values: Integers, table: Table) -> Grey:
    counts: Counts = np.zeros(len(values), np.int64)
    for rows in _blocks(pixels):
        counts += np.bincount((pixels[rows].astype(np.int64) - low).ravel(), minlength=len(values))
    grey = to_bytes(table(values, counts))
    out = np.empty(pixels.shape, np.uint8)
    for rows in _blocks(pixels):
        out[rows] = grey[pixels[rows].astype(np.int64) - low]
    return out


def _blocks(pixels: Integers) -> Iterator[slice]:
    step = max(1, _BLOCK_PIXELS // max(1, pixels.shape[1]))
    for start in range(0, pixels.shape[0], step):
        yield slice(start, start + step)
