"""Stored values to brightness: the grey pipeline of DICOM PS3.3 C.11, PS3.4 N.2 and PS3.14.

pydicom's functions of the same purpose are the reference in the tests. They are not called here because they need
float64 copies of the image, refuse the odd headers that are met in practice (a window width of 0), and look 8-bit
tables of more than 256 entries up with a wrapped index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cxreport.reading.dicom.attributes import integer, numbers, sequence, text
from cxreport.reading.grey import (
    PERCENTILES,
    STRETCHED,
    Counts,
    Integers,
    Mask,
    Values,
    own_brightness,
    through_table,
    to_bytes,
)
from cxreport.types import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


WINDOW_MISSED = "A window or VOI LUT of the header was passed over: it shows next to nothing of the values."
LUT_NARROWER = "The entries of the VOI LUT have fewer bits than it declares: white is what these hold."
PADDING = "Padding is black."
COVERED = "Covered outside the Display Shutter."
POLARITY = "Photometric Interpretation {photometric} contradicts Presentation LUT Shape {shape}: taken as {taken}."
_ALIKE = 0.95
"""Share of an image that a window may give one grey level where the values differ."""
_ALIKE_DOUBT = 0.01
_LEAST_LEVELS = 16
"""Grey levels between the percentiles of an image that a window has to show."""
_ENDS = np.array(PERCENTILES) / 100


@dataclass(frozen=True)
class Display:
    """Monochrome pixels as they are shown."""

    grey: Grey
    """(H, W), 0 is black."""
    changes: tuple[str, ...] = ()
    """What the grey owes to more than the header's own window."""
    warnings: tuple[str, ...] = ()
    """Contradictions of the header on which the grey depends."""
    doubtful: bool = False
    """True where a few values more or less would decide otherwise on the window."""
    coloured: bool = False
    """True where more than a few pixels had a colour."""
    blank: bool = False
    """True where what a shutter leaves to be seen has one value."""


def displayed(stored: Integers, header: Dataset, *, bits: int, opening: Mask | None = None) -> Display:
    """Present monochrome pixels as P-values (PS3.14) of 8 bits: 0 is black.

    Modality LUT, then the first VOI LUT or window that shows something of the image, then one inversion where the
    Presentation LUT Shape is INVERSE, or the photometric interpretation MONOCHROME1 without a shape: in the DX family
    the two state the same fact (PS3.3 C.8.11.3.1.2). Without a window values of 8 bits are shown as they are
    (PS3.4 N.2), and deeper ones too unless their range is in doubt, see `own_brightness`. Padding and what a shutter
    covers do not count for that; padding is black.

    Args:
        stored: (H, W) stored values, sign-extended and without overlay bits.
        header: the instance's attributes.
        bits: depth of the stored values.
        opening: (H, W) true for the pixels that a shutter leaves to be seen; None for all.

    Returns:
        The grey, and what was decided on the way.
    """
    polarity = _Polarity.read(header)
    brightness = _Brightness(header, bits)
    grey = through_table(stored, lambda values, counts: brightness.table(values, counts, polarity), opening)
    return Display(grey, tuple(brightness.changes), polarity.warnings, brightness.doubtful)


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


class Voi(NamedTuple):
    """Brightness by one of a header's transformations to values of interest."""

    brightness: Values
    """(N,) from 0 to 1."""
    changes: tuple[str, ...] = ()
    """What was mended in it."""


def voi_brightness(values: Values, header: Dataset) -> Iterator[Voi]:
    """Apply the VOI LUT and the windows (PS3.3 C.11.2), of which each is another view of the image.

    Args:
        values: (N,) modality values.
        header: the instance's attributes.

    Yields:
        Brightness by each usable VOI LUT, then by each usable window.
    """
    for lut in _Lut.read_all(header, "VOILUTSequence"):
        brightness = np.asarray(lut.entries[lut.indices(values)] / lut.white)
        yield Voi(brightness, (LUT_NARROWER,) if lut.is_narrower else ())
    function = text(header, "VOILUTFunction").upper()
    least = 0.0 if function in ("LINEAR_EXACT", "SIGMOID") else 1.0
    for center, width in zip(numbers(header, "WindowCenter"), numbers(header, "WindowWidth"), strict=False):
        if width >= least and width > 0:
            yield Voi(_window(values, center, width, function))


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


