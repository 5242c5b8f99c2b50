"""Stored values to brightness: the grey pipeline of DICOM PS3.3 C.11, PS3.4 N.2 and PS3.14.

pydicom's functions of the same purpose are the reference in the tests. They are not called here because they need
float64 copies of the image, refuse the odd headers that are met in practice (a window width of 0), and look 8-bit
tables of more than 256 entries up with a wrapped index.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cxreport.reading.dicom.attributes import numbers, sequence, text
from cxreport.reading.grey import Counts, Integers, Values, percentile_window, through_table
from cxreport.types import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def display_grey(stored: Integers, header: Dataset) -> Grey:
    """Present monochrome pixels as P-values (PS3.14) of 8 bits: 0 is black.

    Modality LUT, then VOI LUT or window (a percentile window when there is none), then one inversion when the
    photometric interpretation is MONOCHROME1 or the Presentation LUT Shape is INVERSE: in the DX family the two state
    the same fact (PS3.3 C.8.11.3.1.2). Padding does not count for the window and is black.

    Args:
        stored: (H, W) stored values, sign-extended and without overlay bits.
        header: the instance's attributes.

    Returns:
        (H, W) 8-bit grey.
    """
    return through_table(stored, lambda values, counts: _brightness(values, counts, header))


def modality_values(stored: Integers, header: Dataset) -> Values:
    """Apply the Modality LUT or the rescale (PS3.3 C.11.1).

    Args:
        stored: (N,) stored values.
        header: the instance's attributes; a missing or unusable slope is 1, an intercept 0.

    Returns:
        (N,) modality values.
    """
    lut = _Lut.read(header, "ModalityLUTSequence")
    if lut is not None:
        return lut.entries[lut.indices(stored.astype(np.float64))]
    slope = next(iter(numbers(header, "RescaleSlope")), 1.0) or 1.0
    intercept = next(iter(numbers(header, "RescaleIntercept")), 0.0)
    return np.asarray(stored * slope + intercept, np.float64)


def voi_brightness(values: Values, header: Dataset) -> Values | None:
    """Apply the VOI LUT or the first usable window (PS3.3 C.11.2).

    Args:
        values: (N,) modality values.
        header: the instance's attributes.

    Returns:
        (N,) brightness from 0 to 1, or None when the header brings neither.
    """
    lut = _Lut.read(header, "VOILUTSequence")
    if lut is not None:
        return np.asarray(lut.entries[lut.indices(values)] / lut.white)
    function = text(header, "VOILUTFunction").upper()
    least = 0.0 if function in ("LINEAR_EXACT", "SIGMOID") else 1.0
    for center, width in zip(numbers(header, "WindowCenter"), numbers(header, "WindowWidth"), strict=False):
        if width >= least and width > 0:
            return _window(values, center, width, function)
    return None


def padding_mask(stored: Integers, header: Dataset) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Mask of the stored values that are padding (PS3.3 C.7.5.1.1.2).

    Args:
        stored: (N,) stored values.
        header: the instance's attributes.

    Returns:
        (N,) true for values between Pixel Padding Value and Pixel Padding Range Limit, in whatever order.
    """
    first = next(iter(numbers(header, "PixelPaddingValue")), None)
    if first is None:
        return np.zeros(stored.shape, np.bool_)
    last = next(iter(numbers(header, "PixelPaddingRangeLimit")), first)
    bits = next(iter(numbers(header, "BitsStored")), 16.0)
    if next(iter(numbers(header, "PixelRepresentation")), 0.0) == 1:
        # writers that put a signed value under the unsigned VR
        first, last = (limit - 2**bits if limit >= 2 ** (bits - 1) else limit for limit in (first, last))
    return np.asarray((stored >= min(first, last)) & (stored <= max(first, last)))


def _brightness(stored: Integers, counts: Counts, header: Dataset) -> Values:
    padding = padding_mask(stored, header)
    unpadded = np.where(padding, 0, counts)
    values = modality_values(stored, header)
    brightness = voi_brightness(values, header)
    if brightness is None or _shows_nothing(brightness[unpadded > 0], values[unpadded > 0]):
        brightness = percentile_window(values, unpadded)
    monochrome1 = text(header, "PhotometricInterpretation").upper() == "MONOCHROME1"
    if monochrome1 or text(header, "PresentationLUTShape").upper() == "INVERSE":
        brightness = 1 - brightness
    return np.where(padding, 0.0, brightness)


def _shows_nothing(brightness: Values, values: Values) -> bool:
    """True for a window that misses all values of an image: it belongs to other pixels."""
    return len(values) > 1 and bool(np.ptp(values) > 0) and bool(np.ptp(brightness) == 0)


def _window(values: Values, center: float, width: float, function: str) -> Values:
    """C.11.2.1.2.1 LINEAR, C.11.2.1.3.1 SIGMOID, C.11.2.1.3.2 LINEAR_EXACT, scaled to 0..1."""
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values - center) / width, -700, 700)
        return np.asarray(1 / (1 + np.exp(exponent)))
    if function != "LINEAR_EXACT":
        center, width = center - 0.5, width - 1
    if width == 0:
        return np.where(values > center, 1.0, 0.0)
    return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))


class _Lut:
    """A table of the Modality LUT Sequence or VOI LUT Sequence (PS3.3 C.11.1.1, C.11.2.1.1)."""

    def __init__(self, first: int, bits: int, entries: Values) -> None:
        self.first = first
        self.entries = entries
        peak = int(entries.max())
        # A declared depth that leaves three quarters of the range unused, or does not hold the entries, is wrong.
        self.white = 2**bits - 1 if 2**bits <= 4 * (peak + 1) and peak < 2**bits else 2 ** max(1, peak.bit_length()) - 1

    @classmethod
    def read(cls, header: Dataset, keyword: str) -> _Lut | None:
        """The first table of a sequence; None when there is none or it is unusable."""
        items = sequence(header, keyword)
        if not items:
            return None
        descriptor = [int(number) for number in numbers(items[0], "LUTDescriptor")]
        if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
            return None
        entries = _entries(items[0], (descriptor[0] & 0xFFFF) or 1 << 16, header.original_encoding[1] is not False)
        return cls(descriptor[1], descriptor[2], entries) if len(entries) > 1 else None

    def indices(self, values: Values) -> Integers:
        """Positions in the table; values outside take the first or the last entry."""
        first = self.first
        if first >= 1 << 15 and values.max(initial=-math.inf) < first:
            first -= 1 << 16  # a negative first value under the unsigned VR
        return np.asarray(np.clip(np.rint(values) - first, 0, len(self.entries) - 1), np.int64)


def _entries(item: Dataset, count: int, little_endian: bool) -> Values:
    data = item.get("LUTData")
    if isinstance(data, bytes):
        packed = len(data) in (count, count + count % 2)  # one byte per entry
        kind = np.dtype("u1") if packed else np.dtype("<u2" if little_endian else ">u2")
        return np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)[:count].astype(np.float64)
    return np.asarray([number % (1 << 16) for number in numbers(item, "LUTData")], np.float64)[:count]
