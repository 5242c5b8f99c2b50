"""Native pixels averaged as they are read, a few rows at a time: what a core's cache holds is not fetched twice."""

from __future__ import annotations

import os
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom.pixel_data import TRUNCATED, native_bytes
from cxreport.reading.dicom.stored_bits import fits, unused_below
from cxreport.reading.grey import Integers
from cxreport.reading.shrink import Blocks

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def shrunk_native(
    stream: BinaryIO, frame: int, header: Dataset, options: dict[str, Any], side: int | None
) -> Integers | None:
    """Average a monochrome frame in little endian over blocks of pixels, as `shrink` does.

    Args:
        stream: at the value of the pixel element, of which no frame is missing.
        frame: number from 0.
        header: the instance's attributes.
        options: the Image Pixel attributes.
        side: side of the square that the pixels are needed for; None keeps every pixel.

    Returns:
        (h, w) stored values; None, with the stream where it was, for pixels that have to be looked at one by one:
        nothing to average, other than 8 or 16 bits, or bits in use beside the stored ones.

    Raises:
        UnreadableFileError: the file ends before the frame does.
    """
    rows, columns, allocated, bits = (options[key] for key in ("rows", "columns", "bits_allocated", "bits_stored"))
    blocks = Blocks.of((rows, columns), side)
    if blocks.is_one_pixel or allocated not in (8, 16) or unused_below(bits, allocated, header):
        return None
    kind = np.dtype(f"<{'ui'[options['pixel_representation']]}{allocated // 8}")
    memory = np.empty((blocks.rows_of_a_band(kind), columns), kind)
    start = stream.tell()
    stream.seek(frame * native_bytes(options, 1), os.SEEK_CUR)
    means = []
    for top in range(0, rows, len(memory)):
        band = memory[: rows - top]
        if cast(BufferedIOBase, stream).readinto(band.data) < band.nbytes:
            raise UnreadableFileError(TRUNCATED)
        if bits < allocated and not fits(band, bits):
            stream.seek(start)
            return None
        means.append(blocks.means(band))
    return np.concatenate(means)
