"""Colour of DICOM images to brightness, and whether there is more of it than on a radiograph with a coloured mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from cxreport.reading.dicom.display import Display
from cxreport.reading.grey import LUMINANCE, Counts, Integers, Values, row_blocks, through_table, to_bytes
from cxreport.types import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CONVERTED = ("YBR_FULL", "YBR_FULL_422")
"""Photometric interpretations that pydicom converts to RGB (PS3.3 C.7.6.3.1.2)."""
_COLOUR_SPREAD = 0.15
"""Of the range of brightness: channels of a pixel that lie further apart make it coloured."""
_COLOURED_SHARE = 0.02
"""Of the pixels: where more are coloured, it is not a grey picture with a mark in colour."""


def displayed_colour(array: NDArray[Any], photometric: str, bits: int) -> Display:
    """Present colour pixels by their luminance.

    Some rows at a time: floating-point copies of the whole would take fifteen times its memory.

    Args:
        array: (H, W, 3) stored values.
        photometric: photometric interpretation of the values, RGB or a YBR variant; one that pydicom can convert
            becomes RGB, of any other the first channel is the luminance.
        bits: depth of the values.
    """
    white = 2**bits - 1
    grey = np.empty(array.shape[:2], np.uint8)
    for rows in row_blocks(array):
        grey[rows] = _luminance(array[rows], photometric, white)
    return Display(grey, coloured=_is_coloured(array, photometric, white))


def _luminance(array: NDArray[Any], photometric: str, white: int) -> Grey:
    """Luminance of (H, W, 3) values, in 8 bits."""
    if not _becomes_rgb(photometric):
        return to_bytes(array[..., 0] / float(white))
    return to_bytes(np.asarray(_as_rgb(array, photometric) @ (LUMINANCE / white), np.float64))


def _becomes_rgb(photometric: str) -> bool:
    return photometric == "RGB" or photometric in _CONVERTED


def _as_rgb(array: NDArray[Any], photometric: str) -> NDArray[Any]:
    return convert_color_space(array, photometric, "RGB") if photometric in _CONVERTED else array


def displayed_palette(stored: Integers, header: Dataset) -> Display:
    """Present indices of a palette by its luminance (PS3.3 C.7.6.3.1.5, C.7.9).

    Args:
        stored: (H, W) indices.
        header: the instance's attributes, with the palette.
    """
    palette = _Palette(header)
    grey = through_table(stored, palette.luminance)
    return Display(grey, coloured=palette.coloured)


def _is_coloured(array: NDArray[Any], photometric: str, white: int) -> bool:
    """True where more than a few pixels of a thousandfold sample have a colour."""
    step = max(1, min(array.shape[:2]) // 256)
    samples = _as_rgb(array[::step, ::step], photometric).astype(np.float32) / white
    is_rgb = _becomes_rgb(photometric)
    spread = np.ptp(samples, axis=-1) if is_rgb else 2 * np.abs(samples[..., 1:] - 0.5).max(axis=-1)
    return bool(np.mean(spread > _COLOUR_SPREAD) > _COLOURED_SHARE)


class _Palette:
    """Palette of an image.

    Attributes:
        coloured: after `luminance`, true where more than a few pixels have a colour.
    """

    coloured = False

    def __init__(self, header: Dataset) -> None:
        self._header = header

    def luminance(self, values: Integers, counts: Counts) -> Values:
        """(N,) brightness of the values."""
        colors = apply_color_lut(values[np.newaxis].astype(np.int32), self._header)[0, :, :3]
        if self._header.original_encoding[1] is False and colors.dtype.itemsize == 2:
            colors = colors.byteswap()  # pydicom reads the tables of big endian files as little endian
        shares = colors / np.iinfo(colors.dtype).max
        self.coloured = bool(counts[np.ptp(shares, axis=-1) > _COLOUR_SPREAD].sum() > _COLOURED_SHARE * counts.sum())
        return np.asarray(colors @ LUMINANCE / np.iinfo(colors.dtype).max, np.float64)
