"""Whole frames in a form that the installed decoders read right, where the one that they have is misread or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom.codestream import JpegHeader, jpeg_header
from cxreport.reading.grey import Integers

_LOSSLESS = 0xC3
_WIDEST = 16
_FIRST_HALVING_PREDICTOR = 5
_MOST_ZEROS = 16
_END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True)
class Restated:
    """A frame in another form, and the way back from what that decodes to."""

    frame: bytes
    restore: Callable[[Integers], Integers]
    """(H, W) unsigned 16-bit values of the other form -> (H, W) unsigned values of the frame."""


def widened_lossless(data: bytes, is_signed: bool) -> Restated | None:
    """State a JPEG lossless frame of one component in 16 bits, where no sum leaves the range.

    A sum of prediction and difference is kept modulo 2^16 (ISO/IEC 10918-1 H.1.2.1) and cut to the precision; encoders
    that take samples for signed numbers count on that. pylibjpeg-libjpeg clamps the sum to the precision instead, and
    misreads a point transform. In 16 bits it has no reason to: the first prediction is higher then, and so are all
    samples, by a number that is known.

    In 16 bits nothing is left to widen into. Predictors 5 to 7 (table H.1) halve a sum, which is another number for
    signed samples than for the same bits without a sign; which of the two was meant, the frame does not say.

    Args:
        data: the frame.
        is_signed: Pixel Representation says that samples are signed.

    Returns:
        The frame with a precision of 16 and no point transform; None for a frame of another kind, and for one of 16
        bits that can be read in one way only. Restoring raises `UnreadableFileError` for signed samples of 15 bits, of
        which sums may leave the range, and for those of 16 bits and both signs behind a predictor from 5 on.
    """
    header = jpeg_header(data)
    if header is None or header.scan is None or header.process != _LOSSLESS or header.components != 1:
        return None
    place = header.scan + 9
    shift = data[place] & 0x0F if place < len(data) else 0
    if header.precision - shift < 1:
        return None
    if header.precision >= _WIDEST and shift == 0:
        predictor = data[header.scan + 7] if header.scan + 7 < len(data) else 0
        return Restated(data, _of_one_sign) if is_signed and predictor >= _FIRST_HALVING_PREDICTOR else None
    widened = bytearray(data)
    widened[header.frame + 4] = _WIDEST
    widened[place] &= 0xF0
    return Restated(bytes(widened), lambda values: _restored(values, header, shift))


def _restored(values: Integers, header: JpegHeader, shift: int) -> Integers:
    depth = header.precision - shift
    first = 1 << depth - 1
    offset = np.uint16((1 << _WIDEST - 1) - first)
    if depth == _WIDEST - 1 and bool(((values < offset) | (values >= offset + (1 << depth))).any()):
        raise UnreadableFileError("No decoder for JPEG lossless of 15 bits with signed samples is installed.")
    kept = (values - offset) & np.uint16((1 << depth) - 1)  # wraps, as the encoder's sums do
    return np.asarray(kept << shift, np.uint8 if header.precision <= 8 else np.uint16)


def _of_one_sign(values: Integers) -> Integers:
    """Values of 16 bits whose differences are the same with and without a sign; refused where they may not be."""
    half = 1 << _WIDEST - 1
    if int(values.min()) < half <= int(values.max()):
        message = "JPEG lossless of 16 bits with signed samples and a predictor from 5 to 7 can be read in two ways."
        raise UnreadableFileError(message)
    return values


def without_zeros(data: bytes) -> Iterator[bytes]:
    """A JPEG-LS frame without the zero bytes that some encoders leave before the end marker, which CharLS refuses.

    How many of them are data is not known, so one more is left out each time; a decoder refuses what lacks data.
    """
    end = data.rfind(_END_OF_IMAGE)
    zeros = end - len(data[: max(end, 0)].rstrip(b"\0"))
    for count in range(1, min(zeros, _MOST_ZEROS) + 1):
        yield data[: end - count] + _END_OF_IMAGE
