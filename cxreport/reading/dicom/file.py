"""Opening a DICOM file: its header, and the stream left at the pixels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial

from cxreport.errors import TooLargeError, UnreadableFileError
from cxreport.reading.dicom.attributes import text
from cxreport.reading.instance import DecodeLimits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Modality", "BodyPartExamined", "AnatomicRegionSequence"),
    *("ViewPosition", "PatientOrientation", "ViewCodeSequence", "SeriesDescription", "ProtocolName"),
    *("SourceImageSequence", "LossyImageCompression", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence", "RescaleSlope"),
    *("RescaleIntercept", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape"),
    *(f"{color}PaletteColorLookupTableDescriptor" for color in ("Red", "Green", "Blue")),
    *(f"{kind}{color}PaletteColorLookupTableData" for kind in ("", "Segmented") for color in ("Red", "Green", "Blue")),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)
_TAGS = [tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None]
_STUDY_INSTANCE_UID = 0x0020000D
_PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_PEEK_BYTES = 1 << 20
_BYTES_PER_PIXEL = 4
_HEADER_BYTES = 64 << 20


@dataclass(frozen=True)
class DicomFile:
    """An open file: header read, stream at the pixel element or at the end."""

    header: Dataset
    transfer_syntax: uid.UID
    stream: BinaryIO


@dataclass(frozen=True)
class Peek:
    """What the index needs to know of a file."""

    study_uid: str
    """Study Instance UID, empty when there is none."""
    directory: bool
    """Whether the file is a DICOMDIR (PS3.10 8)."""


def peek(path: str) -> Peek:
    """Read a file as far as its Study Instance UID and no further.

    Args:
        path: a DICOM file, with or without preamble and meta information (PS3.10 7).

    Returns:
        What was found; damaged files give an empty UID.
    """
    try:
        with open(path, "rb") as stream:
            header, _, _ = _read_header(stream, [_STUDY_INSTANCE_UID], _STUDY_INSTANCE_UID, _PEEK_BYTES)
    except Exception:  # a damaged header raises anything; reading the study will name the failure
        return Peek("", False)
    sop_class = text(header.file_meta, "MediaStorageSOPClassUID")
    return Peek(text(header, "StudyInstanceUID"), sop_class == uid.MediaStorageDirectoryStorage)


@contextmanager
def open_dicom(path: str, limits: DecodeLimits) -> Iterator[DicomFile]:
    """Open a file and read the header attributes that cxreport uses.

    Args:
        path: a DICOM file, with or without preamble and meta information (PS3.10 7).
        limits: bound the inflated size of a deflated file (PS3.5 A.5).

    Yields:
        The header and the stream. pydicom's warnings are the caller's to silence.

    Raises:
        UnreadableFileError: cannot be opened, or is damaged.
        TooLargeError: a deflated file inflates beyond the limit.
    """
    limit = int(limits.max_megapixels * 1e6) * _BYTES_PER_PIXEL + _HEADER_BYTES
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise UnreadableFileError(f"The file cannot be opened: {error.strerror}.") from None
    with file:
        try:
            header, transfer_syntax, stream = _read_header(file, list(_TAGS), None, limit)
        except (TooLargeError, UnreadableFileError):
            raise
        except Exception:  # pydicom raises anything on damage, and its texts may quote values
            raise UnreadableFileError("The DICOM header is truncated or damaged.") from None
        yield DicomFile(header, transfer_syntax, stream)


def _read_header(
    file: BinaryIO, tags: list[int], stop_after: int | None, limit: int
) -> tuple[Dataset, uid.UID, BinaryIO]:
    def stop(tag: int, vr: str | None, length: int) -> bool:
        return tag in _PIXELS or (stop_after is not None and tag > stop_after)

    transfer_syntax = _stated_transfer_syntax(file)
    file.seek(0)
    if transfer_syntax == uid.DeflatedExplicitVRLittleEndian:  # pydicom would inflate without a limit
        meta = read_file_meta_info(file.name)
        stream = _inflate(file, 144 + int(meta.FileMetaInformationGroupLength), limit, partial=stop_after is not None)
        header = read_dataset(stream, False, True, stop_when=stop, specific_tags=tags)
        header.file_meta = meta
        return header, transfer_syntax, stream
    header = read_partial(file, stop_when=stop, force=True, specific_tags=tags)
    return header, transfer_syntax or _guessed_transfer_syntax(*header.original_encoding), file


def _stated_transfer_syntax(file: BinaryIO) -> uid.UID | None:
    file.seek(128)
    if file.read(4) != b"DICM":
        file.seek(0)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2, specific_tags=[0x00020010])
    stated = text(meta, "TransferSyntaxUID")
    return uid.UID(stated) if stated else None


def _guessed_transfer_syntax(implicit: bool | None, little_endian: bool | None) -> uid.UID:
    if little_endian is False:
        return uid.ExplicitVRBigEndian
    return uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian


def _inflate(file: BinaryIO, start: int, limit: int, *, partial: bool) -> BytesIO:
    file.seek(start)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(file.read(limit if partial else -1), limit)
    if not partial and not inflater.eof:
        if inflater.unconsumed_tail:
            raise TooLargeError("The deflated file inflates beyond the limit.")
        raise UnreadableFileError("The deflated file is truncated.")
    return BytesIO(data)
