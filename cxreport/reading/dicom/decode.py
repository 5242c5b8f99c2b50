"""One frame of a DICOM file to 8-bit grey: decoding, alignment of bits, colour to luminance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from cxreport.errors import CxreportError, OutOfMemoryError, TooLargeError, UnreadableFileError, lacks_memory
from cxreport.reading.dicom.attributes import integer, text
from cxreport.reading.dicom.codecs import Codec, PixelOptions, codec_of
from cxreport.reading.dicom.codestream import codestream_size, has_too_many_scans
from cxreport.reading.dicom.display import display_grey
from cxreport.reading.dicom.pixel_data import (
    encapsulated_frame,
    enter_pixel_data,
    require_encapsulated,
    require_native,
    uncompressed_frame,
)
from cxreport.reading.grey import Counts, Integers, Values, through_table, to_bytes
from cxreport.reading.instance import DecodeLimits
from cxreport.reading.shrink import is_mostly_clipped, shrink
from cxreport.types import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from cxreport.reading.dicom.file import DicomFile

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as PS3.3 C.7.6.3.1.2 has it for YBR_FULL


def decode_frame(file: DicomFile, frame: int, limits: DecodeLimits) -> Grey:
    """Decode one frame (PS3.5 8, Annex A) and present it as grey (PS3.3 C.11 and C.7.6.3).

    Args:
        file: open, with the stream at the pixel element.
        frame: frame number from 0.
        limits: the size is checked on the header and on the compressed data's own header before decoding.

    Returns:
        (H, W) 8-bit grey, 0 = black; with a side perhaps fewer pixels than the image has, see `shrink`.

    Raises:
        UnreadableFileError: truncated, damaged, or in an unsupported encoding.
        MissingCodecError: the transfer syntax needs a package that is not installed.
        TooLargeError: more pixels than the limit.
    """
    start = file.stream.tell()
    grey = _decode_frame(file, frame, limits)
    if is_mostly_clipped(grey) and grey.shape != (integer(file.header, "Rows"), integer(file.header, "Columns")):
        file.stream.seek(start)
        return _decode_frame(file, frame, limits.every_pixel)
    return grey


def _decode_frame(file: DicomFile, frame: int, limits: DecodeLimits) -> Grey:
    options = _pixel_options(file.header)
    limits.require_size(options["rows"], options["columns"])
    codec = codec_of(file.transfer_syntax)
    decoder = codec.decoder(file.transfer_syntax)
    if not _can_shrink(file.header, options):
        limits = limits.every_pixel
    pixels = _PixelElement(file=file, options=options, codec=codec, decoder=decoder, limits=limits)
    try:
        return pixels.grey(frame)
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
    codec: Codec
    decoder: Any
    """The codec's `pydicom.pixels.Decoder`."""
    limits: DecodeLimits

    def grey(self, frame: int) -> Grey:
        """One frame as 8-bit grey; the stream has to be at the pixel element."""
        stream = self.file.stream
        vr, length = enter_pixel_data(self.file)
        if not self.file.transfer_syntax.is_encapsulated:
            require_native(stream, frame, length, self.options)
            return self._decoded(stream, frame, pixel_vr=vr)
        require_encapsulated(stream)
        if self.codec.frame_syntax is not None:
            data = uncompressed_frame(stream, frame, self.options)
            return self._decoded(data, 0, pixel_vr=vr, number_of_frames=1)
        data = encapsulated_frame(stream, frame, self.options)
        self._require_codestream_size(data)
        reduced = self.codec.decode_reduced(data, self.options, self.limits.side)
        if reduced is not None:
            return self._monochrome(reduced)
        plugin = self.codec.preferred_plugin(self.decoder, data, self.options)
        return self._decoded(stream, frame, pixel_vr=vr, decoding_plugin=plugin)

    def _require_codestream_size(self, data: bytes) -> None:
        """A small header can announce a huge codestream: check before a decoder allocates for it."""
        size = codestream_size(data)
        if size is not None:
            self.limits.require_size(*size)
        if self.codec.states_size and size != (self.options["rows"], self.options["columns"]):
            raise UnreadableFileError("The compressed pixel data has another size than the header says, or none.")
        if has_too_many_scans(data):
            raise TooLargeError("The JPEG has too many scans.", hint="Save the picture again, as a baseline JPEG.")

    def _decoded(self, source: BinaryIO | bytes, frame: int, **changes: Any) -> Grey:
        """Decode every pixel of a frame, and present it."""
        options = self.options | changes
        array, properties = self.decoder.as_array(
            source,
            index=frame,
            pixel_keyword="PixelData",
            correct_unused_bits=False,
            view_only=True,
            **options,
        )
        stored_bits, photometric = options["bits_stored"], str(properties["photometric_interpretation"])
        if array.ndim == 3:
            return _luminance(array, photometric, stored_bits)
        if not self.codec.states_precision:
            array = _aligned(array, stored_bits, integer(self.file.header, "HighBit"))
        if photometric == "PALETTE COLOR":
            return through_table(array, lambda values, counts: _palette_luminance(values, counts, self.file.header))
        return self._monochrome(array)

    def _monochrome(self, stored: Integers) -> Grey:
        return display_grey(shrink(stored, self.limits.side), self.file.header)


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
    """True if stored values may be averaged: not for indices of a palette, nor tissue beside padding."""
    monochrome = options["samples_per_pixel"] == 1 and options["photometric_interpretation"] != "PALETTE COLOR"
    return monochrome and 8 <= options["bits_stored"] <= 16 and "PixelPaddingValue" not in header


def _aligned(array: Integers, stored: int, high_bit: int | None) -> Integers:
    """Cut the stored bits out of their container and extend the sign (PS3.5 8.1.1).

    Bits beside them may hold anything, overlays in old files. A high bit above Bits Stored - 1 moves the values up,
    unless the bits that it leaves below are in use: then it is wrong.
    """
    container = array.dtype.itemsize * 8
    if stored >= container or stored == 1:
        return array
    below = max(0, min((high_bit or stored - 1), container - 1) - stored + 1)
    if below and bool((array & ((1 << below) - 1)).any()):
        below = 0
    if not below and _fits(array, stored):
        return array
    return np.asarray((array << (container - stored - below)) >> (container - stored))


def _fits(array: Integers, stored: int) -> bool:
    """True if no bit beside the stored ones is in use."""
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if array.dtype.kind == "i" else (0, (1 << stored) - 1)
    return bool(array.min() >= low and array.max() <= high)


def _luminance(array: NDArray[Any], photometric: str, stored: int) -> Grey:
    if photometric != "RGB":  # a YBR variant that stays as it is: the first channel is the luminance
        return to_bytes(array[..., 0] / float(2**stored - 1))
    return to_bytes(np.asarray(array @ (_LUMINANCE / (2**stored - 1)), np.float64))


def _palette_luminance(values: Integers, counts: Counts, header: Dataset) -> Values:
    """PS3.3 C.7.6.3.1.5, C.7.9."""
    colors = apply_color_lut(values[np.newaxis].astype(np.int32), header)[0, :, :3]
    if header.original_encoding[1] is False and colors.dtype.itemsize == 2:
        colors = colors.byteswap()  # pydicom reads the tables of big endian files as little endian
    return np.asarray(colors @ _LUMINANCE / np.iinfo(colors.dtype).max, np.float64)
