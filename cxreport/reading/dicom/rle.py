"""RLE frames (PS3.5 Annex G): which of them pylibjpeg-rle can be trusted with.

It decodes five times as fast as pydicom's decoder, but panics on damage: a Rust backtrace on stderr and an exception
that is no `Exception`. Of its functions `decode_segment` panics on an empty segment only, and `decode_frame` where a
segment decodes to more than it should.
"""

from __future__ import annotations

import struct
from itertools import pairwise

_HEADER_BYTES = 64


def is_sound(data: bytes, segments: int, length: int) -> bool:
    """Whether every segment of a frame decodes to what it should.

    Args:
        data: the frame.
        segments: how many there should be.
        length: bytes of each when decoded.
    """
    try:
        from rle.rle import decode_segment
    except ImportError:
        return False
    if len(data) < _HEADER_BYTES or not 1 <= segments <= 15:
        return False
    found, *offsets = struct.unpack("<16L", data[:_HEADER_BYTES])
    starts = [*offsets[:segments], len(data)]
    if found != segments or starts[0] < _HEADER_BYTES or starts != sorted(set(starts)):
        return False
    try:
        return all(len(decode_segment(data[a:b])) == length for a, b in pairwise(starts))
    except ValueError:
        return False
