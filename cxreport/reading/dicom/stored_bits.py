"""Stored values cut out of the container that they come in (PS3.5 8.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxreport.reading.dicom.attributes import integer
from cxreport.reading.grey import Integers

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CUT = "Bits beside the stored ones were in use, and cut off."
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
_BITS_ALLOCATED, _BIT_POSITION = 0x100, 0x102


@dataclass(frozen=True)
class StoredBits:
    """Values without what lies beside them in their container."""

    values: Integers
    changes: tuple[str, ...] = ()
    """`CUT` where something did."""


def stored_bits(array: Integers, stored: int, header: Dataset) -> StoredBits:
    """Cut the stored bits out of their container and extend the sign.

    Bits beside them may hold anything, overlays in old files. A high bit above Bits Stored - 1 moves the values up. It
    is wrong where the bits that it leaves below are in use, unless the header says that an overlay lies there, or the
    values reach beyond Bits Stored.

    Args:
        array: (H, W) pixels as they were decoded.
        stored: Bits Stored.
        header: the instance's attributes.

    Returns:
        (H, W) stored values.
    """
    container = array.dtype.itemsize * 8
    if stored >= container or stored == 1:
        return StoredBits(array)
    below = unused_below(stored, container, header)
    has_low_bits = below > 0 and bool((array & ((1 << below) - 1)).any())
    is_fitting = fits(array, stored)
    if has_low_bits and not _is_overlaid(header, below) and (is_fitting or not _uses_bit(array, stored)):
        below, has_low_bits = 0, False
    if not below and is_fitting:
        return StoredBits(array)
    has_high_bits = not fits(array, stored + below)
    values = np.asarray((array << (container - stored - below)) >> (container - stored))
    return StoredBits(values, (CUT,) if has_low_bits or has_high_bits else ())


def unused_below(stored: int, container: int, header: Dataset) -> int:
    """Number of bits below the stored ones, by High Bit (PS3.5 8.1.1).

    Args:
        stored: Bits Stored.
        container: bits of a value with all that lies beside the stored ones.
        header: the instance's attributes.
    """
    return max(0, min((integer(header, "HighBit") or stored - 1), container - 1) - stored + 1)


def fits(array: Integers, stored: int) -> bool:
    """True if no bit beside the lowest ones is in use, those of the sign excepted.

    Args:
        array: integers of any shape.
        stored: number of the lowest bits.
    """
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if array.dtype.kind == "i" else (0, (1 << stored) - 1)
    return bool(array.min() >= low and array.max() <= high)


def _is_overlaid(header: Dataset, below: int) -> bool:
    """True for a header with an overlay in one of the lowest bits of the pixels (PS3.3 C.9.2, as it was until 2004)."""
    for group in _OVERLAY_GROUPS:
        position = integer(header, group << 16 | _BIT_POSITION)
        if position is not None and position < below and (integer(header, group << 16 | _BITS_ALLOCATED) or 1) > 1:
            return True
    return False


def _uses_bit(array: Integers, bit: int) -> bool:
    return bool((array >> bit & 1).any())
