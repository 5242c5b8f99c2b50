"""Sizes that compressed frames announce in their own headers."""

from __future__ import annotations

import struct

_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame of JPEG, and of JPEG-LS


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Read the size of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame without decoding it.

    Args:
        data: the frame (ISO/IEC 10918-1 B.2, 14495-1 C.2, 15444-1 A.5.1; JP2 boxes are skipped).

    Returns:
        Rows and columns, or None for data of another kind.
    """
    if data[4:8] == b"jP  ":
        data = data[max(0, data.find(b"\xff\x4f\xff\x51")) :]
    if data[:4] == b"\xff\x4f\xff\x51" and len(data) >= 24:
        right, bottom, left, top = struct.unpack(">4L", data[8:24])
        return bottom - top, right - left
    return _jpeg_size(data) if data[:2] == b"\xff\xd8" else None


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
