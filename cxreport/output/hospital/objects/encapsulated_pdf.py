"""Encapsulated PDF: a draft's document as a DICOM object (PS3.3 A.45.1)."""

from __future__ import annotations

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from cxreport.output.hospital.codes import REPORT
from cxreport.output.hospital.objects.identity import (
    DraftedStudy,
    Kind,
    attributes_of_instance,
    completed,
    concept,
    references,
)

_WORKSTATION = "WSD"
_MIME_TYPE = "application/pdf"


def encapsulated_pdf(drafted: DraftedStudy, document: bytes) -> Dataset:
    """Put a PDF into an object.

    Args:
        drafted: study.
        document: the PDF, which says itself that it is for research use only.

    Returns:
        The object, in a series of its own.
    """
    digest = drafted.digest(Kind.PDF, document)
    instance = SOPClass(
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **attributes_of_instance(drafted, Kind.PDF, digest),
    )
    instance.ConversionType = _WORKSTATION
    instance.BurnedInAnnotation = "YES"
    instance.DocumentTitle = Kind.PDF.description
    instance.AcquisitionDateTime = ""
    instance.ConceptNameCodeSequence = [concept(REPORT)]
    instance.VerificationFlag = "UNVERIFIED"
    if drafted.images:
        instance.SourceInstanceSequence = references(drafted.images)
    instance.MIMETypeOfEncapsulatedDocument = _MIME_TYPE
    instance.EncapsulatedDocumentLength = len(document)
    instance.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return completed(instance, drafted)
