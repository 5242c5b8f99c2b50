"""Fewer pixels before the grey transformations: a radiograph has some 300 times as many as the network takes.

A window and a table of grey values are close to linear over the few pixels that are averaged here, so averaging before
them does what averaging after them does; the percentiles of an image that brings no window hardly move. `KEPT` is the
margin for where that is not quite so: over real radiographs in all encodings no probability of the shipped bundle moves
by more than .02 (tests/test_shrink_shipped.py), which half the margin does not keep to.
"""

from __future__ import annotations

import numpy as np

from cxreport.reading.grey import Integers
from cxreport.types import Grey

KEPT = 4
"""The pixels kept along an axis are at least this many times the side of the network input."""
_MOST = 128  # sums of 128 x 128 values of 16 bits fit 32
_CLIPPED = 0.75  # the window of a radiograph clips a few per cent


def shrink_factor(length: int, side: int | None) -> int:
    """Number of pixels along an axis that may become one.

    Args:
        length: pixels along the axis.
        side: side of the square that they are needed for; None keeps every pixel.

    Returns:
        A whole number, 1 for an axis that is short already.
    """
    return 1 if side is None else min(max(1, length // (KEPT * side)), _MOST)


def shrink(pixels: Integers, side: int | None) -> Integers:
    """Average an image over blocks of pixels, in integers.

    Args:
        pixels: (H, W) integers of 8 to 32 bits, signed or not.
        side: side of the square that they are needed for; None keeps every pixel.

    Returns:
        (ceil(H / a), ceil(W / b)) means, halves rounded up; the last row and column are over what remains. Never
        fewer than `KEPT` x side along an axis that had them.
    """
    down, across = (shrink_factor(length, side) for length in pixels.shape)
    if down == across == 1:
        return pixels
    sums = _sums(_sums(pixels, down).T, across).T
    counts = np.outer(_counts(pixels.shape[0], down), _counts(pixels.shape[1], across))
    return np.asarray((sums + counts // 2) // counts)


def is_mostly_clipped(grey: Grey) -> bool:
    """Check for a narrow window that left little but black and white: averages before and after it differ.

    Args:
        grey: (H, W).
    """
    return bool(((grey == 0) | (grey == 255)).mean() > _CLIPPED)


def _sums(pixels: Integers, factor: int) -> Integers:
    """Sums over ``factor`` rows each, the last over what remains."""
    sums: Integers = pixels[::factor].astype(np.int32 if pixels.dtype.itemsize <= 2 else np.int64)
    for offset in range(1, factor):
        rows = pixels[offset::factor]
        np.add(sums[: len(rows)], rows, out=sums[: len(rows)])
    return sums


def _counts(length: int, factor: int) -> Integers:
    """Number of pixels that each sum along an axis is over."""
    return np.minimum(factor, length - np.arange(0, length, factor, dtype=np.int32))
