"""Messages of HL7 2.5.1 (ORU^R01, an unsolicited result) of drafted reports.

Segments end with a carriage return, a message with a line feed behind the last. An HL7 message cannot say that there is
no result: a failure is an empty batch (HL7 2.5.1, 2.10.3) with the reason as its comment.
"""

from __future__ import annotations

import textwrap
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cxreport import DISCLAIMER, __version__
from cxreport.output.hospital.codes import FINDINGS, IMPRESSIONS, PRESENT, REPORT, TAG_CODES, Code
from cxreport.output.hospital.stated_tags import one_line, stated_tags
from cxreport.output.schema import rounded
from cxreport.sentences import Assertion

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.reading.dicom.study_header import StudyHeader
    from cxreport.types import Failure, Report

_SENDER = "CXREPORT"
_DELIMITERS = "^~\\&"
_ESCAPES = str.maketrans({character: f"\\{name}\\" for character, name in zip("\\|^&~", "EFSTR", strict=True)})
_SEXES = ("M", "F", "O")
_LONGEST_ID = 20
_LONGEST_LINE = 160
"""Characters; hl7apy takes at most 199 in a text of an observation, whatever its type."""


def message(report: Report, header: StudyHeader, manifest: DraftingModel, time: str) -> str:
    """Build the message of a report.

    Args:
        report: with sentences.
        header: of its study, with a patient's id.
        manifest: of the bundle that drafted it.
        time: of the message (MSH-7), ``YYYYMMDDHHMMSS+ZZZZ``.

    Returns:
        MSH, SFT, PID, OBR, an NTE for the notice and for each warning, an OBX for each section, and one for each
        reporting tag that a sentence states. MSH-10 is derived from the study, the bundle and the text.
    """
    content = (
        header.study_uid,
        manifest.sha256,
        __version__,
        *report.findings,
        *report.impression,
        *report.warnings_without_paths,
    )
    id_ = uuid.uuid5(uuid.NAMESPACE_OID, "cxreport ORU\n" + "\n".join(content)).hex[:_LONGEST_ID]
    sections = ((FINDINGS, report.findings), (IMPRESSIONS, report.impression))
    observations = [
        *({2: "TX", 3: _coded(code), 5: _lines(texts)} for code, texts in sections if texts),
        *_statements(report),
    ]
    notes = (DISCLAIMER, *report.warnings_without_paths)
    sex = header.sex if header.sex in _SEXES else "U" if header.sex else ""
    segments = [
        _head("MSH", {7: time, 9: "ORU^R01^ORU_R01", 10: id_, 11: "T", 12: "2.5.1", 18: "UNICODE UTF-8"}),
        _segment("SFT", _software(manifest)),
        _segment("PID", {1: "1", 3: _patient_id(header), 5: _name(header), 7: _digits(header.birth_date), 8: sex}),
        _segment(
            "OBR", {1: "1", 3: f"{id_}^{_SENDER}", 4: _coded(REPORT), 7: _time(header), **_accession(header), 25: "P"}
        ),
        *(_segment("NTE", {1: str(place), 2: "L", 3: _text(note)}) for place, note in enumerate(notes, 1)),
        *(_segment("OBX", {1: str(place), **fields, 11: "P"}) for place, fields in enumerate(observations, 1)),
    ]
    return "".join(segments) + "\n"


def empty_batch(failure: Failure, time: str) -> str:
    """Build the batch without a message that stands for a failure."""
    reason = _text(f"{failure.id}: {failure.error.message} {DISCLAIMER}")
    return _head("BHS", {7: time}) + _segment("BTS", {1: "0", 2: reason}) + "\n"


def _statements(report: Report) -> list[dict[int, str]]:
    """Fields of the tags that sentences state; OBX-9 is the probability."""
    fields = []
    for stated in stated_tags(report):
        present = PRESENT if stated.assertion is Assertion.PRESENT else None
        value = f"{_coded(present) if present else f'^{stated.assertion}^'}^^^^^^{_text(stated.value)}"
        code = TAG_CODES.get(stated.name)
        probability = "" if stated.probability is None else str(rounded(stated.probability))
        fields.append({2: "CWE", 3: _coded(code) if code else f"^{_text(stated.name)}", 5: value, 9: probability})
    return fields


def _software(manifest: DraftingModel) -> dict[int, str]:
    model = _text(f"Model {manifest.name} {manifest.version}, SHA-256 {manifest.sha256}. {DISCLAIMER}")
    return {1: _SENDER, 2: __version__, 3: "cxreport", 4: manifest.sha256[:_LONGEST_ID], 5: model}


def _patient_id(header: StudyHeader) -> str:
    return f"{_text(header.patient_id)}^^^{_text(header.issuer)}".rstrip("^")


def _name(header: StudyHeader) -> str:
    """The name, or one of the type "unspecified" (table 0200), as PID-5 may not be empty."""
    if header.name is None:
        return "^^^^^^U"
    name = header.name
    return "^".join(map(_text, (name.family, name.given, name.middle, name.suffix, name.prefix))).rstrip("^")


def _accession(header: StudyHeader) -> dict[int, str]:
    return {18: _text(header.accession_number)} if header.accession_number else {}


def _time(header: StudyHeader) -> str:
    """Date and time of the study, the date alone without a time zone."""
    date = _digits(header.study_date)
    time, zone = header.study_time[:8], header.study_time[8:]
    return f"{date}{_digits(time)}{zone.replace(':', '')}" if time and len(date) == len("YYYYMMDD") else date


def _digits(text: str) -> str:
    return text.replace("-", "").replace(":", "")


def _coded(code: Code) -> str:
    return f"{code.value}^{_text(code.meaning)}^{code.scheme}"


def _lines(texts: Iterable[str]) -> str:
    """Sentences as the lines of a text, which are repetitions of the field; receivers cut long ones."""
    lines = (line for text in texts for line in textwrap.wrap(one_line(text), _LONGEST_LINE))
    return "~".join(map(_text, lines))


def _text(text: str) -> str:
    return one_line(text).translate(_ESCAPES)


def _head(name: str, fields: Mapping[int, str]) -> str:
    """A segment that begins with the delimiters, which are its fields 1 and 2."""
    return f"{name}|{_DELIMITERS}|" + _segment("", {3: _SENDER, **fields}, first=3)


def _segment(name: str, fields: Mapping[int, str], first: int = 1) -> str:
    """A segment of fields by their numbers in the standard, the others empty."""
    values = "|".join(fields.get(number, "") for number in range(first, max(fields) + 1))
    return f"{name}|{values}\r" if name else f"{values}\r"
