"""Patient and study of DICOM files, as headers name them: for documents that go back to where the files are from."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.errors import CxreportError, MissingHeaderError
from cxreport.reading.dicom.attributes import is_uid, text
from cxreport.reading.dicom.eligibility import MAKER, is_own_result
from cxreport.reading.dicom.file import read_attributes
from cxreport.reading.processes.muted_libraries import quiet

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality"),
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyDate", "StudyTime", "TimezoneOffsetFromUTC"),
    *(*MAKER, "ContributingEquipmentSequence"),
)
_NAME_PARTS = ("family_name", "given_name", "middle_name", "name_prefix", "name_suffix")
_LONGEST_UID = 64
_DATE = re.compile(r"(\d{4})[.-]?(\d\d)?[.-]?(\d\d)?")
_TIME = re.compile(r"(\d\d):?(\d\d):?(\d\d)(?:\.\d+)?")
_ZONE = re.compile(r"([+-])(\d\d)(\d\d)")


@dataclass(frozen=True, repr=False)
class PatientName:
    """Name of a person (PS3.5 6.2.1), of the first component group that is not empty."""

    family: str
    given: str
    middle: str
    prefix: str
    suffix: str

    @property
    def text(self) -> str:
        """The parts in the order in which a name is written."""
        parts = (self.prefix, self.given, self.middle, self.family, self.suffix)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, repr=False)
class ImageReference:
    """Image of a study."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    modality: str
    """Code of DICOM; empty where absent."""


@dataclass(frozen=True, repr=False)
class StudyHeader:
    """Patient and study, mended where a value breaks the rules. Not to be logged: it has no text form of its own."""

    study_uid: str
    patient_id: str
    """Empty where absent; there is then a name."""
    issuer: str
    """Issuer of Patient ID."""
    name: PatientName | None
    birth_date: str
    """ISO 8601 date, year and month, or year; empty where absent or no date."""
    sex: str
    """M, F or O; another text as it stands; empty where absent."""
    accession_number: str
    study_date: str
    """ISO 8601; empty where absent or no date."""
    study_time: str
    """ISO 8601 time with its zone; empty where either is absent."""
    images: tuple[ImageReference, ...]
    """Of the files that were read, each once; without results of cxreport, and those whose UIDs are no UIDs."""


def read_study_header(source: str, others: Iterable[str] = ()) -> StudyHeader:
    """Read the header of a study again.

    Args:
        source: file whose patient and study it is, that of the view that fed the model.
        others: further files; those of the same study are among the images.

    Returns:
        The header.

    Raises:
        MissingHeaderError: the file is not DICOM or cannot be read any more, has no valid Study Instance UID, or names
            no patient.
    """
    with quiet():  # once for all values that pydicom may warn of
        return _read(source, others)


def _read(source: str, others: Iterable[str]) -> StudyHeader:
    header = readable_header(source)
    study_uid = valid_uid(header, "StudyInstanceUID") if header else ""
    if header is None or not study_uid:
        raise MissingHeaderError(f"{source}: has no DICOM header with a StudyInstanceUID.")
    patient_id, name = _line(header, "PatientID"), _name(header)
    if not patient_id and name is None:
        raise MissingHeaderError(f"{source}: PatientID and PatientName are empty.")
    headers = (
        header,
        *(other for path in dict.fromkeys(others) if path != source and (other := readable_header(path))),
    )
    images = (_image(each) for each in headers if valid_uid(each, "StudyInstanceUID") == study_uid)
    zone, time = _ZONE.fullmatch(_line(header, "TimezoneOffsetFromUTC")), _time(_line(header, "StudyTime"))
    return StudyHeader(
        study_uid=study_uid,
        patient_id=patient_id,
        issuer=_line(header, "IssuerOfPatientID"),
        name=name,
        birth_date=iso_date(_line(header, "PatientBirthDate")),
        sex=_line(header, "PatientSex").upper(),
        accession_number=_line(header, "AccessionNumber"),
        study_date=iso_date(_line(header, "StudyDate")),
        study_time=f"{time}{zone[1]}{zone[2]}:{zone[3]}" if time and zone else "",
        images=tuple(dict.fromkeys(image for image in images if image)),
    )


def readable_header(source: str, keywords: tuple[str, ...] = _KEYWORDS) -> Dataset | None:
    """Read these attributes of a file again; None where it is not DICOM, or cannot be read any more."""
    try:
        with quiet(), Path(source).open("rb") as stream:
            return read_attributes(stream, keywords)
    except (OSError, ValueError, CxreportError):
        return None


def _image(header: Dataset) -> ImageReference | None:
    sop_class, instance, series = (
        valid_uid(header, keyword) for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
    )
    if not (sop_class and instance and series) or is_own_result(header):
        return None
    return ImageReference(sop_class, instance, series, _line(header, "Modality").upper())


def _name(header: Dataset) -> PatientName | None:
    """The name, or None where no part of it is filled, or where it cannot be decoded."""
    try:
        groups = [type(header.PatientName)(group) for group in header.PatientName.components]
        names = [PatientName(*(one_line(getattr(group, part)) for part in _NAME_PARTS)) for group in groups]
    except (AttributeError, LookupError, ValueError):  # absent, several, or of another character set than it states
        return None
    return next((name for name in names if name.text), None)


def valid_uid(header: Dataset, keyword: str) -> str:
    """The UID of an attribute; empty where it is none (PS3.5 9.1)."""
    value = text(header, keyword)
    return value if is_uid(value) and len(value) <= _LONGEST_UID else ""


def _line(header: Dataset, keyword: str) -> str:
    return one_line(text(header, keyword))


def one_line(value: str) -> str:
    """A value in one line, without control characters and padding."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def iso_date(value: str) -> str:
    """The date in ISO 8601, as far as it is given: headers hold bare years, and ACR-NEMA's 1994.02.01 too."""
    match = _DATE.fullmatch(value)
    if match is None:
        return ""
    parts = [part for part in match.groups() if part]
    try:
        datetime.date.fromisoformat("-".join([*parts, "01", "01"][:3]))
    except ValueError:
        return ""
    return "-".join(parts)


def _time(value: str) -> str:
    match = _TIME.fullmatch(value)
    if match is None:
        return ""
    try:
        return datetime.time.fromisoformat(":".join(match.groups())).isoformat()
    except ValueError:
        return ""
