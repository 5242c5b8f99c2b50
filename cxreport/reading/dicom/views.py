"""Open DICOM files as images: a description from the header, and pixels as 8-bit grey."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pydicom import uid

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom.attributes import digest, integer, is_uid, sequence, text
from cxreport.reading.dicom.decode import decode_frame
from cxreport.reading.dicom.eligibility import header_doubts, header_drawbacks, refusal
from cxreport.reading.dicom.file import DicomFile, read_header, study_reference
from cxreport.reading.dicom.pixel_data import require_complete
from cxreport.reading.dicom.projection import Turn, upright_turn, view_position
from cxreport.reading.instance import DecodeLimits, Instance, Rendering
from cxreport.reading.processes.muted_libraries import quiet

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UNCOMPRESSED_PREDECESSOR = "121320"  # PS3.16 CID 7202


class StudyKey(NamedTuple):
    """Study and patient of a file, as digests."""

    study: str
    """SHA-256 of the Study Instance UID in hexadecimal; empty where the file has none, or a value that is no UID."""
    patient: str
    """Short digest of the Patient ID; empty without."""
    issuer: str
    """Short digest of the Issuer of Patient ID; empty without."""
    name: str
    """Short digest of the Patient's Name; empty without."""
    has_placeholder: bool
    """True where something other than a UID stands in the place of the Study Instance UID."""


def study_key(stream: BinaryIO) -> StudyKey | None:
    """Study that a file belongs to, from a partial read; None for a DICOMDIR.

    Args:
        stream: an open DICOM file.
    """
    with quiet():
        reference = study_reference(stream)
    if reference.is_directory:
        return None
    study = digest(reference.study_uid) if is_uid(reference.study_uid) else ""
    patient, issuer, name = reference.patient
    return StudyKey(
        study=study,
        patient=_short_digest(patient),
        issuer=_short_digest(issuer if patient else ""),
        name=_short_digest(" ".join(name.upper().replace("^", " ").split())),
        has_placeholder=bool(reference.study_uid) and not study,
    )


def _short_digest(identifier: str) -> str:
    return digest(identifier)[:12] if identifier else ""


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
            self._turn = upright_turn(self._file.header)
            self.instance = _instance(self._file, source, self._turn)

    def rendering(self, frame: int) -> Rendering:
        """Decode one frame and present it upright as 8-bit grey (PS3.3 C.11, C.7.6.1.1.1, PS3.14).

        Args:
            frame: frame number from 0.

        Returns:
            (H, W), 0 = black = air; with a side in the limits perhaps fewer pixels than the image has. With it, what
            was read in spite of the header, what the grey owes to more than the header's window, and how it was turned.

        Raises:
            UnreadableFileError: truncated, damaged, or in an unsupported encoding.
            MissingCodecError: the transfer syntax needs a package that is not installed.
            TooLargeError: more pixels than the limit.
        """
        self._file.stream.seek(self._start)
        with quiet():
            shown = decode_frame(self._file, frame, self._limits)
        if not self._turn:
            return shown
        return replace(shown, pixels=self._turn.applied(shown.pixels), changes=(*shown.changes, self._turn.change))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _instance(file: DicomFile, source: str, turn: Turn) -> Instance:
    """Description of an image from a header, with the stream at the pixel element."""
    header = file.header
    has_pixels = bool(file.stream.read(4))
    if not has_pixels and _should_have_pixels(header):
        raise UnreadableFileError("The file is truncated: it ends before its pixels.")
    reason = refusal(header)
    if has_pixels and reason is None:
        file.stream.seek(-4, os.SEEK_CUR)
        require_complete(file)
    position = view_position(header)
    drawbacks = header_drawbacks(header, position, turn)
    return Instance(
        source=source,
        image=_image_identity(header, source),
        position=position,
        frames=max(1, integer(header, "NumberOfFrames") or 1) if has_pixels else 0,
        lossy=text(header, "LossyImageCompression") == "01",
        refusal=reason,
        sizes=((integer(header, "Rows") or 0) * (integer(header, "Columns") or 0),),
        drawbacks=drawbacks,
        doubts=header_doubts(header, drawbacks),
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
        predecessor = text(source, "ReferencedSOPInstanceUID")
        if _UNCOMPRESSED_PREDECESSOR in purposes and is_uid(predecessor):
            return digest(predecessor)
    instance = text(header, "SOPInstanceUID")
    return digest(instance if is_uid(instance) else path)
