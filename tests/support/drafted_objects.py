"""Drafted studies with headers of all kinds, made without a model, and the DICOM objects of them."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
from headed_reports import HEADERS, SENTENCES, headed_report
from pydicom.dataset import Dataset

from cxreport.output.drafting_model import RecordedModel
from cxreport.sentences import Sentence, SentenceMap
from cxreport.types import Report, TagResult

MODEL = RecordedModel("made", "1", "float32", "ab" * 32)
TIME = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
PDF = b"%PDF-1.4\n%odd length\n%%EOF\n"

BROKEN_HEADERS = HEADERS | {
    "like that of a real file": {
        **HEADERS["full"],
        "StudyID": "7",
        "StudyDescription": "Chest PA and lateral",
        "ReferringPhysicianName": "Doctor^Any",
        "PatientAge": "079Y",
        "PatientWeight": "61.5",
        "SoftwareVersions": "A1",
        "Manufacturer": "Maker",
    },
    "Russian": {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Иванов^Иван", "StudyDescription": "Грудь"},
    "with an id that is too long": {"PatientID": "1" * 70, "AccessionNumber": "2" * 20, "StudyID": "3" * 17},
    "with several ids": {"PatientID": ["1", "2"], "AccessionNumber": ["3", "4"]},
    "with a long name": {"PatientName": "A" * 70 + "^B"},
    "with too many parts": {"PatientName": "A^B^C^D^E^F=G=H=I"},
    "with a long description": {"StudyDescription": "chest " * 20},
    "with wrong dates": {"StudyDate": "2020", "PatientBirthDate": "19409999", "StudyTime": "250000"},
    "of an old standard": {"StudyDate": "1994.02.01", "StudyTime": "10:11:12"},
    "with wrong numbers": {"PatientAge": "79", "PatientWeight": "-1", "PatientSize": "0"},
    "with a wrong zone": {"TimezoneOffsetFromUTC": "+9900"},
    "of lower case": {"PatientSex": "f", "PatientAge": "079y"},
}
"""Attributes of headers that break the rules, and of those that do not, by what they are."""


def mapped(sentences: tuple[Sentence, ...] = SENTENCES) -> tuple[Sentence, ...]:
    """Sentences with maps, each over a corner of its own."""
    maps = []
    for place in range(len(sentences)):
        weights = np.full((4, 4), 0.01, np.float32)
        weights[place % 4, 0] = 1
        maps.append(SentenceMap(weights / weights.sum(), ()))
    return tuple(replace(sentence, map=each) for sentence, each in zip(sentences, maps, strict=True))


def mapped_report(
    folder: Path, *, images: int = 1, sentences: tuple[Sentence, ...] = SENTENCES, **attributes
) -> Report:
    """A report whose sentences have maps, of a study with such headers."""
    return headed_report(folder, images=images, sentences=mapped(sentences), **attributes)


KINDS = ("sr", "linked sr", "sc", "pdf", "measurements")
TAGS = (TagResult("Effusion", 0.912345, True, "Pleural Effusion"), TagResult("Pneumothorax", 0.05, False))


def made(kind: str, report: Report, time: datetime.datetime = TIME) -> Dataset:
    """The object of a report."""
    from cxreport.output.hospital.objects.drafted import drafted_study
    from cxreport.output.hospital.objects.encapsulated_pdf import encapsulated_pdf
    from cxreport.output.hospital.objects.heat_map import heat_map
    from cxreport.output.hospital.objects.measurements import measurement_report
    from cxreport.output.hospital.objects.structured_report import structured_report

    drafted = drafted_study(replace(report, tags=TAGS, drafted_at=time), MODEL)
    if kind == "measurements":
        return measurement_report(drafted)
    if kind == "pdf":
        return encapsulated_pdf(drafted, PDF)
    if kind == "sc":
        return heat_map(drafted)
    return structured_report(drafted, heat_map(drafted) if kind == "linked sr" else None)


def saved(instance: Dataset, path: Path) -> Path:
    """Write an object as the formats do."""
    from cxreport.output.hospital.objects.identity import encoded

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(instance))
    return path
