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
    UCUM = "UCUM", "http://unitsofmeasure.org"
    LANGUAGES = "RFC5646", "urn:ietf:bcp:47"


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
FINDING = Code(Scheme.DICOM, "121071", "Finding")
IMPRESSION = Code(Scheme.DICOM, "121073", "Impression")
PROCEDURE_DESCRIPTIONS = Code(Scheme.DICOM, "121064", "Current Procedure Descriptions")
PROCEDURE_DESCRIPTION = Code(Scheme.DICOM, "121065", "Procedure Description")
CERTAINTY = Code(Scheme.DICOM, "111012", "Certainty of Finding")
VISUAL_EXPLANATION = Code(Scheme.DICOM, "130401", "Visual explanation")
EQUIVALENT_MEANING = Code(Scheme.DICOM, "121050", "Equivalent Meaning of Concept Name")
SOURCE_OF_MEASUREMENT = Code(Scheme.DICOM, "121112", "Source of Measurement")
LANGUAGE = Code(Scheme.DICOM, "121049", "Language of Content Item and Descendants")
OBSERVER_TYPE = Code(Scheme.DICOM, "121005", "Observer Type")
DEVICE_UID = Code(Scheme.DICOM, "121012", "Device Observer UID")
DEVICE_NAME = Code(Scheme.DICOM, "121013", "Device Observer Name")
DEVICE_MANUFACTURER = Code(Scheme.DICOM, "121014", "Device Observer Manufacturer")
DEVICE_MODEL = Code(Scheme.DICOM, "121015", "Device Observer Model Name")
DEVICE_SERIAL_NUMBER = Code(Scheme.DICOM, "121016", "Device Observer Serial Number")
ALGORITHM_NAME = Code(Scheme.DICOM, "111001", "Algorithm Name")
ALGORITHM_PARAMETERS = Code(Scheme.DICOM, "111002", "Algorithm Parameters")
ALGORITHM_VERSION = Code(Scheme.DICOM, "111003", "Algorithm Version")
MEASUREMENT_REPORT = Code(Scheme.DICOM, "126000", "Imaging Measurement Report")
MEASUREMENTS = Code(Scheme.DICOM, "126010", "Imaging Measurements")
MEASUREMENT_GROUP = Code(Scheme.DICOM, "125007", "Measurement Group")
TRACKING_IDENTIFIER = Code(Scheme.DICOM, "112039", "Tracking Identifier")
TRACKING_UID = Code(Scheme.DICOM, "112040", "Tracking Unique Identifier")
PROCEDURE_REPORTED = Code(Scheme.DICOM, "121058", "Procedure reported")
CHEST_IMAGING = Code(Scheme.SNOMED_CT, "413815006", "Chest imaging (procedure)")
IMAGE_LIBRARY = Code(Scheme.DICOM, "111028", "Image Library")
IMAGE_LIBRARY_GROUP = Code(Scheme.DICOM, "126200", "Image Library Group")
DEVICE = Code(Scheme.DICOM, "121007", "Device")
PROCESSING_EQUIPMENT = Code(Scheme.DICOM, "109102", "Processing Equipment")
SOURCE_IMAGE = Code(Scheme.DICOM, "121322", "Source image for image processing operation")
PERCENT = Code(Scheme.UCUM, "%", "Percent")
ENGLISH = Code(Scheme.LANGUAGES, "en", "English", in_pydicom=False)
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
