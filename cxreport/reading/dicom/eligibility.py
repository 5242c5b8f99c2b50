"""Eligibility of an image by its DICOM header: its projection, and reasons why it is no chest radiograph."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom import uid

from cxreport.errors import NotAChestRadiographError
from cxreport.reading.dicom.attributes import sequence, text, texts
from cxreport.reading.projection import names_decubitus, position_from_words
from cxreport.types import Position

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# PS3.3 C.7.3.1.1.1. Only terms of these lists are ever quoted: another value could be anything, a name too.
_RADIOGRAPHY = {"CR", "DX", "DR", "RG"}
_CAPTURE = {"OT", "SC"}
_OTHER_MODALITIES = {
    *("AR", "BI", "BMD", "CT", "DG", "DMS", "DOC", "ECG", "EPS", "ES", "GM", "HC", "HD", "IO", "IVOCT", "IVUS", "KER"),
    *("LEN", "LS", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV", "OSS", "PT", "PX", "REG", "RF", "RTDOSE"),
    *("RTIMAGE", "RTPLAN", "RTSTRUCT", "SEG", "SM", "SR", "TG", "US", "VA", "XA", "XC", "PR", "KO"),
}
_RADIOGRAPHY_CLASSES = {
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
}
_CAPTURE_CLASSES = {
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
}

# PS3.16 Annex L and words that are met in its place.
_CHEST_PARTS = ("CHEST", "THORA", "LUNG", "RIB", "STERN", "HEART")
_OTHER_PARTS = {
    *("SKULL", "HEAD", "HEADNECK", "BRAIN", "FACE", "JAW", "MANDIBLE", "MAXILLA", "ZYGOMA", "TEETH", "TOOTH", "NOSE"),
    *("SINUS", "SINUSES", "ORBIT", "ORBITS", "EYE", "EAR", "NECK", "SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE"),
    *("COCCYX", "SACRUM", "PELVIS", "HIP", "HIPS", "ABDOMEN", "KUB", "BREAST", "EXTREMITY", "ARM", "ELBOW", "FOREARM"),
    *("HUMERUS", "RADIUS", "ULNA", "WRIST", "HAND", "HANDS", "FINGER", "THUMB", "SHOULDER", "CLAVICLE", "SCAPULA"),
    *("LEG", "THIGH", "FEMUR", "KNEE", "KNEES", "PATELLA", "TIBIA", "FIBULA", "CALF", "ANKLE", "FOOT", "FEET", "TOE"),
    *("CALCANEUS", "HEEL", "COLON", "BLADDER", "KIDNEY", "UTERUS", "PROSTATE"),
}


def view_position(header: Dataset) -> Position:
    """Projection of an image: View Position, else Patient Orientation, else descriptions (PS3.3 C.8.1.2, C.7.6.1.1.1).

    Args:
        header: the instance's attributes.

    Returns:
        The projection. An image in the frontal plane that does not say PA or AP is UNKNOWN, which counts as frontal.
    """
    words = text(header, "ViewPosition").upper()
    if names_decubitus(words):
        return Position.UNKNOWN
    position = position_from_words(words)
    if position is not Position.UNKNOWN:
        return position
    axes = {axis[0] for axis in texts(header, "PatientOrientation") if axis}
    if axes & {"A", "P"}:
        return Position.LATERAL
    position = _described_position(header)
    if axes & {"L", "R"} and position is Position.LATERAL:
        return Position.UNKNOWN
    return position


def refusal(header: Dataset) -> NotAChestRadiographError | None:
    """Reason why an image is no chest radiograph, by its modality and body part.

    Args:
        header: the instance's attributes.

    Returns:
        The reason, or None. Nothing is refused for what the header leaves open.
    """
    modality = text(header, "Modality").upper()
    sop_class = text(header, "SOPClassUID")
    if not _is_projection(modality, sop_class):
        term = modality if modality in _OTHER_MODALITIES else "not one of CR, DX, DR, RG or secondary capture"
        return NotAChestRadiographError(f"Not a chest radiograph: Modality is {term}.")
    body_part = _other_body_part(header)
    if body_part is not None:
        return NotAChestRadiographError(f"Not a chest radiograph: the body part is {body_part}.")
    return None


def _described_position(header: Dataset) -> Position:
    codes = [text(item, "CodeMeaning") for item in sequence(header, "ViewCodeSequence")]
    for words in (*codes, text(header, "SeriesDescription"), text(header, "ProtocolName")):
        position = position_from_words(words.upper().replace("_", " "))
        if position is not Position.UNKNOWN:
            return position
    return Position.UNKNOWN


def _is_projection(modality: str, sop_class: str) -> bool:
    if modality in _RADIOGRAPHY:
        return True
    if modality in _CAPTURE:
        return not sop_class or sop_class in _CAPTURE_CLASSES | _RADIOGRAPHY_CLASSES
    return not modality and (not sop_class or sop_class in _CAPTURE_CLASSES | _RADIOGRAPHY_CLASSES)


def _other_body_part(header: Dataset) -> str | None:
    words = text(header, "BodyPartExamined").upper()
    if not words:
        words = " ".join(text(item, "CodeMeaning") for item in sequence(header, "AnatomicRegionSequence")).upper()
    if any(word in words for word in _CHEST_PARTS):
        return None
    return next((word for word in re.findall(r"[A-Z]+", words) if word in _OTHER_PARTS), None)