@dataclass(frozen=True)
class _Polarity:
    """Which end of the values is white."""

    inverse: bool
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, header: Dataset) -> _Polarity:
        """The Presentation LUT Shape decides where there is one (PS3.3 C.8.11.3.1.2, PS3.4 N.2.4), as in DCMTK."""
        monochrome1 = text(header, "PhotometricInterpretation").upper() == "MONOCHROME1"
        shape = text(header, "PresentationLUTShape").upper()
        if shape not in ("IDENTITY", "INVERSE") or (shape == "INVERSE") == monochrome1:
            return cls(monochrome1)
        photometric = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
        taken = "MONOCHROME1, low values white" if shape == "INVERSE" else "MONOCHROME2, low values black"
        return cls(shape == "INVERSE", (POLARITY.format(photometric=photometric, shape=shape, taken=taken),))


@dataclass
class _Brightness:
    """Brightness of an image's values, and the notes on how it came about."""

    header: Dataset
    bits: int
    changes: list[str] = field(default_factory=list)
    doubtful: bool = False

    def table(self, stored: Integers, counts: Counts, polarity: _Polarity) -> Values:
        """(N,) brightness from 0 to 1 of (N,) stored values."""
        padding = padding_mask(stored, self.header)
        if counts[padding].any():
            self.changes.append(PADDING)
        unpadded = np.where(padding, 0, counts)
        values = modality_values(stored, self.header)
        brightness = self._by_header(values, unpadded)
        if brightness is None:
            brightness = self._by_values(values, unpadded)
        if polarity.inverse:
            brightness = 1 - brightness
        return np.where(padding, 0.0, brightness)

    def _by_header(self, values: Values, counts: Counts) -> Values | None:
        """By the first VOI LUT or window that shows something; None where none does."""
        for voi in voi_brightness(values, self.header):
            alike, levels = _seen(voi.brightness, values, counts)
            self.doubtful |= abs(alike - _ALIKE) < _ALIKE_DOUBT or abs(levels - _LEAST_LEVELS) <= 1
            if alike < _ALIKE and levels >= _LEAST_LEVELS:
                self.changes += voi.changes
                return voi.brightness
            self.changes += [] if WINDOW_MISSED in self.changes else [WINDOW_MISSED]
        return None

    def _by_values(self, values: Values, counts: Counts) -> Values:
        own = own_brightness(values, counts, self._limits(), believed=self.bits <= 8)
        self.doubtful |= own.doubtful
        self.changes += [STRETCHED] * own.stretched
        return own.values

    def _limits(self) -> tuple[float, float]:
        """Modality values at the ends of the range of the stored ones, the lower first."""
        lut = _Lut.read(self.header, "ModalityLUTSequence")
        if lut is not None:
            return 0.0, float(lut.white)
        half = 1 << self.bits - 1 if integer(self.header, "PixelRepresentation") == 1 else 0
        ends = modality_values(np.array([-half, (1 << self.bits) - 1 - half]), self.header)
        return float(ends.min()), float(ends.max())


def _seen(brightness: Values, values: Values, counts: Counts) -> tuple[float, int]:
    """What a window shows of an image.

    Returns:
        Share of the pixels that it gives one grey level although their values differ, 0 where these do not; and the
        number of grey levels from one of `PERCENTILES` to the other, 256 for an image of one value.
    """
    present = counts > 0
    levels = to_bytes(brightness[present])
    shares = np.bincount(levels, counts[present], 256) if levels.size else np.zeros(256)
    if not levels.size or np.ptp(values[present]) == 0:
        return 0.0, 256
    level = int(shares.argmax())
    ends = np.searchsorted(np.cumsum(shares), _ENDS * shares.sum())
    alike = 0.0 if np.ptp(values[present][levels == level]) == 0 else float(shares[level] / shares.sum())
    return alike, int(ends[1] - ends[0])


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
        depth = max(1, int(entries.max()).bit_length())
        self.is_narrower = depth < bits
        """True for entries that leave the highest of the declared bits unused: they have another depth."""
        self.white = 2**depth - 1

    @classmethod
    def read(cls, header: Dataset, keyword: str) -> _Lut | None:
        """The first usable table of a sequence; None without any."""
        return next(cls.read_all(header, keyword), None)

    @classmethod
    def read_all(cls, header: Dataset, keyword: str) -> Iterator[_Lut]:
        """The usable tables of a sequence."""
        for item in sequence(header, keyword):
            descriptor = [int(number) for number in numbers(item, "LUTDescriptor")]
            if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
                continue
            entries = _entries(item, (descriptor[0] & 0xFFFF) or 1 << 16, header.original_encoding[1] is not False)
            if len(entries) > 1:
                yield cls(descriptor[1], descriptor[2], entries)

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
