"""DICOM instances to views: what the header says of an image, and its pixels as 8-bit grey."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydicom import uid

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom.attributes import digest, integer, sequence, text
from cxreport.reading.dicom.decode import decode_frame
from cxreport.reading.dicom.eligibility import refusal, view_position
from cxreport.reading.dicom.file import open_dicom, peek
from cxreport.reading.dicom.pixel_data import require_complete
from cxreport.reading.instance import EVERY_PIXEL, DecodeLimits, Instance
from cxreport.reading.silence import quiet
from cxreport.types import View, ViewInfo

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UNCOMPRESSED_PREDECESSOR = "121320"  # PS3.16 CID 7202


def study_digest(path: str) -> str | None:
    """Pseudonym of the study that a file belongs to, from a partial read.

    Args:
        path: a DICOM file.

    Returns:
        SHA-256 of the Study Instance UID in hexadecimal, empty when the file has none, None for a DICOMDIR.
    """
    with quiet():
        found = peek(path)
    if found.directory:
        return None
    return digest(found.study_uid) if found.study_uid else ""


def inspect(path: str, limits: DecodeLimits = EVERY_PIXEL) -> Instance:
    """Read the header of an instance, not its pixels.

    Args:
        path: a DICOM file.
        limits: bound what a deflated file may inflate to.

    Returns:
        Projection, frames and identity; `refusal` when it is not a chest radiograph; 0 frames when the instance is of
        a kind without pixels (a report, a presentation state, ...).

    Raises:
        UnreadableFileError: truncated, or damaged.
        TooLargeError: a deflated file inflates beyond the limit.
    """
    with quiet(), open_dicom(path, limits) as file:
        header = file.header
        has_pixels = bool(file.stream.read(4))
        if not has_pixels and _should_have_pixels(header):
            raise UnreadableFileError("The file is truncated: it ends before its pixels.")
        refused = refusal(header)
        if has_pixels and refused is None:
            file.stream.seek(-4, os.SEEK_CUR)
            require_complete(file)
        return Instance(
            source=path,
            image=_image_identity(header, path),
            position=view_position(header),
            frames=max(1, integer(header, "NumberOfFrames") or 1) if has_pixels else 0,
            lossy=text(header, "LossyImageCompression") == "01",
            refusal=refused,
        )


def read_view(instance: Instance, frame: int, limits: DecodeLimits = EVERY_PIXEL) -> View:
    """Decode one frame and present it as 8-bit grey (PS3.3 C.11, PS3.14).

    Args:
        instance: from `inspect`.
        frame: frame number from 0.
        limits: of decoding.

    Returns:
        The view: (H, W), 0 = black = air; with a side perhaps fewer pixels than the image has.

    Raises:
        UnreadableFileError: truncated, damaged, or in an unsupported encoding.
        MissingCodecError: the transfer syntax needs a package that is not installed.
        TooLargeError: more pixels than the limit.
    """
    with quiet(), open_dicom(instance.source, limits) as file:
        pixels = decode_frame(file, frame, limits)
    return View(ViewInfo(instance.source, frame, instance.position), pixels)


def _should_have_pixels(header: Dataset) -> bool:
    """Whether the end of the file came too early: images announce themselves before the pixels."""
    if text(header.file_meta, "MediaStorageSOPClassUID") == uid.MediaStorageDirectoryStorage:
        return False
    return "Rows" in header or "Image Storage" in uid.UID(text(header, "SOPClassUID")).name or len(header) == 0


def _image_identity(header: Dataset, path: str) -> str:
    """What is depicted: copies in another encoding state their uncompressed predecessor (PS3.3 C.7.6.1.1.4)."""
    for source in sequence(header, "SourceImageSequence"):
        purposes = [text(code, "CodeValue") for code in sequence(source, "PurposeOfReferenceCodeSequence")]
        if _UNCOMPRESSED_PREDECESSOR in purposes and text(source, "ReferencedSOPInstanceUID"):
            return digest(text(source, "ReferencedSOPInstanceUID"))
    return digest(text(header, "SOPInstanceUID") or path)
