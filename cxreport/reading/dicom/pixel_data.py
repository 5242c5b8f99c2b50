"""The pixel element of a DICOM file (PS3.5 8, A.4): its beginning, its completeness, its frames."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from pydicom.encaps import generate_fragments, get_frame

from cxreport.errors import UnreadableFileError

if TYPE_CHECKING:
    from cxreport.reading.dicom.file import DicomFile

_PIXEL_DATA = 0x7FE00010
_PIXEL_VRS = (b"OB\0\0", b"OW\0\0", b"UN\0\0")
_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD
_TRUNCATED = "The pixel data is truncated."


def require_complete(file: DicomFile) -> None:
    """Refuse a file that ends before its pixels do, without decoding them.

    Args:
        file: open, with the stream at the pixel element.

    Raises:
        UnreadableFileError: truncated, or pixels that are not integers.
    """
    if not file.transfer_syntax.is_transfer_syntax:
        return  # where its pixels end is not known; decoding refuses it
    _, length = enter_pixel_data(file)
    if file.transfer_syntax.is_encapsulated:
        require_encapsulated(file.stream)
    elif _present(file.stream, length) < length:
        raise UnreadableFileError(_TRUNCATED)


def enter_pixel_data(file: DicomFile) -> tuple[str, int]:
    """Move the stream to the value of the pixel element; its VR and length in bytes."""
    endian = "<" if file.transfer_syntax.is_little_endian else ">"
    group, element = struct.unpack(f"{endian}HH", file.stream.read(4))
    if group << 16 | element != _PIXEL_DATA:
        raise UnreadableFileError("Floating-point pixels are not supported.")
    vr = file.stream.read(4)
    if file.header.original_encoding[0] or vr not in _PIXEL_VRS:  # some writers state explicit VR and do not use it
        return "OW", struct.unpack(f"{endian}L", vr)[0]
    return vr[:2].decode("ascii"), struct.unpack(f"{endian}L", file.stream.read(4))[0]


def require_native(stream: BinaryIO, frame: int, length: int, options: dict[str, Any]) -> None:
    """Refuse a native pixel element that ends before a frame does."""
    if _present(stream, length) < _native_bytes(options, frame + 1):
        raise UnreadableFileError(_TRUNCATED)


def _native_bytes(options: dict[str, Any], frames: int) -> int:
    """Length of frames without compression."""
    samples = options["rows"] * options["columns"] * options["samples_per_pixel"]
    if options["photometric_interpretation"] == "YBR_FULL_422":
        samples = samples // 3 * 2
    return int(-(-samples * options["bits_allocated"] * frames // 8))


def _present(stream: BinaryIO, length: int) -> int:
    """Bytes of a native pixel element that the file holds."""
    return min(length, os.fstat(stream.fileno()).st_size - stream.tell()) if _on_disk(stream) else length


def require_encapsulated(stream: BinaryIO) -> None:
    """Walk the fragments (PS3.5 A.4): decoders silently fill what a truncated one lacks with grey."""
    start = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(start)
    while len(head := stream.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", head)
        if group << 16 | element == _DELIMITER:
            break
        if group << 16 | element != _ITEM or stream.tell() + length > end:
            raise UnreadableFileError("The pixel data is truncated or damaged.")
        stream.seek(length, os.SEEK_CUR)
    stream.seek(start)


def encapsulated_frame(stream: BinaryIO, frame: int, options: dict[str, Any]) -> bytes:
    """The compressed data of one frame."""
    start = stream.tell()
    data = get_frame(
        stream,
        frame,
        number_of_frames=options["number_of_frames"],
        extended_offsets=options.get("extended_offsets"),
    )
    stream.seek(start)
    return bytes(data)


def uncompressed_frame(stream: BinaryIO, frame: int, options: dict[str, Any]) -> bytes:
    """One frame of encapsulated pixels without compression (PS3.5 A.4.11).

    A frame has fragments of its own, and its length is known: no offset table is needed to put it together.

    Raises:
        UnreadableFileError: the fragments end before the frame does.
    """
    length = _native_bytes(options, 1)
    start = stream.tell()
    fragments = generate_fragments(stream)
    next(fragments, None)  # the offset table
    content = bytearray()
    for _ in range(frame + 1):
        content.clear()
        while len(content) < length:
            fragment = next(fragments, None)
            if fragment is None:
                raise UnreadableFileError(_TRUNCATED)
            content += fragment
    stream.seek(start)
    return bytes(content[:length])


def _on_disk(stream: BinaryIO) -> bool:
    try:
        stream.fileno()
    except OSError:
        return False
    return True
