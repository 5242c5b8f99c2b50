"""Reports of studies that have DICOM headers, made without a model."""

from __future__ import annotations

from pathlib import Path

import dicom_factory

from cxreport.sentences import Assertion, Band, Sentence, Statement
from cxreport.types import Detail, Position, Report, Section, Study, View, ViewInfo

PRESENT = Statement("Pleural Effusion", Assertion.PRESENT, (Detail.LEFT,), 0.91234, Band.PRESENT)
POSSIBLE = Statement("Lung Opacity", Assertion.POSSIBLE, (), None, Band.POSSIBLE)
DENIED = Statement("Pneumothorax", Assertion.ABSENT, (), 0.01, Band.ABSENT)
SENTENCES = (
    Sentence(Section.FINDINGS, "There is a left effusion & more <here>.", statements=(PRESENT,)),
    Sentence(Section.FINDINGS, "No pneumothorax.", statements=(DENIED,)),
    Sentence(Section.FINDINGS, "Possible opacity.", statements=(POSSIBLE,)),
    Sentence(Section.IMPRESSION, "Left effusion.", statements=(PRESENT,)),
)

HEADERS = {
    "bare": {},
    "full": {
        "PatientBirthDate": "19400503",
        "PatientSex": "F",
        "IssuerOfPatientID": "Ward",
        "PatientName": "Family^Given^Middle^Dr^Jr",
        "AccessionNumber": "A1",
        "StudyDate": "20200102",
        "StudyTime": "030405",
        "TimezoneOffsetFromUTC": "+0100",
    },
    "empty": dict.fromkeys(("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"), ""),
    "without a name": {"PatientName": None},
    "without an id": {"PatientID": None},
    "of another sex": {"PatientSex": "W"},
    "born in a year": {"PatientBirthDate": "1940"},
    "at no time": {"StudyDate": "20200102", "StudyTime": "99"},
    "Japanese": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    "Arabic": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "محمد^علي"},
    "without a series": {"SeriesInstanceUID": "no uid"},
    "without a modality": {"Modality": ""},
    "hostile": {"PatientName": "<b>^\"&'", "PatientID": "=1|^~\\&"},
}
"""Attributes of headers, by what they are."""


def headed_report(
    folder: Path, *, images: int = 1, sentences: tuple[Sentence, ...] = SENTENCES, **attributes
) -> Report:
    """A report of a study of so many images, whose headers have these attributes."""
    made = [dicom_factory.make_dataset(dicom_factory.phantom(8, 8), **attributes) for _ in range(images)]
    paths = []
    for place, dataset in enumerate(made):
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
            setattr(dataset, keyword, getattr(made[0], keyword))
        paths.append(str(dicom_factory.save(dataset, folder / f"{place}.dcm")))
    view = View(ViewInfo(paths[0], 0, Position.PA), dicom_factory.phantom(8, 8, dtype="uint8"))
    others = tuple(ViewInfo(path, 0, Position.LATERAL) for path in paths[1:])
    study = Study("s1", tuple(paths), view, others)
    return Report(study, tags=(), plan=(), sentences=sentences, warnings=("Unlike\x00 the others.",))
