"""Header of a DICOM file, with the stream left at the pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_partial

from cxreport.errors import OutOfMemoryError, TooLargeError, UnreadableFileError, lacks_memory
from cxreport.reading.dicom.attributes import stored, text
from cxreport.reading.instance import DecodeLimits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Modality", "BodyPartExamined", "AnatomicRegionSequence"),
    *("ViewPosition", "PatientOrientation", "ViewCodeSequence", "SeriesDescription", "ProtocolName"),
    *("ImageType", "ConversionType", "BurnedInAnnotation", "PresentationIntentType", "DerivationDescription"),
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ContributingEquipmentSequence"),
    *("AcquisitionDeviceProcessingDescription", "FieldOfViewRotation", "FieldOfViewHorizontalFlip"),
    *("SourceImageSequence", "LossyImageCompression", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence", "RescaleSlope"),
    *("RescaleIntercept", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape"),
    *(f"{color}PaletteColorLookupTableDescriptor" for color in ("Red", "Green", "Blue")),
    *(f"{kind}{color}PaletteColorLookupTableData" for kind in ("", "Segmented") for color in ("Red", "Green", "Blue")),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelAspectRatio"),
    *("ShutterShape", "ShutterPresentationValue", "ShutterOverlayGroup", "CenterOfCircularShutter"),
    *("RadiusOfCircularShutter", "VerticesOfThePolygonalShutter"),
    *(f"Shutter{edge}VerticalEdge" for edge in ("Left", "Right")),
    *(f"Shutter{edge}HorizontalEdge" for edge in ("Upper", "Lower")),
)
_OVERLAY_ELEMENTS = (0x0010, 0x0011, 0x0050, 0x0100, 0x0102, 0x3000)  # PS3.3 C.9.2
_TAGS = [
    *(tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None),
    *(group << 16 | element for group in range(0x6000, 0x6020, 2) for element in _OVERLAY_ELEMENTS),
]
_NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
_STUDY_INSTANCE_UID = 0x0020000D
_REFERENCE_TAGS = [0x00100010, 0x00100020, 0x00100021, _STUDY_INSTANCE_UID]
_PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
_REFERENCE_BYTES = 1 << 20
_BYTES_PER_PIXEL = 4
_HEADER_BYTES = 64 << 20
_HEADER_READS = 500_000  # two or three an element; with values that are not wanted skipped
_ZLIB = 0x78
"""First byte of zlib's header (RFC 1950), for the window that writers use."""
_NOT_DEFLATED = "Read as it is: the transfer syntax states that the data set is deflated, which it is not."


class _MeteredStream:
    """Stream that ends a parser which reads more of it than a header takes; what is skipped costs nothing."""

    def __init__(self, stream: BinaryIO, most_bytes: int) -> None:
        self.seek = stream.seek
        self.tell = stream.tell
        self._read = stream.read
        self._reads_left = _HEADER_READS
        self._bytes_left = most_bytes

    def read(self, size: int = -1) -> bytes:
        """Read as the stream does.

        Raises:
            TooLargeError: too often, or too much.
        """
        content = self._read(size if 0 <= size <= self._bytes_left else self._bytes_left + 1)
        self._reads_left -= 1
        self._bytes_left -= len(content)
        if self._reads_left < 0 or self._bytes_left < 0:
            raise TooLargeError(
                "The DICOM header is larger than the limit.", hint="The file is damaged, or no radiograph."
            )
        return content


@dataclass(frozen=True)
class DicomFile:
    """An open file: header read, stream at the pixel element or at the end."""

    header: Dataset
    transfer_syntax: uid.UID
    stream: BinaryIO
    """The file, or what a deflated one inflates to."""
    changes: tuple[str, ...] = ()
    """What was read in spite of the transfer syntax that the file states."""


@dataclass(frozen=True)
class StudyReference:
    """The study that a file says it belongs to."""

    study_uid: str
    """Study Instance UID, empty when there is none."""
    patient: tuple[str, str, str]
    """Patient ID, Issuer of Patient ID, and name; empty where absent. Not to be shown or kept."""
    is_directory: bool
    """True for a DICOMDIR (PS3.10 8), which belongs to none."""


def study_reference(stream: BinaryIO) -> StudyReference:
    """Read a file as far as its Study Instance UID and no further.

    Args:
        stream: an open DICOM file, with or without preamble and meta information (PS3.10 7).

    Returns:
        The reference; of a damaged file one with an empty UID.
    """
    try:
        file = _read_header(stream, list(_REFERENCE_TAGS), last_tag=_STUDY_INSTANCE_UID, limit=_REFERENCE_BYTES)
    except Exception:  # a damaged header raises anything; reading the study will name the failure
        return StudyReference("", ("", "", ""), False)
    header = file.header
    return StudyReference(
        study_uid=text(header, "StudyInstanceUID"),
        patient=(stored(header, "PatientID"), stored(header, "IssuerOfPatientID"), stored(header, "PatientName")),
        is_directory=text(header.file_meta, "MediaStorageSOPClassUID") == uid.MediaStorageDirectoryStorage,
    )


