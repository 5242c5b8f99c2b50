"""Patient and Study modules of a source image, mended, for DICOM objects that go back to where the image is from.

PS3.3 C.7.1.1 (Patient), C.7.2.1 (General Study), C.7.2.2 (Patient Study). Archives hold values that break the rules of
their representations (PS3.5 6.2). What is described by such a value is cut or made to fit; what is identified by it is
left empty, as a part of an identifier is that of another patient or order.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxreport.errors import MissingHeaderError
from cxreport.reading.dicom.attributes import numbers, text, texts
from cxreport.reading.dicom.study_header import iso_date, one_line, readable_header, valid_uid
from cxreport.reading.processes.muted_libraries import quiet

_SHORT, _LONG = 16, 64
"""Characters of the representations SH and LO, and of a component group of PN."""
_GROUPS, _PARTS = 3, 5
"""Component groups of a name, and components of a group."""
_UTF_8 = "ISO_IR 192"
_UNDECODED = "\N{REPLACEMENT CHARACTER}"
_SEXES = ("M", "F", "O")
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6})\d*)?)?)?")
_ZONE = re.compile(r"([+-])(\d\d)(\d\d)")
_AGE = re.compile(r"\d{3}[DWMY]")
_WIDEST_ZONE = datetime.timedelta(hours=14)


@dataclass(frozen=True, repr=False)
class StudyModules:
    """Patient and Study modules. Not to be logged: they have no text form of their own."""

    attributes: Dataset
    """In UTF-8, with every attribute of type 2, empty where the source has none or none that can be mended."""
    zone: datetime.timezone | None
    """Of the dates and times (Timezone Offset From UTC); None where the source does not say."""


def read_study_modules(source: str) -> StudyModules:
    """Read the Patient and Study modules of an image.

    Args:
        source: file whose patient and study they are.

    Returns:
        The modules.

    Raises:
        MissingHeaderError: the file is not DICOM or cannot be read any more, has no valid Study Instance UID, or names
            no patient in a way that an object can.
    """
    header = readable_header(source, (*_MENDED, "StudyInstanceUID", "TimezoneOffsetFromUTC"))
    study_uid = valid_uid(header, "StudyInstanceUID") if header else ""
    if header is None or not study_uid:
        raise MissingHeaderError(f"{source}: has no DICOM header with a StudyInstanceUID.")
    attributes = Dataset()
    attributes.SpecificCharacterSet = _UTF_8
    with quiet():  # pydicom quotes values that it warns of
        attributes.StudyInstanceUID = study_uid
        for keyword, mended in _MENDED.items():
            value = mended(header, keyword)
            if value or keyword in _TYPE_2:
                setattr(attributes, keyword, value)
    if not (attributes.PatientID or attributes.PatientName):
        raise MissingHeaderError(f"{source}: PatientID and PatientName are empty, or break the rules of DICOM.")
    zone = _zone(header)
    if zone is not None:
        attributes.TimezoneOffsetFromUTC = text(header, "TimezoneOffsetFromUTC")
    return StudyModules(attributes, zone)


def _name(header: Dataset, keyword: str) -> str:
    """A name of a person in all its writings; empty where there are several, or where it cannot be decoded."""
    try:
        groups = header[keyword].value.components[:_GROUPS]
    except Exception:  # absent, several, or of another character set than is stated
        return ""
    parts = [[one_line(part) for part in group.split("^")[:_PARTS]] for group in groups]
    written = ["^".join(group).rstrip("^")[:_LONG].rstrip("^ ") for group in parts]
    return "" if any(_UNDECODED in group for group in written) else "=".join(written).rstrip("=")


def _identifier(longest: int) -> Callable[[Dataset, str], str]:
    def mended(header: Dataset, keyword: str) -> str:
        value = one_line(text(header, keyword))
        return "" if len(texts(header, keyword)) > 1 or len(value) > longest or _UNDECODED in value else value

    return mended


def _description(header: Dataset, keyword: str) -> str:
    return one_line(text(header, keyword).replace("\\", " ").replace(_UNDECODED, "?"))[:_LONG].rstrip()


def _date(header: Dataset, keyword: str) -> str:
    date = iso_date(one_line(text(header, keyword)))
    return date.replace("-", "") if len(date) == len("YYYY-MM-DD") else ""


def _time(header: Dataset, keyword: str) -> str:
    match = _TIME.fullmatch(one_line(text(header, keyword)))
    if match is None:
        return ""
    hour, minute, second, fraction = match.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        return ""
    return f"{hour}{minute or ''}{second or ''}{f'.{fraction}' if fraction else ''}"


def _sex(header: Dataset, keyword: str) -> str:
    value = text(header, keyword).strip().upper()
    return value if value in _SEXES else ""


def _age(header: Dataset, keyword: str) -> str:
    value = text(header, keyword).strip().upper()
    return value if _AGE.fullmatch(value) else ""


def _number(header: Dataset, keyword: str) -> str:
    value = next(iter(numbers(header, keyword)), 0.0)
    return f"{value:.6g}" if value > 0 else ""


def _zone(header: Dataset) -> datetime.timezone | None:
    match = _ZONE.fullmatch(text(header, "TimezoneOffsetFromUTC"))
    if match is None:
        return None
    offset = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
    if offset > _WIDEST_ZONE:
        return None
    return datetime.timezone(-offset if match[1] == "-" else offset)


_MENDED: Mapping[str, Callable[[Dataset, str], str]] = {
    "PatientName": _name,
    "PatientID": _identifier(_LONG),
    "IssuerOfPatientID": _identifier(_LONG),
    "PatientBirthDate": _date,
    "PatientSex": _sex,
    "PatientAge": _age,
    "PatientSize": _number,
    "PatientWeight": _number,
    "StudyDate": _date,
    "StudyTime": _time,
    "AccessionNumber": _identifier(_SHORT),
    "StudyID": _identifier(_SHORT),
    "StudyDescription": _description,
    "ReferringPhysicianName": _name,
}
"""Attribute -> its value as it may stand in an object; empty where there is none."""
_TYPE_2 = {
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
}
