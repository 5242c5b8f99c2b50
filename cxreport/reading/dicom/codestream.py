"""What compressed frames announce in their own headers."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame of JPEG, and of JPEG-LS
_SOC_SIZ = b"\xff\x4f\xff\x51"
_COD, _SOT = 0xFF52, 0xFF90


@dataclass(frozen=True)
class Jpeg2000Header:
    """Main header of a JPEG 2000 or HTJ2K codestream of one component (ISO/IEC 15444-1 A.5.1, A.6.1)."""

    rows: int
    columns: int
    precision: int
    """Bits per sample."""
    signed: bool
    levels: int
    """How often the image is halved: the decomposition levels of the wavelet transform."""


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Read the size of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame without decoding it.

    Args:
        data: the frame (ISO/IEC 10918-1 B.2, 14495-1 C.2, 15444-1 A.5.1; JP2 boxes are skipped).

    Returns:
        Rows and columns, or None for data of another kind.
    """
    if data[4:8] == b"jP  ":
        data = data[max(0, data.find(_SOC_SIZ)) :]
    if data[:4] == _SOC_SIZ and len(data) >= 24:
        right, bottom, left, top = struct.unpack(">4L", data[8:24])
        return bottom - top, right - left
    return _jpeg_size(data) if data[:2] == b"\xff\xd8" else None


def jpeg2000_header(data: bytes) -> Jpeg2000Header | None:
    """Read the main header of a JPEG 2000 or HTJ2K codestream.

    Args:
        data: the frame.

    Returns:
        The header, or None for data of another kind: JP2 boxes, several components, an image that does not begin at
        the origin of the reference grid or does not fill it.
    """
    if data[:4] != _SOC_SIZ or len(data) < 45:
        return None
    columns, rows, left, top = struct.unpack(">4L", data[8:24])
    components, depth, *steps = struct.unpack(">H3B", data[40:45])
    levels = _levels(data)
    if (left, top, components, *steps) != (0, 0, 1, 1, 1) or levels is None:
        return None
    return Jpeg2000Header(rows, columns, (depth & 0x7F) + 1, bool(depth & 0x80), levels)


def _levels(data: bytes) -> int | None:
    """Decomposition levels in the coding style default."""
    offset = 2
    while offset + 10 <= len(data):
        marker, length = struct.unpack(">HH", data[offset : offset + 4])
        if marker == _COD:
            return data[offset + 9]
        if marker == _SOT or length < 2:
            return None
        offset += 2 + length
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    offset = 2
    while offset + 9 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker in _SOF:
            rows, columns = struct.unpack(">HH", data[offset + 5 : offset + 9])
            return rows, columns
        if marker == 0xFF:  # fill byte
            offset += 1
            continue
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
    return None