def read_header(stream: BinaryIO, limits: DecodeLimits) -> DicomFile:
    """Read the header attributes that cxreport uses.

    Args:
        stream: an open DICOM file, with or without preamble and meta information (PS3.10 7).
        limits: bound the inflated size of a deflated file (PS3.5 A.5).

    Returns:
        The header and the stream. pydicom's warnings are the caller's to silence.

    Raises:
        UnreadableFileError: damaged.
        TooLargeError: it has far more or longer elements than that of a radiograph, or a deflated file inflates beyond
            the limit.
    """
    limit = int(limits.max_megapixels * 1e6) * _BYTES_PER_PIXEL + _HEADER_BYTES
    try:
        return _read_header(stream, list(_TAGS), last_tag=None, limit=limit)
    except (TooLargeError, UnreadableFileError):
        raise
    except Exception as error:  # pydicom raises anything on damage, and its texts may quote values
        if lacks_memory(error):
            raise OutOfMemoryError() from None
        raise UnreadableFileError("The DICOM header is truncated or damaged.") from None


def read_attributes(stream: BinaryIO, keywords: tuple[str, ...]) -> Dataset:
    """Read the attributes of these names, and the character set of their texts.

    Args:
        stream: an open DICOM file, with or without preamble and meta information (PS3.10 7).
        keywords: names of attributes that come before the pixels.

    Returns:
        The attributes that the file has.

    Raises:
        UnreadableFileError: damaged, or not DICOM.
    """
    tags = [tag for keyword in ("SpecificCharacterSet", *keywords) if (tag := tag_for_keyword(keyword)) is not None]
    try:
        return _read_header(stream, tags, last_tag=max(tags), limit=_REFERENCE_BYTES).header
    except Exception:  # as above
        raise UnreadableFileError("The DICOM header is truncated or damaged.") from None


def _read_header(stream: BinaryIO, tags: list[int], *, last_tag: int | None, limit: int) -> DicomFile:
    """Read the attributes with these tags, up to the pixels or the last tag, and at most so many inflated bytes."""

    def stop(tag: int, vr: str | None, length: int) -> bool:
        return tag in _PIXELS or (last_tag is not None and tag > last_tag)

    meta = _meta_information(stream)
    start = stream.tell()  # where group 2 ends; its length, which some writers get wrong, is not asked
    transfer_syntax = uid.UID(text(meta, "TransferSyntaxUID"))
    is_deflated = transfer_syntax == uid.DeflatedExplicitVRLittleEndian
    if is_deflated and _begins_like_a_data_set(stream, start):
        stream.seek(start)
        header = read_dataset(stream, False, True, stop_when=stop, specific_tags=tags)
        header.file_meta = FileMetaDataset(meta)
        return DicomFile(header, uid.ExplicitVRLittleEndian, stream, (_NOT_DEFLATED,))
    if is_deflated:  # pydicom would inflate without a limit
        inflated = _inflate(stream, start, limit, partial=last_tag is not None)
        header = read_dataset(_metered(inflated), False, True, stop_when=stop, specific_tags=tags)
        header.file_meta = FileMetaDataset(meta)
        return DicomFile(header, transfer_syntax, inflated)
    is_little_endian = _is_little_endian(stream)
    if transfer_syntax in _NATIVE and is_little_endian is (not transfer_syntax.is_little_endian):
        stream.seek(start)
        header = read_dataset(_metered(stream), False, is_little_endian, stop_when=stop, specific_tags=tags)
        header.file_meta = FileMetaDataset(meta)
        order = "little" if is_little_endian else "big"
        actual = uid.ExplicitVRLittleEndian if is_little_endian else uid.ExplicitVRBigEndian
        change = f"Read as {order} endian, which the data set is; the transfer syntax states the other."
        return DicomFile(header, actual, stream, (change,))
    stream.seek(0)
    header = read_partial(_metered(stream), stop_when=stop, force=True, specific_tags=tags)
    return DicomFile(header, transfer_syntax or _guessed_transfer_syntax(*header.original_encoding), stream)


def _meta_information(stream: BinaryIO) -> Dataset:
    """The File Meta Information (PS3.10 7.1), empty in a file without; the stream is left where it ends."""
    stream.seek(128)
    if stream.read(4) != b"DICM":
        stream.seek(0)
    return read_dataset(_metered(stream), False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)


def _metered(stream: BinaryIO) -> Any:
    """The stream for pydicom's parser, which wants no more of a stream than this one has."""
    return _MeteredStream(stream, _HEADER_BYTES)


def _begins_like_a_data_set(stream: BinaryIO, start: int) -> bool:
    """True for the tag and VR of an element in group 8, explicit and little endian, as data sets begin."""
    stream.seek(start)
    head = stream.read(6)
    return head[:2] == b"\x08\0" and head[4:6].isalpha() and head[4:6].isupper()


def _is_little_endian(stream: BinaryIO) -> bool | None:
    """Byte order of the data set that begins here, by the group of its first element, which is a low number."""
    group = stream.read(2)
    little, big = int.from_bytes(group, "little"), int.from_bytes(group, "big")
    return None if little == big else little < big


def _guessed_transfer_syntax(implicit: bool | None, little_endian: bool | None) -> uid.UID:
    if little_endian is False:
        return uid.ExplicitVRBigEndian
    return uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian


def _inflate(file: BinaryIO, start: int, limit: int, *, partial: bool) -> BytesIO:
    file.seek(start)
    head = file.read(2)
    # a header of zlib (RFC 1950) some writers leave in front; what PS3.5 A.5 asks for (RFC 1951) does not begin so
    has_header = len(head) == 2 and head[0] == _ZLIB and int.from_bytes(head, "big") % 31 == 0
    file.seek(start)
    inflater = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
    data = inflater.decompress(file.read(limit if partial else -1), limit)
    if not partial and not inflater.eof:
        if inflater.unconsumed_tail:
            raise TooLargeError("The deflated file inflates beyond the limit.")
        raise UnreadableFileError("The deflated file is truncated.")
    return BytesIO(data)
