"""Fewer pixels before the grey transformations: a radiograph has some 300 times as many as the network takes.

A window and a table of grey values are close to linear over the few pixels that are averaged here, so averaging before
them does what averaging after them does; the percentiles of an image that brings no window hardly move. `KEPT` is the
margin for where that is not quite so: over real radiographs in all encodings no probability of the shipped bundle moves
by more than .02 (tests/test_shrink_shipped.py), which half the margin does not keep to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cxreport.reading.grey import Integers
from cxreport.types import Grey

KEPT = 4
"""The pixels kept along an axis are at least this many times the side of the network input."""
_BAND_BYTES = 1 << 18
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
    blocks = Blocks.of(pixels.shape, side)
    if blocks.is_one_pixel:
        return pixels
    step = blocks.rows_of_a_band(pixels.dtype)
    return np.concatenate([blocks.means(pixels[top : top + step]) for top in range(0, len(pixels), step)])


class Blocks(NamedTuple):
    """Blocks of pixels, of which each becomes one."""

    down: int
    """Rows of a block."""
    across: int
    """Columns of a block."""
    columns: int
    """Columns of the image."""

    @classmethod
    def of(cls, shape: tuple[int, ...], side: int | None) -> Blocks:
        """The blocks of an image of (H, W) pixels that are needed for a square of this side, see `shrink`."""
        return cls(shrink_factor(shape[0], side), shrink_factor(shape[1], side), shape[1])

    @property
    def is_one_pixel(self) -> bool:
        """True for blocks that leave the image as it is."""
        return self.down == self.across == 1

    def rows_of_a_band(self, kind: np.dtype[Any]) -> int:
        """Rows of whole blocks that a core's cache holds, of pixels of this kind."""
        return self.down * max(1, _BAND_BYTES // (self.down * self.columns * kind.itemsize))

    def means(self, band: Integers) -> Integers:
        """Average some rows of the image: those of whole blocks, but for the last rows of all.

        Args:
            band: (h, W) integers.

        Returns:
            (ceil(h / down), ceil(W / across)) means of the same kind.
        """
        rows, columns = -(-len(band) // self.down), -(-self.columns // self.across)
        means = np.empty((rows, columns), band.dtype.newbyteorder("="))
        for from_rows, to_rows, down in _cuts(len(band), self.down):
            for from_columns, to_columns, across in _cuts(self.columns, self.across):
                half = down * across // 2
                sums = _sums(_sums(band[from_rows, from_columns], down).T, across, half).T
                means[to_rows, to_columns] = (sums + half) // (down * across)
        return means


def is_mostly_clipped(grey: Grey) -> bool:
    """Check for a narrow window that left little but black and white: averages before and after it differ.

    Args:
        grey: (H, W).
    """
    return bool(np.count_nonzero((grey == 0) | (grey == 255)) > _CLIPPED * grey.size)


def _cuts(length: int, factor: int) -> Iterator[tuple[slice, slice, int]]:
    """Pixels of an axis, what becomes of them, and how many become one: of the whole blocks, and of what remains."""
    whole = length // factor
    if whole:
        yield slice(0, whole * factor), slice(0, whole), factor
    if length % factor:
        yield slice(whole * factor, length), slice(whole, whole + 1), length % factor


def _sums(pixels: Integers, factor: int, more: int = 0) -> Integers:
    """Sums over ``factor`` rows each, in integers that hold ``more`` than the largest of them.

    The smallest are the fastest: twice as many fit a register.
    """
    kind = np.dtype(np.int32 if pixels.dtype.itemsize <= 2 else np.int64)
    if pixels.dtype.kind == "u":
        kind = max(np.min_scalar_type(int(pixels.max()) * factor + more), np.dtype(np.uint16))
    sums: Integers = pixels[::factor].astype(kind)
    for offset in range(1, factor):
        np.add(sums, pixels[offset::factor], out=sums, dtype=kind)
    return sums
