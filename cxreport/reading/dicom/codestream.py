"""Headers of compressed frames: sizes and precision that JPEG and JPEG 2000 announce, segments of RLE."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame of JPEG, and of JPEG-LS
_SOS = 0xDA
_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2 = b"jP  "
_COD, _SOT = 0xFF52, 0xFF90
_RLE_HEADER_BYTES = 64


@dataclass(frozen=True)
class Jpeg2000Header:
    """Main header of a JPEG 2000 or HTJ2K codestream of one component (ISO/IEC 15444-1 A.5.1, A.6.1)."""

    rows: int
    columns: int
    precision: int
    """Bits per sample."""
    signed: bool
    levels: int
    """Decomposition levels of the wavelet transform: the times that the image is halved."""


class JpegHeader(NamedTuple):
    """What a JPEG or JPEG-LS frame says of itself before its first scan."""

    process: int
    """Second byte of the start of frame: C0 and C1 for DCT, C3 for lossless, F7 for JPEG-LS."""
    precision: int
    """Bits per sample."""
    rows: int
    columns: int
    components: int
    frame: int
    """Place of the start of frame."""
    scan: int | None
    """Place of the start of scan; None where there is none in sight."""


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """Size of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame, from its own header.

    Args:
        data: the frame (ISO/IEC 10918-1 B.2, 14495-1 C.2, 15444-1 A.5.1; JP2 boxes are skipped).

    Returns:
        Rows and columns, or None for data of another kind.
    """
    if data[4:8] == _JP2:
        data = data[max(0, data.find(_SOC_SIZ)) :]
    if data[:4] == _SOC_SIZ and len(data) >= 24:
        right, bottom, left, top = struct.unpack(">4L", data[8:24])
        return bottom - top, right - left
    header = jpeg_header(data)
    return None if header is None else (header.rows, header.columns)


def jpeg_header(data: bytes) -> JpegHeader | None:
    """Header of a JPEG or JPEG-LS frame (ISO/IEC 10918-1 B.2, 14495-1 C.2); None for data of another kind."""
    frame: tuple[int, int] | None = None
    scan = None
    for marker, offset in _jpeg_segments(data):
        if marker in _SOF and frame is None:
            frame = marker, offset
        elif marker == _SOS:
            scan = offset
    if frame is None:
        return None
    process, start = frame
    precision, rows, columns, components = struct.unpack(">BHHB", data[start + 4 : start + 10])
    return JpegHeader(process, precision, rows, columns, components, start, scan)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers with their places, as far as the first scan and as far as the segment is whole."""
    offset = 2 if data[:2] == b"\xff\xd8" else len(data)
    while offset + 10 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:  # fill byte
            offset += 1
            continue
        yield marker, offset
        if marker == _SOS:
            return
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")


def precision_of(data: bytes) -> int | None:
    """Bits per sample that a frame states; None where it does not, or is none of JPEG, JPEG-LS and JPEG 2000."""
    header = jpeg_header(data) or jpeg2000_header(data)
    return None if header is None else header.precision


def rle_precision(data: bytes, samples: int) -> int | None:
    """8 for an RLE frame of one segment a sample (PS3.5 G.4), which are bytes then; None for another number of them."""
    return 8 if data[:4] == struct.pack("<L", samples) else None


def is_jpeg2000(data: bytes) -> bool:
    """True for a JPEG 2000 or HTJ2K codestream, bare or in JP2 boxes."""
    return data[:4] == _SOC_SIZ or data[4:8] == _JP2


def jpeg2000_header(data: bytes) -> Jpeg2000Header | None:
    """Main header of a JPEG 2000 or HTJ2K codestream.

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
    return Jpeg2000Header(
        rows=rows, columns=columns, precision=(depth & 0x7F) + 1, signed=bool(depth & 0x80), levels=levels
    )


def is_sound_rle(data: bytes, segments: int, length: int) -> bool:
    """Check that every segment of an RLE frame (PS3.5 Annex G) decodes to its length.

    Only such frames are for pylibjpeg-rle. It decodes five times as fast as pydicom's decoder, but panics on damage: a
    Rust backtrace on stderr and an exception that is no `Exception`. Of its functions `decode_segment` panics on an
    empty segment only, and `decode_frame` where a segment decodes to more than it should.

    Args:
        data: the frame.
        segments: the number that the frame should have.
        length: bytes of each when decoded.

    Returns:
        True for a sound frame; False also where pylibjpeg-rle is not installed.
    """
    try:
        from rle.rle import decode_segment
    except ImportError:
        return False
    if len(data) < _RLE_HEADER_BYTES or not 1 <= segments <= 15:
        return False
    count, *offsets = struct.unpack("<16L", data[:_RLE_HEADER_BYTES])
    bounds = [*offsets[:segments], len(data)]
    if count != segments or bounds[0] < _RLE_HEADER_BYTES or bounds != sorted(set(bounds)):
        return False
    try:
        return all(len(decode_segment(data[start:end])) == length for start, end in pairwise(bounds))
    except ValueError:
        return False


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
