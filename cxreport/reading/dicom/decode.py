"""One frame of a DICOM file to 8-bit grey: decoding, alignment of bits, presentation."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian

from cxreport.errors import CxreportError, OutOfMemoryError, TooLargeError, UnreadableFileError, lacks_memory
from cxreport.reading.dicom.attributes import integer, text
from cxreport.reading.dicom.codecs import Codec, PixelOptions, change_of_syntax, codec_of, syntax_of
from cxreport.reading.dicom.codestream import codestream_size, has_too_many_scans
from cxreport.reading.dicom.colour import displayed_colour, displayed_palette
from cxreport.reading.dicom.display import COVERED, Display, displayed
from cxreport.reading.dicom.native import shrunk_native
from cxreport.reading.dicom.pixel_data import (
    encapsulated,
    encapsulated_frame,
    enter_pixel_data,
    is_encapsulated,
    require_encapsulated,
    require_native,
    uncompressed_frame,
)
from cxreport.reading.dicom.shutter import Shutter, display_shutter, has_shutter
from cxreport.reading.dicom.stored_bits import StoredBits, fits, stored_bits
from cxreport.reading.grey import Integers
from cxreport.reading.instance import DecodeLimits, Rendering
from cxreport.reading.shrink import is_mostly_clipped, shrink

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

    from cxreport.reading.dicom.file import DicomFile


def decode_frame(file: DicomFile, frame: int, limits: DecodeLimits) -> Rendering:
    """Decode one frame (PS3.5 8, Annex A) and present it as grey (PS3.3 C.11, C.7.6.3 and C.7.6.11).

    Args:
        file: open, with the stream at the pixel element.
        frame: frame number from 0.
        limits: the size is checked on the header and on the compressed data's own header before decoding.

    Returns:
        (H, W) 8-bit grey, 0 = black; with a side perhaps fewer pixels than the image has, see `shrink`. With it, what
        was read in spite of the header, what the grey owes to more than the header's window, and whether it was
        coloured, such as a heat map over a radiograph.

    Raises:
        UnreadableFileError: truncated, damaged, or in an unsupported encoding.
        MissingCodecError: the transfer syntax needs a package that is not installed.
        TooLargeError: more pixels than the limit.
    """
    start = file.stream.tell()
    display = _decode_frame(file, frame, limits)
    needs_every_pixel = display.doubtful or is_mostly_clipped(display.grey)
    if needs_every_pixel and display.grey.shape != (integer(file.header, "Rows"), integer(file.header, "Columns")):
        file.stream.seek(start)
        display = _decode_frame(file, frame, limits.every_pixel)
    changes = (*file.changes, *display.changes)
    return Rendering(display.grey, changes, display.warnings, display.coloured, display.blank)


def _decode_frame(file: DicomFile, frame: int, limits: DecodeLimits) -> Display:
    options = _pixel_options(file.header)
    limits.require_size(options["rows"], options["columns"])
    codec_of(file.transfer_syntax)
    if not _can_shrink(file.header, options):
        limits = limits.every_pixel
    pixels = _PixelElement(file=file, options=options, limits=limits)
    try:
        return pixels.display(frame)
    except CxreportError:
        raise
    except Exception as error:  # decoders raise anything on damage, and their texts may quote values
        if lacks_memory(error):
            raise OutOfMemoryError() from None
        raise UnreadableFileError("The pixel data is damaged, or does not fit the header.") from None


@dataclass(frozen=True, kw_only=True)
class _PixelElement:
    """The pixels of an open file, and all that decoding a frame of them depends on."""

    file: DicomFile
    options: PixelOptions
    limits: DecodeLimits

    def display(self, frame: int) -> Display:
        """One frame as 8-bit grey; the stream has to be at the pixel element."""
        stream, stated = self.file.stream, self.file.transfer_syntax
        vr, length = enter_pixel_data(self.file)
        if not is_encapsulated(self.file, length):
            require_native(stream, frame, length, self.options)
            actual = ExplicitVRLittleEndian if stated.is_encapsulated else stated
            display = self._native(frame, actual, vr)
            return display if actual == stated else _with_change(display, change_of_syntax(actual, stated))
        items = require_encapsulated(stream)
        if codec_of(stated).frame_syntax is not None:
            return self._uncompressed(frame, stated)
        data = encapsulated_frame(stream, frame, self.options, items)
        size = codestream_size(data)
        if size is not None:  # a small header can announce a huge codestream: check before a decoder allocates for it
            self.limits.require_size(*size)
        if has_too_many_scans(data):
            raise TooLargeError("The JPEG has too many scans.", hint="Save the picture again, as a baseline JPEG.")
        actual = syntax_of(data, stated, self.options)
        if codec_of(actual).states_size and size != (self.options["rows"], self.options["columns"]):
            raise UnreadableFileError("The compressed pixel data has another size than the header says, or none.")
        uncompressed = codec_of(actual).frame_syntax is not None
        display = self._uncompressed(frame, actual) if uncompressed else self._compressed(data, actual)
        return display if actual == stated else _with_change(display, change_of_syntax(actual, stated))

    def _native(self, frame: int, syntax: UID, vr: str) -> Display:
        stream, header, bits = self.file.stream, self.file.header, self.options["bits_stored"]
        if syntax.is_little_endian:
            means = shrunk_native(stream, frame, header, self.options, self.limits.side)
            if means is not None:
                return displayed(means, header, bits=bits)
        array, photometric = _array(codec_of(syntax).decoder(syntax), stream, frame, self.options | {"pixel_vr": vr})
        return self._displayed(array, photometric, bits)

    def _uncompressed(self, frame: int, syntax: UID) -> Display:
        data = uncompressed_frame(self.file.stream, frame, self.options)
        options = self.options | {"pixel_vr": "OB", "number_of_frames": 1}
        array, photometric = _array(codec_of(syntax).decoder(syntax), data, 0, options)
        return self._displayed(array, photometric, self.options["bits_stored"])

    def _compressed(self, data: bytes, syntax: UID) -> Display:
        """A frame out of its fragments, which may state another depth than the header."""
        codec = codec_of(syntax)
        decoder = codec.decoder(syntax)
        precision = codec.precision(data, self.options["samples_per_pixel"])
        bits = self._depth(precision)
        options = self.options | {"bits_stored": bits, "number_of_frames": 1, "pixel_vr": "OB"}
        options.pop("extended_offsets", None)  # of the file, not of the one frame
        reduced = codec.decode_reduced(data, options, self.limits.side)
        if reduced is not None and (precision == bits or fits(reduced, bits)):
            return self._monochrome(reduced, bits, None)
        if precision is not None and not codec.states_precision:
            options["bits_allocated"] = 8 if precision <= 8 else 16
        plugin = codec.preferred_plugin(decoder, data, options)
        is_signed = self.options["pixel_representation"] == 1
        restated = None if codec.restate is None else codec.restate(data, is_signed)
        if restated is None:
            array, photometric = self._first_decoded(codec, decoder, data, options | {"decoding_plugin": plugin})
        else:
            options |= {"bits_allocated": 16, "bits_stored": 16, "pixel_representation": 0}
            array, photometric = _frame_array(decoder, restated.frame, options)
            array = restated.restore(array)
            array = array.view(f"i{array.itemsize}") if is_signed else array
        return self._displayed(array, photometric, bits, is_aligned=codec.states_precision and precision == bits)

    def _depth(self, precision: int | None) -> int:
        """Bits Stored, unless a frame that states its precision has fewer, or more than the header has room for."""
        stored: int = self.options["bits_stored"]
        if precision is None:
            return stored
        return precision if precision > self.options["bits_allocated"] else min(stored, precision)

    def _first_decoded(
        self, codec: Codec, decoder: Any, data: bytes, options: PixelOptions
    ) -> tuple[NDArray[Any], str]:
        """Decode a frame or, where it is refused, the first of its other forms that is not."""
        try:
            return _frame_array(decoder, data, options)
        except Exception:
            for form in () if codec.spare_frames is None else codec.spare_frames(data):
                with contextlib.suppress(Exception):
                    return _frame_array(decoder, form, options)
            raise

    def _displayed(self, array: NDArray[Any], photometric: str, bits: int, *, is_aligned: bool = False) -> Display:
        """Present every pixel of a frame."""
        header = self.file.header
        shutter = display_shutter(header, (self.options["rows"], self.options["columns"]))
        if array.ndim == 3:
            display = displayed_colour(array, photometric, bits)
        else:
            stored = StoredBits(array) if is_aligned else stored_bits(array, bits, header)
            if photometric == "PALETTE COLOR":
                display = displayed_palette(stored.values, header)
            else:
                display = self._monochrome(stored.values, bits, shutter)
            display = replace(display, changes=(*stored.changes, *display.changes))
        if shutter is None:
            return display
        blank = bool(np.ptp(display.grey[shutter.opening]) == 0)
        return replace(display, grey=shutter.cover(display.grey), changes=(*display.changes, COVERED), blank=blank)

    def _monochrome(self, stored: Integers, bits: int, shutter: Shutter | None) -> Display:
        opening = None if shutter is None else shutter.opening
        return displayed(shrink(stored, self.limits.side), self.file.header, bits=bits, opening=opening)


def _with_change(display: Display, change: str) -> Display:
    return replace(display, changes=(change, *display.changes))


def _array(decoder: Any, source: BinaryIO | bytes, frame: int, options: PixelOptions) -> tuple[NDArray[Any], str]:
    """Stored values of a frame, (H, W) or (H, W, 3), and what they mean then: codecs may change YBR to RGB.

    pydicom's own conversion to RGB is left out, as it takes the whole frame in floating point, see `displayed_colour`.
    """
    array, properties = decoder.as_array(
        source,
        index=frame,
        pixel_keyword="PixelData",
        correct_unused_bits=False,
        view_only=True,
        raw=True,
        **options,
    )
    return array, str(properties["photometric_interpretation"])


def _frame_array(decoder: Any, data: bytes, options: PixelOptions) -> tuple[NDArray[Any], str]:
    """Stored values of the one frame that this is the compressed data of, as `_array` gives them."""
    source = encapsulated(data)
    is_plain = options["samples_per_pixel"] == 1 and options["pixel_representation"] == 0
    if not is_plain or options["bits_allocated"] == 1:
        return _array(decoder, source, 0, options)
    buffer, properties = decoder.as_buffer(source, index=0, pixel_keyword="PixelData", raw=True, **options)
    kind = np.dtype(f"<u{properties['bits_allocated'] // 8}")  # what the decoder made of it
    array = np.frombuffer(buffer, kind).reshape(options["rows"], options["columns"])
    return array, str(properties["photometric_interpretation"])


def _pixel_options(header: Dataset) -> PixelOptions:
    """The Image Pixel attributes (PS3.3 C.7.6.3), with what a careless writer leaves out."""
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if not rows or not columns or rows < 0 or columns < 0:
        raise UnreadableFileError("Rows or Columns are missing.")
    photometric = text(header, "PhotometricInterpretation").upper()
    color = photometric.startswith(("RGB", "YBR"))
    samples = integer(header, "SamplesPerPixel") or (3 if color else 1)
    allocated = integer(header, "BitsAllocated") or 8
    stored = integer(header, "BitsStored") or allocated
    if samples == 3 and not color:
        photometric = "RGB"
    elif samples == 1 and photometric not in ("MONOCHROME1", "PALETTE COLOR"):
        photometric = "MONOCHROME2"
    options = {
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": samples,
        "photometric_interpretation": photometric,
        "planar_configuration": integer(header, "PlanarConfiguration") or 0,
        "bits_allocated": allocated,
        "bits_stored": min(stored, allocated),
        "pixel_representation": integer(header, "PixelRepresentation") or 0,
        "number_of_frames": max(1, integer(header, "NumberOfFrames") or 1),
    }
    if "ExtendedOffsetTable" in header and "ExtendedOffsetTableLengths" in header:
        options["extended_offsets"] = (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths)
    return options


def _can_shrink(header: Dataset, options: PixelOptions) -> bool:
    """True if stored values may be averaged: not for indices of a palette, nor tissue beside padding or a shutter."""
    if has_shutter(header):
        return False
    monochrome = options["samples_per_pixel"] == 1 and options["photometric_interpretation"] != "PALETTE COLOR"
    return monochrome and 8 <= options["bits_stored"] <= 16 and "PixelPaddingValue" not in header
