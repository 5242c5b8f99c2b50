"""Open DICOM files as images: a description from the header, and pixels as 8-bit grey."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from pydicom import uid

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom.attributes import digest, integer, sequence, text
from cxreport.reading.dicom.decode import decode_frame
from cxreport.reading.dicom.eligibility import refusal, view_position
from cxreport.reading.dicom.file import DicomFile, read_header, study_reference
from cxreport.reading.dicom.pixel_data import require_complete
from cxreport.reading.instance import DecodeLimits, Instance, Rendering
from cxreport.reading.muted_libraries import quiet

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UNCOMPRESSED_PREDECESSOR = "121320"  # PS3.16 CID 7202


def study_digest(stream: BinaryIO) -> str | None:
    """Pseudonym of the study that a file belongs to, from a partial read.

    Args:
        stream: an open DICOM file.

    Returns:
        SHA-256 of the Study Instance UID in hexadecimal, empty when the file has none, None for a DICOMDIR.
    """
    with quiet():
        reference = study_reference(stream)
    if reference.is_directory:
        return None
    return digest(reference.study_uid) if reference.study_uid else ""


class DicomImage:
    """An open DICOM file with an image.

    Attributes:
        instance: projection, frames and identity; its `refusal` when it is no chest radiograph; 0 frames when it is of
            a kind without pixels (a report, a presentation state, ...).
    """

    def __init__(self, stream: BinaryIO, source: str, limits: DecodeLimits) -> None:
        """Read the header, not the pixels.

        Args:
            stream: an open DICOM file, closed by `close`.
            source: its path.
            limits: of decoding; they also bound what a deflated file may inflate to.

        Raises:
            UnreadableFileError: truncated, or damaged.
            TooLargeError: a deflated file inflates beyond the limit.
        """
        self._limits = limits
        self._stream = stream
        with quiet():
            self._file = read_header(stream, limits)
            self._start = self._file.stream.tell()
            self.instance = _instance(self._file, source)

    def rendering(self, frame: int) -> Rendering:
        """Decode one frame and present it as 8-bit grey (PS3.3 C.11, PS3.14).

        Args:
            frame: frame number from 0.

        Returns:
            (H, W), 0 = black = air; with a side in the limits perhaps fewer pixels than the image has. With it, what
            was read in spite of the header, and what the grey owes to more than the header's window.

        Raises:
            UnreadableFileError: truncated, damaged, or in an unsupported encoding.
            MissingCodecError: the transfer syntax needs a package that is not installed.
            TooLargeError: more pixels than the limit.
        """
        self._file.stream.seek(self._start)
        with quiet():
            return decode_frame(self._file, frame, self._limits)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _instance(file: DicomFile, source: str) -> Instance:
    """Description of an image from a header, with the stream at the pixel element."""
    header = file.header
    has_pixels = bool(file.stream.read(4))
    if not has_pixels and _should_have_pixels(header):
        raise UnreadableFileError("The file is truncated: it ends before its pixels.")
    reason = refusal(header)
    if has_pixels and reason is None:
        file.stream.seek(-4, os.SEEK_CUR)
        require_complete(file)
    return Instance(
        source=source,
        image=_image_identity(header, source),
        position=view_position(header),
        frames=max(1, integer(header, "NumberOfFrames") or 1) if has_pixels else 0,
        lossy=text(header, "LossyImageCompression") == "01",
        refusal=reason,
    )


def _should_have_pixels(header: Dataset) -> bool:
    """True for the header of an image, where a file that ends before its pixels is truncated."""
    if text(header.file_meta, "MediaStorageSOPClassUID") == uid.MediaStorageDirectoryStorage:
        return False
    return "Rows" in header or "Image Storage" in uid.UID(text(header, "SOPClassUID")).name or len(header) == 0


def _image_identity(header: Dataset, path: str) -> str:
    """Identity of the depicted image: a copy in another encoding states its predecessor (PS3.3 C.7.6.1.1.4)."""
    for source in sequence(header, "SourceImageSequence"):
        purposes = [text(code, "CodeValue") for code in sequence(source, "PurposeOfReferenceCodeSequence")]
        if _UNCOMPRESSED_PREDECESSOR in purposes and text(source, "ReferencedSOPInstanceUID"):
            return digest(text(source, "ReferencedSOPInstanceUID"))
    return digest(text(header, "SOPInstanceUID") or path)
