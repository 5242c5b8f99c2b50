"""Headers of compressed frames: sizes and precision that JPEG and JPEG 2000 announce, segments of RLE."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame of JPEG, and of JPEG-LS
_SOS = 0xDA
_DIFFERENTIAL = {0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE, 0xDF}  # frames of hierarchical JPEG, and what announces them
_SEGMENTS = {*range(0xC0, 0xFF)} - {*range(0xD0, 0xDA)}  # markers that a length follows
_SCAN = b"\xff\xda"
_MOST_SCANS = 100
_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2 = b"jP  "
_COD, _SOT = 0xFF52, 0xFF90
_RLE_HEADER_BYTES = 64
_RLE_PADDING_BYTES = 1024
_RLE_MOST_EXPANSION = 64  # two bytes stand for 128 at most
_RLE_HARMLESS_BYTES = 512 << 20


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
        Rows and columns, or None for data of another kind, and where they are not certain.
    """
    if data[4:8] == _JP2:
        data = data[max(0, data.find(_SOC_SIZ)) :]
    if data[:4] == _SOC_SIZ and len(data) >= 24:
        right, bottom, left, top = struct.unpack(">4L", data[8:24])
        return (bottom - top, right - left) if bottom > top and right > left else None
    return _jpeg_size(data)


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
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker == _SOS or marker not in _SEGMENTS or length < 2:
            return
        offset += 2 + length


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
    if rle_is_excessive(data, length):
        return False
    try:
        return all(len(decode_segment(data[start:end])) == length for start, end in pairwise(bounds))
    except ValueError:
        return False


def rle_is_excessive(data: bytes, length: int) -> bool:
    """Check for an RLE frame (PS3.5 Annex G) that decodes to much more than it should, without decoding it.

    Args:
        data: the frame.
        length: bytes of each segment when decoded.

    Returns:
        True where a segment is longer than the least compressible image makes it, or decodes to more than twice the
        length. A small segment is not looked at: what it can decode to is little.
    """
    if len(data) < _RLE_HEADER_BYTES:
        return False
    count, *offsets = struct.unpack("<16L", data[:_RLE_HEADER_BYTES])
    starts = sorted({start for start in offsets[:count] if _RLE_HEADER_BYTES <= start < len(data)})
    return any(_decodes_to_more(data, start, end, 2 * length) for start, end in pairwise([*starts, len(data)]))


def _decodes_to_more(data: bytes, start: int, end: int, most: int) -> bool:
    """Walk the runs of a segment until they come to more than ``most`` bytes."""
    if end - start > most + _RLE_PADDING_BYTES:
        return True
    if (end - start) * _RLE_MOST_EXPANSION <= max(most, _RLE_HARMLESS_BYTES):
        return False
    decoded = 0
    while start < end and decoded <= most:
        head = data[start]
        decoded += head + 1 if head < 128 else 257 - head if head > 128 else 0
        start += head + 2 if head < 128 else 2 if head > 128 else 1
    return decoded > most


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


def has_too_many_scans(data: bytes) -> bool:
    """Check for a JPEG of very many scans, each of which costs a decoder a pass over the whole image.

    Args:
        data: the frame or file; a progressive JPEG has some ten scans, one for each part of its precision.
    """
    if data[:2] != b"\xff\xd8":
        return False
    values = np.frombuffer(data, np.uint8)  # ten times as fast as bytes.count
    return int(np.count_nonzero((values[:-1] == _SCAN[0]) & (values[1:] == _SCAN[1]))) > _MOST_SCANS


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Rows and columns of the frame header; None where a decoder might find others than are found here.

    That is where something else than a segment stands before the frame header, where its rows are left to a later
    marker (ISO/IEC 10918-1 B.2.5), and in hierarchical frames (B.3), which are made of several.
    """
    for marker, offset in _jpeg_segments(data):
        if marker not in _SEGMENTS or marker in _DIFFERENTIAL:
            return None
        if marker in _SOF:
            rows, columns = struct.unpack(">HH", data[offset + 5 : offset + 9])
            return (rows, columns) if rows and columns else None
    return None
