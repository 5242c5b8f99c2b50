"""Compressed frames decoded at a fraction of their size.

pydicom's decoders have no such thing, but Pillow's do: JPEG 2000 and HTJ2K by leaving out levels of the wavelet
transform, JPEG by shorter cosine transforms. The functions here take the frame, the Image Pixel attributes as pydicom's
decoders do, and the side of the square that the pixels are needed for; they return None for a frame that does not fit
its attributes and where there is nothing to leave out, and raise anything on damage: `codecs.Codec.decode_reduced` has
the contract.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from cxreport.reading.dicom.codestream import codestream_size, jpeg2000_header
from cxreport.reading.grey import Integers
from cxreport.reading.shrink import KEPT, shrink_factor


def reduced_jpeg2000(data: bytes, options: dict[str, Any], side: int) -> Integers | None:
    """Decode a JPEG 2000 or HTJ2K frame without its finest levels; (h, w) stored values."""
    header = jpeg2000_header(data)
    expected = options["rows"], options["columns"], options["pixel_representation"] == 1
    if header is None or (header.rows, header.columns, header.signed) != expected or header.precision > 16:
        return None
    factor = min(shrink_factor(header.rows, side), shrink_factor(header.columns, side))
    levels = min(header.levels, factor.bit_length() - 1)
    if levels < 1:
        return None
    with Image.open(BytesIO(data), formats=["JPEG2000"]) as image:
        image.reduce = levels  # type: ignore[method-assign, assignment]
        # Pillow rounds the reduced size to the nearest, the standard (B.5) and its decoder round up
        image._size = tuple(-(-length >> levels) << levels for length in image.size)  # type: ignore[assignment]
        values = np.asarray(image)
    # Pillow moves the values up to fill 8 or 16 bits, and signed ones by half the range
    below = 8 * values.dtype.itemsize - header.precision
    half = 1 << (header.precision - 1) if header.signed else 0
    return np.asarray((values >> below).astype(np.int32) - half)


def reduced_jpeg(data: bytes, options: dict[str, Any], side: int) -> Integers | None:
    """Decode a baseline JPEG frame by shorter cosine transforms; (h, w) stored values."""
    unsigned_bytes = options["bits_stored"] == 8 and options["pixel_representation"] == 0
    if not unsigned_bytes or codestream_size(data) != (options["rows"], options["columns"]):
        return None
    with Image.open(BytesIO(data), formats=["JPEG"]) as image:
        if image.mode != "L" or image.draft("L", (KEPT * side, KEPT * side)) is None:
            return None
        return np.asarray(image)
