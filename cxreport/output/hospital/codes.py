"""Codes of what reports state, for documents that other systems read: one table, without a code that was not checked.

Tests hold each against its check digit, and against pydicom's dictionary where that has it. The others agree in several
public tables.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Scheme(enum.StrEnum):
    """Coding schemes, by their designators of DICOM (PS3.16 8) and HL7 (table 0396)."""

    url: str
    """As FHIR names it."""

    def __new__(cls, designator: str, url: str) -> Scheme:
        member = str.__new__(cls, designator)
        member._value_ = designator
        member.url = url
        return member

    SNOMED_CT = "SCT", "http://snomed.info/sct"
    LOINC = "LN", "http://loinc.org"
    DICOM = "DCM", "http://dicom.nema.org/resources/ontology/DCM"


@dataclass(frozen=True)
class Code:
    """Code of a concept."""

    scheme: Scheme
    value: str
    meaning: str
    in_pydicom: bool = True
    """True where pydicom's dictionary of concepts has the code with this meaning."""


REPORT = Code(Scheme.LOINC, "18748-4", "Diagnostic Imaging Report")
FINDINGS = Code(Scheme.LOINC, "59776-5", "Findings")
IMPRESSIONS = Code(Scheme.LOINC, "19005-8", "Impressions")
PRESENT = Code(Scheme.SNOMED_CT, "52101004", "Present")
TAG_CODES = {
    "Cardiomegaly": Code(Scheme.SNOMED_CT, "8186001", "Cardiomegaly", in_pydicom=False),
    "Consolidation": Code(Scheme.SNOMED_CT, "95436008", "Consolidation", in_pydicom=False),
    "Pneumonia": Code(Scheme.SNOMED_CT, "233604007", "Pneumonia", in_pydicom=False),
    "Atelectasis": Code(Scheme.SNOMED_CT, "46621007", "Atelectasis", in_pydicom=False),
    "Pneumothorax": Code(Scheme.SNOMED_CT, "36118008", "Pneumothorax"),
    "Pleural Effusion": Code(Scheme.SNOMED_CT, "60046008", "Pleural effusion"),
}
"""Reporting tag -> code."""
UNCODED = {
    "Enlarged Cardiomediastinum": "no code could be verified",
    "Lung Opacity": "no code could be verified",
    "Pleural Other": "no code could be verified",
    "Lung Lesion": "a nodule or a mass",
    "Edema": "vascular congestion and heart failure too",
    "Emphysema": "hyperinflation and COPD too",
    "Fibrosis": "scars and bronchiectasis too",
    "Hernia": "any hernia",
    "Fracture": "any bone",
    "Support Devices": "any device",
    "Granuloma": "calcified nodes too",
    "Degenerative Change": "any joint",
    "Aortic Change": "tortuous, calcified or wide",
    "Low Lung Volumes": "no code could be verified",
}
"""Reporting tag -> why it has no code: the words that it stands for say more than one code would."""
