"""One frame of a DICOM file to 8-bit grey: decoding, alignment of bits, colour to luminance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut

from cxreport.errors import CxreportError, MissingCodecError, UnreadableFileError
from cxreport.reading.dicom.attributes import integer, text
from cxreport.reading.dicom.codestream import codestream_size
from cxreport.reading.dicom.display import display_grey
from cxreport.reading.dicom.pixel_data import encapsulated_frame, enter_pixel_data, require_encapsulated, require_native
from cxreport.reading.dicom.reduced import decode_reduced
from cxreport.reading.dicom.rle import is_sound
from cxreport.reading.grey import Counts, Integers, Values, through_table, to_bytes
from cxreport.reading.instance import require_size
from cxreport.reading.shrink import is_mostly_clipped, shrink
from cxreport.types import Grey

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from cxreport.reading.dicom.file import DicomFile

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as PS3.3 C.7.6.3.1.2 has it for YBR_FULL
_OWN_PRECISION = {*uid.JPEG2000TransferSyntaxes, *uid.JPEGLSTransferSyntaxes}
_CHARLS = "pyjpegls"
"""Decodes JPEG-LS four times as fast as pylibjpeg-libjpeg."""
_PACKAGES = {
    **dict.fromkeys(uid.JPEGTransferSyntaxes, "pylibjpeg-libjpeg"),
    **dict.fromkeys(uid.JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(uid.JPEG2000TransferSyntaxes, "pylibjpeg-openjpeg"),
}


def decode_frame(file: DicomFile, frame: int, max_megapixels: float, side: int | None = None) -> Grey:
    """Decode one frame (PS3.5 8, Annex A) and present it as grey (PS3.3 C.11 and C.7.6.3).

    Args:
        file: open, with the stream at the pixel element.
        frame: frame number from 0.
        max_megapixels: limit, checked on the header and on the compressed data's own header before decoding.
        side: side of the square that the pixels are needed for; None keeps every pixel.

    Returns:
        (H, W) 8-bit grey, 0 = black; with a side perhaps fewer pixels than the image has, see `_shrink`.

    Raises:
        UnreadableFileError: truncated, damaged, or in an unsupported encoding.
        MissingCodecError: the transfer syntax needs a package that is not installed.
        TooLargeError: more pixels than the limit.
    """
    start = file.stream.tell()
    grey = _decode_frame(file, frame, max_megapixels, side)
    if is_mostly_clipped(grey) and grey.shape != (integer(file.header, "Rows"), integer(file.header, "Columns")):
        file.stream.seek(start)
        return _decode_frame(file, frame, max_megapixels, None)
    return grey


def _decode_frame(file: DicomFile, frame: int, max_megapixels: float, side: int | None) -> Grey:
    header = file.header
    options = _pixel_options(header)
    require_size(options["rows"], options["columns"], max_megapixels)
    decoder = _decoder(file.transfer_syntax)
    side = side if _can_shrink(header, options) else None
    plugin = _CHARLS if _CHARLS in decoder.available_plugins else ""
    try:
        options["pixel_vr"], length = enter_pixel_data(file)
        if file.transfer_syntax.is_encapsulated:
            require_encapsulated(file.stream)
            data = encapsulated_frame(file.stream, frame, options)
            _require_codestream_size(data, max_megapixels)
            reduced = decode_reduced(data, file.transfer_syntax, options, side)
            if reduced is not None:
                return display_grey(shrink(reduced, side), header)
            if file.transfer_syntax == uid.RLELossless:
                plugin = _rle_plugin(data, options)
        else:
            require_native(file.stream, frame, length, options)
        array, properties = decoder.as_array(
            file.stream,
            index=frame,
            decoding_plugin=plugin,
            pixel_keyword="PixelData",
            correct_unused_bits=False,
            view_only=True,
            **options,
        )
        photometric = str(properties["photometric_interpretation"])
        return _to_grey(array, header, photometric, options, file.transfer_syntax, side)
    except CxreportError:
        raise
    except Exception:  # decoders raise anything on damage, and their texts may quote values
        raise UnreadableFileError("The pixel data is damaged, or does not fit the header.") from None


def _decoder(transfer_syntax: uid.UID) -> Any:
    known = transfer_syntax.name if transfer_syntax.name != str(transfer_syntax) else "of an unknown kind"
    try:
        decoder = get_decoder(transfer_syntax)
    except NotImplementedError:
        raise UnreadableFileError(f"The transfer syntax is not supported: {known}.") from None
    if not decoder.is_available:
        package = _PACKAGES.get(transfer_syntax, "pylibjpeg[all]")
        raise MissingCodecError(f"{known} needs the package {package}.", hint=f"pip install pylibjpeg {package}")
    return decoder


def _pixel_options(header: Dataset) -> dict[str, Any]:
    """The Image Pixel attributes (PS3.3 C.7.6.3), with what a careless writer left out."""
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


def _require_codestream_size(data: bytes, max_megapixels: float) -> None:
    """A small header can announce a huge codestream: check before a decoder allocates for it."""
    size = codestream_size(data)
    if size is not None:
        require_size(*size, max_megapixels)


def _rle_plugin(data: bytes, options: dict[str, Any]) -> str:
    """The faster decoder for a frame that does not make it panic."""
    segments = options["samples_per_pixel"] * options["bits_allocated"] // 8
    return "pylibjpeg" if is_sound(data, segments, options["rows"] * options["columns"]) else "pydicom"


def _can_shrink(header: Dataset, options: dict[str, Any]) -> bool:
    """Whether stored values may be averaged: not indices of a palette, and no tissue with padding."""
    monochrome = options["samples_per_pixel"] == 1 and options["photometric_interpretation"] != "PALETTE COLOR"
    return monochrome and 8 <= options["bits_stored"] <= 16 and "PixelPaddingValue" not in header


def _to_grey(
    array: NDArray[Any],
    header: Dataset,
    photometric: str,
    options: dict[str, Any],
    transfer_syntax: uid.UID,
    side: int | None,
) -> Grey:
    if array.ndim == 3:
        return _luminance(array, photometric, options["bits_stored"])
    if transfer_syntax not in _OWN_PRECISION:
        array = _aligned(array, options["bits_stored"], integer(header, "HighBit"))
    if photometric == "PALETTE COLOR":
        return through_table(array, lambda values, counts: _palette_luminance(values, counts, header))
    return display_grey(shrink(array, side), header)


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
    """Whether no bit beside the stored ones is in use."""
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
