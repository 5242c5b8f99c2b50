"""The pixel element of a DICOM file (PS3.5 8, A.4): its beginning, its completeness, its frames."""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pydicom.encaps import generate_fragments, get_frame

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom.codestream import is_jpeg2000

if TYPE_CHECKING:
    from cxreport.reading.dicom.file import DicomFile

_PIXEL_DATA = 0x7FE00010
_PIXEL_VRS = (b"OB\0\0", b"OW\0\0", b"UN\0\0")
_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD
_ITEM_TAG = b"\xfe\xff\x00\xe0"
_UNDEFINED_LENGTH = 0xFFFFFFFF
TRUNCATED = "The pixel data is truncated."


class Fragment(NamedTuple):
    """An item of encapsulated pixels."""

    start: int
    """Place of its value in the stream."""
    length: int
    """Bytes of its value."""


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
    if is_encapsulated(file, length):
        require_encapsulated(file.stream)
    elif _present(file.stream, length) < length:
        raise UnreadableFileError(TRUNCATED)


def is_encapsulated(file: DicomFile, length: int) -> bool:
    """True for pixels in fragments: those of undefined length are, whatever the transfer syntax says (PS3.5 A.4).

    Where a length is stated though the transfer syntax is one of fragments, what the value begins with decides.

    Args:
        file: open, with the stream at the value of the pixel element.
        length: of the pixel element, in bytes.
    """
    if length == _UNDEFINED_LENGTH or not file.transfer_syntax.is_encapsulated:
        return length == _UNDEFINED_LENGTH
    head = file.stream.read(4)
    file.stream.seek(-len(head), os.SEEK_CUR)
    return len(head) < 4 or head == _ITEM_TAG


def enter_pixel_data(file: DicomFile) -> tuple[str, int]:
    """Move the stream to the value of the pixel element; its VR and length in bytes."""
    endian = "<" if file.transfer_syntax.is_little_endian else ">"
    group, element = struct.unpack(f"{endian}HH", file.stream.read(4))
    if group << 16 | element != _PIXEL_DATA:
        raise UnreadableFileError("Floating-point pixels are not supported.")
    vr = file.stream.read(4)
    if vr not in _PIXEL_VRS:  # implicit VR, whatever is stated: a length is even, and none of these would be
        return "OW", struct.unpack(f"{endian}L", vr)[0]
    return vr[:2].decode("ascii"), struct.unpack(f"{endian}L", file.stream.read(4))[0]


def require_native(stream: BinaryIO, frame: int, length: int, options: dict[str, Any]) -> None:
    """Refuse a native pixel element that ends before a frame does."""
    if _present(stream, length) < native_bytes(options, frame + 1):
        raise UnreadableFileError(TRUNCATED)


def native_bytes(options: dict[str, Any], frames: int) -> int:
    """Length of frames without compression."""
    samples = options["rows"] * options["columns"] * options["samples_per_pixel"]
    if options["photometric_interpretation"] == "YBR_FULL_422":
        samples = samples // 3 * 2
    return int(-(-samples * options["bits_allocated"] * frames // 8))


def _present(stream: BinaryIO, length: int) -> int:
    """Bytes of a native pixel element that the file holds."""
    return min(length, os.fstat(stream.fileno()).st_size - stream.tell()) if _on_disk(stream) else length


def require_encapsulated(stream: BinaryIO) -> list[Fragment]:
    """Walk the items (PS3.5 A.4): decoders silently fill what a truncated one lacks with grey.

    Returns:
        The items, the offset table first, empty where the file leaves it out; the stream is where it was.
    """
    start = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(start)
    items: list[Fragment] = []
    while len(head := stream.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", head)
        if group << 16 | element == _DELIMITER:
            break
        if group << 16 | element != _ITEM or stream.tell() + length > end:
            raise UnreadableFileError("The pixel data is truncated or damaged.")
        items.append(Fragment(stream.tell(), length))
        stream.seek(length, os.SEEK_CUR)
    if items and _begins_a_frame(stream, items[0]):
        items.insert(0, Fragment(items[0].start, 0))
    stream.seek(start)
    return items


def _begins_a_frame(stream: BinaryIO, item: Fragment) -> bool:
    """True for a first item that is no offset table, of which the first entry is 0 (PS3.5 A.4), but a frame."""
    stream.seek(item.start)
    head = stream.read(min(item.length, 4))
    return head[:3] == b"\xff\xd8\xff" or is_jpeg2000(head)


def encapsulated(frame: bytes) -> bytes:
    """Encapsulated pixels (PS3.5 A.4) of one frame in one fragment, put together with one copy."""
    head, padding = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, len(frame) + len(frame) % 2), b"\0"
    return b"".join((head, frame, padding[: len(frame) % 2]))


def encapsulated_frame(stream: BinaryIO, frame: int, options: dict[str, Any], items: list[Fragment]) -> bytes:
    """The compressed data of one frame.

    The offset table is asked where it is needed: with one frame all fragments belong to it, and where there are as many
    fragments as frames each is one (PS3.5 A.4).

    Args:
        stream: at the pixel element.
        frame: number from 0.
        options: the Image Pixel attributes, with the number of frames.
        items: from `require_encapsulated`.
    """
    fragments, frames = items[1:], options["number_of_frames"]
    start = stream.tell()
    try:
        if len(fragments) == frames:
            return _joined(stream, fragments[frame : frame + 1])
        if frames == 1 and not _has_several_frames(stream, items):
            return _joined(stream, fragments)
        stream.seek(start)
        offsets = options.get("extended_offsets")
        return bytes(get_frame(stream, frame, number_of_frames=frames, extended_offsets=offsets))
    finally:
        stream.seek(start)


def _joined(stream: BinaryIO, fragments: list[Fragment]) -> bytes:
    parts = []
    for fragment in fragments:
        stream.seek(fragment.start)
        parts.append(stream.read(fragment.length))
    return b"".join(parts)


def _has_several_frames(stream: BinaryIO, items: list[Fragment]) -> bool:
    """True for an offset table whose entries ascend from fragment to fragment: then the number of frames is wrong."""
    stream.seek(items[0].start)
    table = stream.read(items[0].length // 4 * 4)
    offsets = struct.unpack(f"<{len(table) // 4}L", table)
    heads = {fragment.start - items[1].start for fragment in items[1:]}
    is_ascending = all(first < second for first, second in pairwise(offsets))
    return len(offsets) > 1 and is_ascending and heads.issuperset(offsets)


def uncompressed_frame(stream: BinaryIO, frame: int, options: dict[str, Any]) -> bytes:
    """One frame of encapsulated pixels without compression (PS3.5 A.4.11).

    A frame has fragments of its own, and its length is known: no offset table is needed to put it together.

    Raises:
        UnreadableFileError: the fragments end before the frame does.
    """
    length = native_bytes(options, 1)
    start = stream.tell()
    fragments = generate_fragments(stream)
    next(fragments, None)  # the offset table
    content = bytearray()
    for _ in range(frame + 1):
        content.clear()
        while len(content) < length:
            fragment = next(fragments, None)
            if fragment is None:
                raise UnreadableFileError(TRUNCATED)
            content += fragment
    stream.seek(start)
    return bytes(content[:length])


def _on_disk(stream: BinaryIO) -> bool:
    try:
        stream.fileno()
    except OSError:
        return False
    return True
